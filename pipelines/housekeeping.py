"""The garbage of calls that have ended: taken away without holding up those that go on.

A full collection looks at every object there is: a third of a second with sixty calls, in which none of them is
answered. So what is there at start is never looked at again, a call that has ended is taken apart (most of it is gone
then, without a collection), and full collections come when nobody talks, or after very many calls.
"""

import asyncio
import ctypes
import gc
from collections.abc import Callable, Iterable

_YOUNG, _MIDDLE, _NEVER = 700, 10, 1_000_000
"""Python's own thresholds for the two young generations, which take a millisecond, and none for the old one."""
_QUIET_SECS = 1.0
_MOST_CALLS = 500
"""After so many ended calls a full collection is due even while others go on."""
_ARENA_MAX = -8  # glibc's malloc.h
_ARENAS = 2
_LIBC = ctypes.CDLL(None)


def settle() -> None:
    """Call once when all that lives as long as the process has been made. Takes a tenth of a second."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(_YOUNG, _MIDDLE, _NEVER)
    if hasattr(_LIBC, "mallopt"):
        # Each thread that writes a recording would get memory of its own, and keep most of it.
        _LIBC.mallopt(_ARENA_MAX, _ARENAS)


class Housekeeping:
    """Told of each call's end; collects at the next quiet moment, on the event loop it was told on."""

    def __init__(self, count_calls: Callable[[], int]) -> None:
        """Take what says how many calls are in progress."""
        self._count_calls = count_calls
        self._ended = 0
        self._timer: asyncio.TimerHandle | None = None

    def call_ended(self) -> None:
        """A call is over."""
        self._ended += 1
        if self._timer is None:
            self._wait()

    def _wait(self) -> None:
        self._timer = asyncio.get_running_loop().call_later(_QUIET_SECS, self._look)

    def _look(self) -> None:
        self._timer = None
        if self._count_calls() and self._ended < _MOST_CALLS:
            self._wait()
            return
        self._ended = 0
        gc.collect()
        give_back()


def give_back() -> None:
    """Give memory that is free to the system, where the C library can."""
    if hasattr(_LIBC, "malloc_trim"):
        _LIBC.malloc_trim(0)


def take_apart(objects: Iterable[object]) -> None:
    """Make objects that nobody will use again forget all they hold, and so each other.

    Pipecat's processors, workers and tasks all know each other; none of them would be freed before a full collection.
    """
    for one in objects:
        held = getattr(one, "__dict__", None)
        if held is not None:
            held.clear()
