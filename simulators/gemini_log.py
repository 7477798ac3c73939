"""What a conversation with the stand-in Gemini leaves behind for a test to read."""

from __future__ import annotations

from array import array
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np

from simulators.clips import Samples
from simulators.gemini_wire import Audio

Json = dict[str, Any]


class Received(NamedTuple):
    """One client message. `time`: seconds of the monotonic clock. `payload`: its body with camelCase keys.

    Kinds: setup, clientContent, text, activityStart, activityEnd, audioStreamEnd, toolResponse, contextUpdate. Audio
    has a log of its own.
    """

    time: float
    kind: str
    payload: Json


@dataclass(slots=True)
class AudioLog:
    """The caller's audio on one connection, message by message.

    `times`: when each came, in seconds of the monotonic clock; `lengths_ms`: how much sound each held. `pieces` holds
    the sound itself, when the emulator was told to keep it.
    """

    keeps_sound: bool = False
    times: array[float] = field(default_factory=lambda: array("d"))
    lengths_ms: array[float] = field(default_factory=lambda: array("d"))
    pieces: list[Audio] = field(default_factory=list[Audio])

    @property
    def total_ms(self) -> float:
        return sum(self.lengths_ms)

    @property
    def longest_gap_secs(self) -> float:
        """The longest time between two messages."""
        return max((later - earlier for earlier, later in zip(self.times, self.times[1:], strict=False)), default=0.0)

    def note(self, audio: Audio, time: float) -> None:
        self.times.append(time)
        self.lengths_ms.append(len(audio.samples) * 1000 / audio.rate_hz)
        if self.keeps_sound:
            self.pieces.append(audio)

    def samples(self) -> Samples:
        """All the sound in one piece, PCM16 at the client's rate; empty unless it was kept."""
        return np.concatenate([piece.samples for piece in self.pieces]) if self.pieces else np.zeros(0, np.int16)


@dataclass(frozen=True, slots=True)
class Heard:
    """One utterance of the caller, in ms of received audio. `clip`: the recognised clip's id, or None."""

    clip: str | None
    start_ms: int
    end_ms: int
    text: str
    score: float


@dataclass(frozen=True, slots=True)
class ToolResult:
    """One function response. `is_expected` is False when no such call was open: answered, cancelled or never made."""

    call_id: str
    name: str
    response: Json
    is_expected: bool
    time: float
