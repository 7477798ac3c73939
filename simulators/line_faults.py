"""Bad wires between Twilio and the server: late, lost and stalled frames, a torn socket, a dead network path."""

from __future__ import annotations

import asyncio
import random
import re
from collections.abc import Sequence

from simulators.faults import find_fault
from simulators.media_socket import Line, LineTorn

_MEDIA = '{"event":"media"'
_TIMESTAMP = re.compile(r'"timestamp":"(\d+)"')
_LATE_SHARE = 0.3
_LATE_SECS = (0.02, 0.2)
_LOST_SHARE = 0.02


class LateFrames(Line):
    """Three frames in ten are 20 to 200 ms late; those behind them wait, for order is kept, and catch up at once."""

    def __init__(self, seed: float = 1) -> None:
        self._random = random.Random(seed)
        self._zero: float | None = None

    async def to_server(self, message: str) -> Sequence[str]:
        stamp = _TIMESTAMP.search(message) if message.startswith(_MEDIA) else None
        if stamp is not None:
            now = asyncio.get_running_loop().time()
            spoken_at_secs = int(stamp[1]) / 1000
            if self._zero is None:
                self._zero = now - spoken_at_secs
            # Late against its own time, not against the frame before it: lateness must not add up.
            late_secs = self._random.uniform(*_LATE_SECS) if self._random.random() < _LATE_SHARE else 0.0
            await asyncio.sleep(max(0.0, self._zero + spoken_at_secs + late_secs - now))
        return (message,)


class LostFrames(Line):
    """Two of a hundred frames of the caller are lost."""

    def __init__(self, seed: float = 1) -> None:
        self._random = random.Random(seed)
        self.lost = 0

    async def to_server(self, message: str) -> Sequence[str]:
        if message.startswith(_MEDIA) and self._random.random() < _LOST_SHARE:
            self.lost += 1
            return ()
        return (message,)


class Accident(Line):
    """A wire that something happens to, once: `after_secs` into the stream, or when `strike` is called before."""

    def __init__(self, after_secs: float | None = None) -> None:
        self.has_struck = False
        self._after_secs = after_secs
        self._began_at: float | None = None

    def strike(self) -> None:
        """Let it happen now (with the next message)."""
        self.has_struck = True

    def is_due(self) -> bool:
        """Has it happened by now? Asked for each message, so that time counts from the first."""
        now = asyncio.get_running_loop().time()
        if self._began_at is None:
            self._began_at = now
        if self._after_secs is not None and now - self._began_at >= self._after_secs:
            self.has_struck = True
        return self.has_struck


class Stall(Accident):
    """Nothing from the caller for a while, then all of it at once."""

    def __init__(self, after_secs: float | None = 3.0, secs: float = 2.0) -> None:
        super().__init__(after_secs)
        self._secs = secs

    async def to_server(self, message: str) -> Sequence[str]:
        if self._secs and self.is_due():
            secs, self._secs = self._secs, 0.0
            await asyncio.sleep(secs)
        return (message,)


class TornSocket(Accident):
    """The TCP connection breaks without a closing handshake."""

    async def to_server(self, message: str) -> Sequence[str]:
        if self.is_due():
            raise LineTorn
        return (message,)


class DeadPath(Accident):
    """Nothing arrives any more in either direction, not even a close; neither end is told."""

    async def to_server(self, message: str) -> Sequence[str]:
        self.is_dead = self.is_due()
        return () if self.is_dead else (message,)


_LINES = {
    "jitter-30": LateFrames,
    "loss-2": LostFrames,
    "stall-burst": Stall,
    "socket-drop": TornSocket,
    "no-frames": DeadPath,
}


def is_line_fault(name: str) -> bool:
    return name in _LINES


def line_fault(name: str, **settings: float) -> Line:
    """The wire with this fault, for `dial(line=...)`. An `Accident` can also be made to `strike` at once.

    Raises:
        ValueError: no such fault of a line, or no such setting.
    """
    fault = find_fault(name, "twilio")
    unknown = sorted(set(settings) - set(fault.settings))
    if not is_line_fault(name) or unknown:
        what = f"has no setting {unknown[0]!r}" if unknown else f"is not of a line; there are {sorted(_LINES)}"
        raise ValueError(f"fault {name!r} {what}")
    return _LINES[name](**{**fault.settings, **settings})
