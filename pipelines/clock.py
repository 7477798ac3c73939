"""Call time: milliseconds since the media stream started, the one time base of turns, events and recording."""

import time
from collections.abc import Callable


class CallClock:
    """A clock that reads 0 ms when `start` is called.

    Twilio stamps each inbound frame with milliseconds since the stream began, and what happens at Twilio at its time
    T reaches us at our time T when our zero is the arrival of its `start` message: both ends then share one scale.
    """

    def __init__(self, monotonic: Callable[[], float] = time.monotonic) -> None:
        """Take the source of seconds; tests pass their own."""
        self._monotonic = monotonic
        self._zero = monotonic()
        self._is_held = False

    @property
    def is_held(self) -> bool:
        """Whether the clock stands at 0 ms and waits for `start`."""
        return self._is_held

    def hold(self) -> None:
        """Stand at 0 ms until `start`: a room is entered before there is anybody to talk to."""
        self._is_held = True

    def start(self) -> None:
        """Make this instant 0 ms."""
        self._is_held = False
        self._zero = self._monotonic()

    @property
    def now_ms(self) -> float:
        """Milliseconds since `start`."""
        return 0.0 if self._is_held else (self._monotonic() - self._zero) * 1000.0
