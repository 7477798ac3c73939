"""One clock for all calls: each is called every 20 ms, calls beside each other at different phases."""

import asyncio
import math
import time
from collections.abc import Callable

FRAME_SECS = 0.02
_SLOTS = 10
"""Phases; a server that gets a hundred frames in the same millisecond is measured at a moment that never comes."""


def in_whole_ms(secs: float) -> float:
    """Seconds to wait, rounded up to a millisecond.

    uvloop's timers have no finer grain and round to the nearer side: who is called too early, and asks for the rest,
    spins.
    """
    return max(0.001, math.ceil(secs * 1000) / 1000)


class Ticker:
    """Calls what was added to it fifty times a second, on the running loop, without drift.

    Attributes:
        lateness_ms: how late each round of a slot was, since `start` or the last `take_lateness`.
    """

    def __init__(self) -> None:
        """Prepare; `start` begins."""
        self._slots: list[list[Callable[[float], None]]] = [[] for _ in range(_SLOTS)]
        self._loop = asyncio.get_running_loop()
        self._next_at = 0.0
        self._slot = 0
        self._timer: asyncio.TimerHandle | None = None
        self.lateness_ms: list[float] = []

    def start(self) -> None:
        """Begin to tick."""
        self._next_at = time.monotonic()
        self._tick()

    def stop(self) -> None:
        """Tick no more."""
        if self._timer is not None:
            self._timer.cancel()

    def add(self, call: Callable[[float], None]) -> Callable[[], None]:
        """Have `call(now)` called every 20 ms, in the emptiest slot. Returns what removes it again."""
        slot = min(self._slots, key=len)
        slot.append(call)
        return lambda: slot.remove(call)

    def _tick(self) -> None:
        now = time.monotonic()  # the loop's own clock stands still within an iteration of uvloop
        while self._next_at <= now:
            slot = self._slots[self._slot]
            if slot:
                self.lateness_ms.append((now - self._next_at) * 1000)
                for call in tuple(slot):
                    call(now)
            self._slot = (self._slot + 1) % _SLOTS
            self._next_at += FRAME_SECS / _SLOTS
            now = time.monotonic()
        self._timer = self._loop.call_later(in_whole_ms(self._next_at - now), self._tick)
