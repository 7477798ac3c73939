"""What the far end has really played: a model of its play-out buffer, corrected by the marks it returns.

Twilio queues what it is sent and plays it in real time; a `mark` comes back when all audio queued before it has been
played; `clear` empties the queue. No I/O and no clock here: time, in ms of call time, is always an argument.
"""

from collections import deque

_SKEW_WINDOW = 8
"""How many returned marks the round-trip estimate looks back on. The least of them is used: a busy event loop can
only make a mark look later than it was, never earlier."""

_LOST_MARK_MS = 1000.0
"""A mark this overdue is not waited for any longer."""


class Playout:
    """The far end's buffer, as far as it can be known from here."""

    def __init__(self, delay_ms: float = 0.0) -> None:
        """Begin with an empty buffer; `delay_ms` is taken for the skew until a mark came back."""
        # When the buffer would run dry if the way took no time. Marks are measured against this and not against
        # `end_ms`, which holds the skew itself: an estimate must not feed on what it predicted.
        self._dry_ms: float = 0.0
        # What separates the two, for the stretch of audio sent last: one stretch is heard without a seam, so it keeps
        # the skew it began with.
        self._shift_ms: float = 0.0
        self._end_ms: float = 0.0
        self._emptied_ms: float = 0.0
        self._delay_ms = delay_ms
        self._marks: dict[str, float] = {}
        self._skews: deque[float] = deque(maxlen=_SKEW_WINDOW)

    @property
    def skew_ms(self) -> float:
        """Our send to its play to our receipt, beyond the audio itself; a guess until a mark came back."""
        return min(self._skews, default=self._delay_ms)

    @property
    def end_ms(self) -> float:
        """When all that was said so far will have been played; a background does not count."""
        return self._end_ms

    @property
    def emptied_ms(self) -> float:
        """Up to when anything was heard of what lay ready at the last `clear`, a background too."""
        return self._emptied_ms

    def ahead_ms(self, now_ms: float) -> float:
        """How much audio lies ready at the far end, were the way there of no length; negative once it has run dry."""
        return self._dry_ms - now_ms

    def send(self, now_ms: float, duration_ms: float) -> float:
        """Queue `duration_ms` of speech; returns when its first sample is played."""
        start_ms = self.send_background(now_ms, duration_ms)
        self._end_ms = self._dry_ms + self._shift_ms
        return start_ms

    def send_background(self, now_ms: float, duration_ms: float) -> float:
        """Queue `duration_ms` of what nobody waits for; returns when its first sample is played."""
        if now_ms >= self._dry_ms:
            start_ms = max(now_ms + self.skew_ms, self._dry_ms + self._shift_ms)
            self._dry_ms, self._shift_ms = now_ms, start_ms - now_ms
        start_ms = self._dry_ms + self._shift_ms
        self._dry_ms += duration_ms
        return start_ms

    def expect_mark(self, name: str, now_ms: float) -> None:
        """Note a mark sent behind all audio queued so far; behind an empty queue it comes back at once."""
        self._marks[name] = max(self._dry_ms, now_ms)

    def return_mark(self, name: str, now_ms: float) -> bool:
        """Take in a mark; returns False for one that was never sent or was already returned."""
        dry_ms = self._marks.pop(name, None)
        if dry_ms is None:
            return False
        self._skews.append(max(0.0, now_ms - dry_ms))
        return True

    def clear(self, now_ms: float) -> float:
        """Empty the buffer; returns up to when speech was heard (never later than what had been queued)."""
        self._emptied_ms = min(now_ms + self.skew_ms, self._dry_ms + self._shift_ms)
        self._end_ms = cut_ms = min(self._emptied_ms, self._end_ms)
        self._dry_ms = min(self._dry_ms, now_ms)
        self._shift_ms = self._emptied_ms - self._dry_ms
        # Twilio returns every pending mark at once now: they say nothing of what was played.
        self._marks.clear()
        return cut_ms

    def is_done(self, now_ms: float) -> bool:
        """Whether everything sent has been played, confirmed by marks where marks are used."""
        if now_ms < self.end_ms:
            return False
        return not self._marks or now_ms > self.end_ms + _LOST_MARK_MS
