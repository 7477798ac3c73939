"""How late the event loop is: a timer asks twenty times a second, and a verdict says whether there is room for more.

A late loop is what a caller hears as a bad line: audio is read and sent on it. So it, and no number of calls, is the
measure of what a machine can carry.
"""

import asyncio
import time
from collections import deque
from collections.abc import Generator
from contextlib import contextmanager

from telemetry import metrics

_EVERY_SECS = 0.05
_WINDOW_SECS = 4.0
_SHARE = 0.9
_FEWEST = 20
"""Fewer measurements than this say nothing: a process that has only begun, or one hiccup that swallowed the rest."""


class LagVerdict:
    """Whether the loop was late for most of the last seconds. Pure: it is told the time with every measurement.

    It is slow once the 90th percentile of the last 4 s is above the limit, and no more once it is under half of it: a
    few calls that begin, or one hiccup however long, are fewer than a tenth of the measurements.
    """

    def __init__(self, most_secs: float) -> None:
        """Take how late the loop may be."""
        self._most_secs = most_secs
        self._measured: deque[tuple[float, float]] = deque()
        self._is_slow = False

    @property
    def is_slow(self) -> bool:
        """Whether a further call would be too many."""
        return self._is_slow

    def measure(self, now_secs: float, lag_secs: float) -> None:
        """Take one measurement: at `now_secs` of any steady clock the loop was `lag_secs` late."""
        self._measured.append((now_secs, lag_secs))
        while self._measured[0][0] < now_secs - _WINDOW_SECS:
            self._measured.popleft()
        if len(self._measured) < _FEWEST:
            return
        late = sorted(lag for _, lag in self._measured)[int(_SHARE * len(self._measured))]
        self._is_slow = late > (self._most_secs / 2 if self._is_slow else self._most_secs)


class LoopLag:
    """Measures the running loop for the length of `measuring`."""

    def __init__(self, most_ms: float) -> None:
        """Take how late the loop may be, in milliseconds, for the process to take more calls."""
        self._verdict = LagVerdict(most_ms / 1000)
        self._timer: asyncio.TimerHandle | None = None
        self._due_secs = 0.0

    def is_slow(self) -> bool:
        """Whether the loop has been late for seconds."""
        return self._verdict.is_slow

    @contextmanager
    def measuring(self) -> Generator["LoopLag"]:
        """Measure inside the block."""
        self._wait()
        try:
            yield self
        finally:
            if self._timer is not None:
                self._timer.cancel()

    def _wait(self) -> None:
        # Not the loop's own clock, which stands still while the loop is busy.
        self._due_secs = time.monotonic() + _EVERY_SECS
        self._timer = asyncio.get_running_loop().call_later(_EVERY_SECS, self._measure)

    def _measure(self) -> None:
        now_secs = time.monotonic()
        lag_secs = max(0.0, now_secs - self._due_secs)
        metrics.LOOP_LAG_SECONDS.observe(lag_secs)
        self._verdict.measure(now_secs, lag_secs)
        self._wait()
