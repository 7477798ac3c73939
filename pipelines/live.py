"""The calls this process is in: how many it takes, and which it holds."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field

from telemetry import metrics
from transcripts.call import EndReason


@dataclass
class LiveCall:
    """One call in progress, which may be asked to end from the moment it is admitted."""

    call_id: str
    _asked: EndReason | None = None
    _runner: Callable[[EndReason], None] | None = None

    def end(self, reason: EndReason) -> None:
        """Ask the call to end. Asked before anybody runs it, it ends as soon as somebody does."""
        self._asked = self._asked or reason
        if self._runner is not None:
            self._runner(self._asked)

    def on_end(self, runner: Callable[[EndReason], None]) -> None:
        """Be told to end the call, at once if that was asked before. Whoever runs the call now calls this."""
        self._runner = runner
        if self._asked is not None:
            runner(self._asked)


@dataclass
class LiveCalls:
    """Admits calls up to `max_calls` and knows those in progress."""

    max_calls: int
    is_draining: bool = False
    _calls: dict[str, LiveCall] = field(default_factory=dict[str, LiveCall])
    _changed: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def count(self) -> int:
        """How many calls are in progress."""
        return len(self._calls)

    @property
    def is_full(self) -> bool:
        """Whether a further call would be refused."""
        return self.is_draining or self.count >= self.max_calls

    def admit(self, call_id: str) -> LiveCall | None:
        """Take a slot; None when full, draining, or when this call already has one."""
        if self.is_full or call_id in self._calls:
            return None
        live = self._calls[call_id] = LiveCall(call_id)
        metrics.CALLS_ACTIVE.set(self.count)
        return live

    def release(self, call_id: str) -> None:
        """Give the slot back."""
        self._calls.pop(call_id, None)
        metrics.CALLS_ACTIVE.set(self.count)
        self._changed.set()

    def get(self, call_id: str) -> LiveCall | None:
        """The call in progress with this id, if it is here."""
        return self._calls.get(call_id)

    def holds(self, call_id: str) -> bool:
        """Whether this process is in that call."""
        return call_id in self._calls

    async def drain(self, timeout_secs: float) -> bool:
        """Take no new call, wait for those in progress; True when none is left.

        Those that are left after `timeout_secs` are told to end; they are not waited for.
        """
        self.is_draining = True
        try:
            async with asyncio.timeout(timeout_secs):
                while self._calls:
                    self._changed.clear()
                    await self._changed.wait()
        except TimeoutError:
            for live in list(self._calls.values()):
                live.end(EndReason.DRAINED)
        return not self._calls
