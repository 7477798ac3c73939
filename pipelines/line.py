"""One call's line: what is heard and said on it, told to whoever keeps a record of it.

Told by plain calls from the transport at the moment of sending or receiving, not by frames: frames behind the output
are dropped when the caller interrupts, and what was already sent must not be forgotten.
"""

from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass, field
from itertools import count
from typing import Protocol, runtime_checkable

from loguru import logger
from pipecat.frames.frames import InputAudioRawFrame

from pipelines.clock import CallClock
from pipelines.playout import Playout

HIDDEN_KEY = "?"
"""What listeners are told of a key that is not to be kept."""

_HEARD_UNTIL = "heard_until_ms"


def heard_until_ms(frame: InputAudioRawFrame) -> float:
    """When the last sample of a frame from a line was spoken, in ms of call time."""
    return float(frame.metadata[_HEARD_UNTIL])


def note_heard(frame: InputAudioRawFrame, until_ms: float) -> None:
    """Write into a frame what `heard_until_ms` reads."""
    frame.metadata[_HEARD_UNTIL] = until_ms


class LineListener(Protocol):
    """Hears everything on a line. Times are ms of call time; audio is PCM16 mono at the line's rates."""

    def caller_audio(self, at_ms: float, pcm: bytes) -> None:
        """Audio from the caller whose first sample was spoken at `at_ms`."""
        ...

    def agent_audio(self, at_ms: float, pcm: bytes) -> None:
        """Audio sent to the caller, whose first sample will be heard at `at_ms`."""
        ...

    def agent_text(self, text: str, *, is_announced: bool) -> None:
        """Words whose audio follows in the next `agent_audio`; announced ones are ours, not the model's."""
        ...

    def agent_finished(self) -> None:
        """All of an utterance has been sent; it may still be playing."""
        ...

    def agent_cut(self, at_ms: float) -> None:
        """The caller interrupted: audio after `at_ms` is never heard."""
        ...

    def digit(self, at_ms: float, digit: str) -> None:
        """The caller pressed a key."""
        ...


@runtime_checkable
class BackgroundKeeper(Protocol):
    """A listener that also wants what is heard behind the agent while it says nothing, which is no speech."""

    def agent_background(self, at_ms: float, pcm: bytes) -> None:
        """Audio sent to the caller, whose first sample will be heard at `at_ms`."""
        ...


@dataclass
class CallLine:
    """The line of one call.

    Attributes:
        caller_hz: Sample rate of the caller's audio as it enters the pipeline.
        agent_hz: Sample rate of the agent's audio as it leaves.
        is_hung_up: Whether the far end said that the call is over (Twilio's `stop`), as against a lost socket.
        is_away: Whether the call has left its stream for a while: nothing is heard or said on the line.
        is_private: Whether what the caller says and presses is not to be kept: it is heard as silence.
        keys: Takes the keys that the caller presses, in place of everybody else; None: nobody does.
        is_on_hold: Whether the caller waits for somebody else: what he says goes no further than the recording.
        last_sound_ms: When the far end last sent audio, silent or not.
        last_sign_ms: When it last sent anything.
        probe: Asks it for a sign of life; None where there is no way to ask.
        mark_numbers: What marks are called, so that no two of a call have the same name.
        malformed_count: How many messages of the far end could not be used.
        first_complaint: What was wrong with the first of them.
    """

    clock: CallClock
    caller_hz: int
    agent_hz: int
    playout: Playout = field(default_factory=Playout)
    listeners: list[LineListener] = field(default_factory=list[LineListener])
    is_hung_up: bool = False
    is_away: bool = False
    is_private: bool = False
    keys: Callable[[str], None] | None = None
    is_on_hold: bool = False
    last_sound_ms: float | None = None
    last_sign_ms: float | None = None
    probe: Callable[[], Awaitable[None]] | None = None
    mark_numbers: Iterator[int] = field(default_factory=lambda: count(1))
    malformed_count: int = 0
    first_complaint: str | None = None

    def pass_over(self, complaint: str) -> None:
        """Count a message that cannot be used; only the first one's fault is kept, or a flood would fill the log."""
        self.malformed_count += 1
        if self.first_complaint is None:
            self.first_complaint = complaint
            logger.bind(problem=complaint).warning("a message on the line was passed over")

    def caller_audio(self, at_ms: float, pcm: bytes) -> float:
        """Tell of audio from the caller, at `caller_hz`; returns when its last sample was spoken, in ms."""
        self.last_sound_ms = self.clock.now_ms
        for listener in self.listeners:
            listener.caller_audio(at_ms, pcm)
        return at_ms + len(pcm) / 2 / self.caller_hz * 1000

    def agent_audio(self, pcm: bytes) -> None:
        """Tell of audio that is being sent now."""
        at_ms = self.playout.send(self.clock.now_ms, len(pcm) / 2 / self.agent_hz * 1000)
        for listener in self.listeners:
            listener.agent_audio(at_ms, pcm)

    def agent_background(self, pcm: bytes) -> None:
        """Tell those who keep the sound of what is heard behind the agent while it says nothing."""
        at_ms = self.playout.send_background(self.clock.now_ms, len(pcm) / 2 / self.agent_hz * 1000)
        for listener in self.listeners:
            if isinstance(listener, BackgroundKeeper):
                listener.agent_background(at_ms, pcm)

    def agent_text(self, text: str, *, is_announced: bool = False) -> None:
        """Tell of words whose audio follows."""
        for listener in self.listeners:
            listener.agent_text(text, is_announced=is_announced)

    def agent_finished(self) -> None:
        """Tell that an utterance has been sent to its end."""
        for listener in self.listeners:
            listener.agent_finished()

    def agent_cut(self) -> None:
        """Tell that what was sent but not yet heard is taken back."""
        at_ms = self.playout.clear(self.clock.now_ms)
        for listener in self.listeners:
            listener.agent_cut(at_ms)

    def digit(self, digit: str) -> bool:
        """Tell of a key press; returns whether somebody has taken the key, so that it is nobody else's business."""
        at_ms = self.clock.now_ms
        for listener in self.listeners:
            listener.digit(at_ms, HIDDEN_KEY if self.is_private else digit)
        if self.keys is None:
            return False
        self.keys(digit)
        return True
