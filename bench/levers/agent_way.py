"""The levers between the model's voice and the caller's phone: its filter, its lead, its chunks."""

from typing import Any

from bench.levers.patching import replace, with_default
from pipelines import phone_line, stages
from pipelines.phone_voice import PhoneVoice

_LEAD_MS = 40
_CHUNKS_10MS = 4
_MARK_EVERY_MS = 200.0


def resample_by_pipecat() -> None:
    """The model's rate reaches the output as it is, whose stream resampler (soxr) takes it down."""

    def pass_on(_voice: object, frame: object) -> object:
        return frame

    replace(PhoneVoice, "_convert", pass_on)


def send_just_in_time() -> None:
    """40 ms ahead of the caller's ear."""
    replace(stages, "TransportOutput", with_default(stages.TransportOutput, "lead_ms", _LEAD_MS))


def send_short_chunks() -> None:
    """Pipecat's own 40 ms in a message, and a mark behind every fifth."""

    def params(**settings: Any) -> Any:
        return whole(**settings | {"audio_out_10ms_chunks": _CHUNKS_10MS})

    whole = replace(phone_line, "FastAPIWebsocketParams", params)
    replace(phone_line, "_MARK_EVERY_MS", _MARK_EVERY_MS)
