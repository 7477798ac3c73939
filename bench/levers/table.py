"""Each lever by its name: what it does, what stands in its place without it, and who takes it out."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pkgutil import resolve_name
from typing import cast


@dataclass(frozen=True)
class Lever:
    """Something that makes a call cheap.

    Attributes:
        does: What it does, for a table.
        without: What stands in its place when it is taken out.
        where: Module and function that take it out of a server which does not serve yet. By name: what measures a
            server must not load it.
    """

    does: str
    without: str
    where: str

    def take_out(self) -> None:
        """Take it out of this process.

        Raises:
            LeverGone: it is not where it was.
        """
        cast(Callable[[], None], resolve_name(f"bench.levers.{self.where}"))()


LEVERS: Mapping[str, Lever] = {
    "shared-client": Lever(
        "one client of google-genai, with its trust store, for the process",
        "a client for each call",
        "model_way:make_a_client_for_each_call",
    ),
    "one-ear": Lever(
        "one run of the voice model for all calls",
        "Pipecat's analyzer, model and thread for each call",
        "caller_way:hear_apart",
    ),
    "short-socket": Lever(
        "Twilio's messages from the socket's buffer to their reader, and back, by one call",
        "uvicorn's protocol, ASGI and Starlette",
        "caller_way:read_by_uvicorn",
    ),
    "past-the-pipeline": Lever(
        "the caller's audio straight to ear and model; no frame further than it is read",
        "every frame through every stage",
        "caller_way:pass_through_the_pipeline",
    ),
    "joined-input": Lever(
        "the caller's audio in pieces of 40 ms",
        "Twilio's 20 ms",
        "caller_way:take_frames_as_they_come",
    ),
    "joined-voice": Lever(
        "the model's voice in frames of up to 200 ms while it is far ahead",
        "a frame for each message",
        "model_way:push_each_piece",
    ),
    "short-model-socket": Lever(
        "speech read from the model's socket, and audio written to it, without a task, a queue or a model of it",
        "google-genai's messages over websockets' connection",
        "model_way:talk_by_google_genai",
    ),
    "fir": Lever(
        "24 kHz to 8 kHz by a filter of 48 taps",
        "Pipecat's stream resampler",
        "agent_way:resample_by_pipecat",
    ),
    "no-observer": Lever(
        "no description of every frame's every step",
        "Pipecat's observers, turn tracking and RTVI",
        "house:watch_every_frame",
    ),
    "send-ahead": Lever(
        "audio sent 200 ms ahead of its playing",
        "40 ms ahead",
        "agent_way:send_just_in_time",
    ),
    "long-chunks": Lever(
        "the agent's audio in messages of 100 ms, a mark each 500 ms",
        "messages of 40 ms, a mark each 200 ms",
        "agent_way:send_short_chunks",
    ),
    "housekeeping": Lever(
        "ended calls taken apart at once, full collections when nobody talks",
        "Python's garbage collector as it comes",
        "house:collect_as_python_does",
    ),
}
