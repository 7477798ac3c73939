"""Twilio's play-out buffer for one bidirectional media stream, without any input or output of its own.

Audio from the server is queued and played to the caller in real time. A `mark` comes back when everything queued
before it has been played, at once when nothing is queued; `clear` empties the queue and sends back every waiting mark
(https://www.twilio.com/docs/voice/media-streams/websocket-messages). Time is an argument: milliseconds since the
stream's `start`. Inside, it is counted in samples of 8 kHz, so nothing drifts.
"""

from collections import deque
from dataclasses import dataclass

from simulators.telephone_audio import RATE_HZ, SILENCE, Pcm, decode_ulaw

_SAMPLES_PER_MS = RATE_HZ // 1000


@dataclass(frozen=True, slots=True)
class Heard:
    """An unbroken stretch of server audio the caller heard. `ulaw` holds 8 bytes a millisecond."""

    start_ms: float
    end_ms: float
    ulaw: bytes


@dataclass(frozen=True, slots=True)
class MarkReturn:
    """A mark that went back to the server; `is_cleared` when a `clear` sent it rather than the end of its audio."""

    name: str
    received_ms: float
    returned_ms: float
    is_cleared: bool


@dataclass(frozen=True, slots=True)
class Clear:
    """A `clear` from the server, and how much queued audio the caller never heard because of it."""

    at_ms: float
    dropped_ms: float


@dataclass(frozen=True, slots=True)
class _Mark:
    name: str
    received_ms: float


class PlayoutBuffer:
    """Queue of server audio and marks, and the log of what was played when.

    Every method takes the time and first plays what is due until then; each returns the names of the marks that go
    back to the server now, in order. Time must not run backwards (an earlier time counts as the latest one seen).
    """

    def __init__(self) -> None:
        self._queue: deque[bytes | _Mark] = deque()
        self._at = 0
        self._queued = 0
        self._timeline = bytearray()
        self._runs: list[tuple[int, bytearray]] = []
        self.marks: list[MarkReturn] = []
        self.clears: list[Clear] = []

    def receive_media(self, ulaw: bytes, now_ms: float) -> list[str]:
        """Queue mu-law audio of any length behind what waits already."""
        due = self.advance(now_ms)
        if ulaw:
            self._queue.append(ulaw)
            self._queued += len(ulaw)
        return due

    def receive_mark(self, name: str, now_ms: float) -> list[str]:
        """Queue a mark behind what waits already."""
        due = self.advance(now_ms)
        self._queue.append(_Mark(name, now_ms))
        return due + self.advance(now_ms)

    def clear(self, now_ms: float) -> list[str]:
        """Drop all queued audio and give back every waiting mark."""
        due = self.advance(now_ms)
        waiting = [entry for entry in self._queue if isinstance(entry, _Mark)]
        self.clears.append(Clear(now_ms, self._queued / _SAMPLES_PER_MS))
        self._queue.clear()
        self._queued = 0
        self.marks.extend(MarkReturn(mark.name, mark.received_ms, now_ms, True) for mark in waiting)
        return due + [mark.name for mark in waiting]

    def advance(self, now_ms: float) -> list[str]:
        """Play until `now_ms`."""
        until = max(self._at, round(now_ms * _SAMPLES_PER_MS))
        due: list[str] = []
        while self._queue:
            entry = self._queue[0]
            if isinstance(entry, _Mark):
                self._queue.popleft()
                self.marks.append(MarkReturn(entry.name, entry.received_ms, self._at / _SAMPLES_PER_MS, False))
                due.append(entry.name)
                continue
            budget = until - self._at
            if budget == 0:
                break
            if len(entry) <= budget:
                self._queue.popleft()
                self._play(entry)
            else:
                self._queue[0] = entry[budget:]
                self._play(entry[:budget])
        self._timeline.extend(SILENCE * (until - self._at))
        self._at = until
        return due

    @property
    def queued_ms(self) -> float:
        """Audio received and not yet played."""
        return self._queued / _SAMPLES_PER_MS

    @property
    def heard(self) -> list[Heard]:
        """Everything played so far, one entry per unbroken stretch."""
        return [
            Heard(start / _SAMPLES_PER_MS, (start + len(ulaw)) / _SAMPLES_PER_MS, bytes(ulaw))
            for start, ulaw in self._runs
        ]

    @property
    def timeline(self) -> bytearray:
        """All that was played since 0 ms as mu-law, 8 bytes a millisecond, silence where nothing played. Read only."""
        return self._timeline

    def heard_audio(self) -> Pcm:
        """The whole time line so far as PCM16 at 8 kHz."""
        return decode_ulaw(self._timeline)

    def _play(self, ulaw: bytes) -> None:
        if self._runs and self._runs[-1][0] + len(self._runs[-1][1]) == self._at:
            self._runs[-1][1].extend(ulaw)
        else:
            self._runs.append((self._at, bytearray(ulaw)))
        self._timeline.extend(ulaw)
        self._at += len(ulaw)
        self._queued -= len(ulaw)
