"""The calls this process is in: how many it takes, which it holds, and which ring and have a slot kept for them."""

import asyncio
import sys
from collections.abc import Callable
from dataclasses import dataclass, field

from config.agent import AgentConfig
from pipelines.away import Away, TellTwilio
from switchboard.refusal import Refusal
from telemetry import metrics
from telephony.machine_detection import AnsweredBy
from transcripts.call import EndReason

COLLECT_SECS = 15.0
"""How long a slot is kept for a call whose webhook was answered and whose stream has not come yet."""


@dataclass
class LiveCall:
    """One call in progress, which may be asked to end from the moment it is admitted.

    Attributes:
        away: Where it is while it has left its stream; None until it runs, and where it cannot leave it.
        tell_twilio: For that, see `Away`.
    """

    call_id: str
    agent: AgentConfig | None = None
    """The agent that it was handed over to; None while it is with its first one."""
    away: Away | None = None
    tell_twilio: TellTwilio | None = None
    _asked: EndReason | None = None
    _runner: Callable[[EndReason], None] | None = None
    _answered_by: list[AnsweredBy] = field(default_factory=list[AnsweredBy])
    _listener: Callable[[AnsweredBy], None] | None = None

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

    def tell(self, answered_by: AnsweredBy) -> None:
        """Tell who took the call. Told before anybody runs it, it is told again to whoever does."""
        self._answered_by.append(answered_by)
        if self._listener is not None:
            self._listener(answered_by)

    def on_answered(self, listener: Callable[[AnsweredBy], None]) -> None:
        """Be told who took the call, at once if that is known."""
        self._listener = listener
        for answered_by in self._answered_by:
            listener(answered_by)


@dataclass
class _Reservation:
    timer: asyncio.TimerHandle
    on_expired: Callable[[str], None]


@dataclass
class LiveCalls:
    """Admits calls up to `max_calls` and knows those in progress.

    A phone call takes its slot in two steps: `reserve` when it rings, `collect` when its stream comes; not collected
    within `collect_secs`, the slot is free again. A browser's call takes it in one, `admit`.

    `max_calls` is the server's limit and `most_here` this process's own; `is_slow` tells that its event loop is late.
    `on_freed` is told the id of each call that is here no more.
    """

    max_calls: int
    collect_secs: float = COLLECT_SECS
    is_draining: bool = False
    most_here: int = sys.maxsize
    is_slow: Callable[[], bool] = lambda: False
    on_freed: Callable[[str], None] = lambda _call_id: None
    _calls: dict[str, LiveCall] = field(default_factory=dict[str, LiveCall])
    _reserved: dict[str, _Reservation] = field(default_factory=dict[str, _Reservation])
    _changed: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def count(self) -> int:
        """How many slots are taken: by calls in progress, and by those that ring."""
        return len(self._calls) + len(self._reserved)

    @property
    def is_full(self) -> bool:
        """Whether a further call would be refused."""
        return self.refusal() is not None

    def refusal(self) -> Refusal | None:
        """Tell why a further call would be refused; None: it would be taken."""
        if self.is_draining:
            return Refusal.DRAINING
        if self.count >= self.max_calls:
            return Refusal.MAX_CALLS
        if self.count >= self.most_here:
            return Refusal.PROCESS_FULL
        return Refusal.SLOW if self.is_slow() else None

    def reserve(self, call_id: str, on_expired: Callable[[str], None], secs: float | None = None) -> bool:
        """Keep a slot for a call that rings; False when full or draining. Call it on the event loop's thread.

        `secs`: how long it is kept; `collect_secs` when left out.
        A call that has a slot keeps it, and one that rings is waited for anew from now on. `on_expired` is told the
        call's id when nobody collected the slot in time, or when a drain gave it up; not after `collect` or `release`.
        """
        if call_id in self._calls:
            return True
        if (earlier := self._reserved.pop(call_id, None)) is not None:
            earlier.timer.cancel()
        elif self.is_full:
            return False
        timer = asyncio.get_running_loop().call_later(secs or self.collect_secs, self._expire, call_id)
        self._reserved[call_id] = _Reservation(timer, on_expired)
        self._tell()
        return True

    def is_reserved(self, call_id: str) -> bool:
        """Whether a slot is kept here for this call, which still rings."""
        return call_id in self._reserved

    def collect(self, call_id: str) -> LiveCall | None:
        """Turn the slot that was kept into a call in progress, also while draining: the call was taken before.

        Without a slot of its own the call is admitted afresh, as by `admit`, with the same None.
        """
        if call_id not in self._reserved:
            return self.admit(call_id)
        self._reserved.pop(call_id).timer.cancel()
        return self._begin(call_id)

    def admit(self, call_id: str) -> LiveCall | None:
        """Take a slot; None when full, draining, or when this call already has one."""
        if self.is_full or call_id in self._calls or call_id in self._reserved:
            return None
        return self._begin(call_id)

    def release(self, call_id: str) -> None:
        """Give the slot back, whether the call is in progress or still rings."""
        self._calls.pop(call_id, None)
        if (reservation := self._reserved.pop(call_id, None)) is not None:
            reservation.timer.cancel()
        self._tell()
        self.on_freed(call_id)

    def get(self, call_id: str) -> LiveCall | None:
        """The call in progress with this id, if it is here."""
        return self._calls.get(call_id)

    def holds(self, call_id: str) -> bool:
        """Whether this process is in that call."""
        return call_id in self._calls

    async def drain(self, timeout_secs: float) -> bool:
        """Take no new call, wait for those in progress and those that ring; True when none is left.

        Those that are left after `timeout_secs` are told to end, and slots not collected by then are given up; they
        are not waited for.
        """
        self.is_draining = True
        try:
            async with asyncio.timeout(timeout_secs):
                while self.count:
                    self._changed.clear()
                    await self._changed.wait()
        except TimeoutError:
            self.give_up_ringing()
            for live in list(self._calls.values()):
                live.end(EndReason.DRAINED)
        return not self.count

    def give_up_ringing(self) -> None:
        """Give back every slot that is kept for a call whose stream has not come."""
        for call_id, reservation in list(self._reserved.items()):
            reservation.timer.cancel()
            self._expire(call_id)

    def _begin(self, call_id: str) -> LiveCall:
        live = self._calls[call_id] = LiveCall(call_id)
        self._tell()
        return live

    def _expire(self, call_id: str) -> None:
        reservation = self._reserved.pop(call_id)
        self._tell()
        self.on_freed(call_id)
        reservation.on_expired(call_id)

    def _tell(self) -> None:
        metrics.CALLS_ACTIVE.set(len(self._calls))
        metrics.CALLS_RINGING.set(len(self._reserved))
        self._changed.set()
