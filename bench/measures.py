"""From what callers noted to figures. Pure."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from bench.caller import CallNotes


@dataclass(frozen=True)
class Spread:
    """Percentiles in ms; None when there was nothing to measure."""

    p50: float | None
    p95: float | None
    p99: float | None
    count: int


@dataclass(frozen=True)
class Window:
    """A stretch of `time.monotonic()`, without its end."""

    start: float
    end: float

    def has(self, moment: float) -> bool:
        """Whether a moment lies in it."""
        return self.start <= moment < self.end


def percentile(values: Iterable[float], share: float) -> float | None:
    """The smallest value that `share` of them are at most; None of none."""
    ordered = sorted(values)
    return ordered[max(0, math.ceil(share * len(ordered)) - 1)] if ordered else None


def spread(values: Sequence[float]) -> Spread:
    """Percentiles, rounded to a tenth."""
    found = [percentile(values, share) for share in (0.5, 0.95, 0.99)]
    p50, p95, p99 = (None if value is None else round(value, 1) for value in found)
    return Spread(p50, p95, p99, len(values))


def added_delays_ms(notes: Iterable[CallNotes], answer_delay_ms: float, window: Window) -> list[float]:
    """Last loud frame sent to first loud frame received, less what the model took; for each answered sentence.

    Args:
        notes: The calls.
        answer_delay_ms: The model's own.
        window: Sentences that ended within it are taken.
    """
    return [
        (spoken.answered_at - spoken.last_loud_at) * 1000 - answer_delay_ms
        for call in notes
        for spoken in call.spoken
        if spoken.answered_at is not None and window.has(spoken.last_loud_at)
    ]


def barge_in_delays_ms(notes: Iterable[CallNotes]) -> list[float]:
    """First frame of a sentence spoken into an answer to the server's `clear`."""
    return [
        (spoken.cleared_at - spoken.began_at) * 1000
        for call in notes
        for spoken in call.spoken
        if spoken.cleared_at is not None
    ]


def first_words_ms(notes: Iterable[CallNotes]) -> list[float]:
    """`start` sent to first loud frame received, of each call that was greeted."""
    return [
        (call.first_word_at - call.started_at) * 1000
        for call in notes
        if call.first_word_at is not None and call.started_at is not None
    ]


def gaps_per_minute(notes: Sequence[CallNotes], window: Window) -> float | None:
    """Audible gaps for each minute of call within a stretch of time; None when nobody talked in it."""
    gaps = sum(window.has(at) for call in notes for at, _ in call.gaps)
    secs = call_secs(notes, window)
    return round(gaps * 60 / secs, 3) if secs > 0 else None


def call_secs(notes: Iterable[CallNotes], window: Window) -> float:
    """How long all calls lasted together, within a stretch of time."""
    return sum(_overlap_secs(call, window) for call in notes)


def _overlap_secs(call: CallNotes, window: Window) -> float:
    if call.started_at is None or call.ended_at is None:
        return 0.0
    return max(0.0, min(call.ended_at, window.end) - max(call.started_at, window.start))
