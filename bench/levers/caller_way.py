"""The levers between the caller's phone and the ears: how his audio comes in, is judged, and goes on."""

from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol

from api import web_server
from bench.levers.analyzer_ear import PipecatEars
from bench.levers.patching import nothing, replace, with_default
from pipelines import stages, voice_activity

_TWILIO_FRAME_MS = 20


def hear_apart() -> None:
    """Pipecat's analyzer for each call, in the place of one model for all of them."""
    ears = PipecatEars()
    replace(voice_activity, "shared_voice_model", lambda: ears)


def read_by_uvicorn() -> None:
    """uvicorn's own protocol; without a short way in the scope, pipelines read and write by ASGI."""
    replace(web_server, "MediaSocket", WebSocketsSansIOProtocol)


def pass_through_the_pipeline() -> None:
    """Audio is a frame for each stage, and everybody is told of everything: each stage's own default."""
    replace(stages, "_shorten_ways", nothing)


def take_frames_as_they_come() -> None:
    """Twilio's 20 ms each by itself."""
    replace(stages, "TransportInput", with_default(stages.TransportInput, "piece_ms", _TWILIO_FRAME_MS))
