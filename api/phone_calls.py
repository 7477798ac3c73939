"""The phone calls whose streams came to this process, by Twilio's id: those that run, and how the latest ones ended.

Twilio's question about such a call is answered from here, also while the database is away.
"""

import asyncio
import time
from collections import OrderedDict
from dataclasses import dataclass, field
from typing import Any

from config.agent import AgentConfig
from telemetry.request_note import note_call
from telephony.next_step import BadStep, NextStep
from transcripts.call import Call, EndReason
from transcripts.log import CallLog

_MOST_ENDED = 200
"""Twilio asks within a second of the end; so many calls do not end in that time."""


@dataclass
class PhoneCall:
    """One call on its stream. `reason` is None while it runs; `began_secs` is of the monotonic clock."""

    call: Call
    agent: AgentConfig
    stream_sid: str
    log: CallLog | None
    reason: EndReason | None = None
    began_secs: float = field(default_factory=time.monotonic)
    _step: dict[str, Any] | None = None
    _ended: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def call_sid(self) -> str:
        """Twilio's id of the call."""
        return self.call.call_sid or ""

    @property
    def now_ms(self) -> int:
        """Call time."""
        return round((time.monotonic() - self.began_secs) * 1000)

    @property
    def step(self) -> NextStep | None:
        """What the call itself asked Twilio to do when its stream is over; an apology where that makes no sense."""
        stored = self.log.step if self.log is not None else self._step
        if stored is None:
            return None
        try:
            return NextStep.from_json(stored)
        except BadStep:
            return NextStep("apology")

    def end(self, reason: EndReason) -> None:
        """Note that the call has ended here; its log, which holds every event, is let go."""
        if self.log is not None:
            self._step, self.log = self.log.step, None
        self.reason = reason
        self._ended.set()

    async def wait_over(self) -> None:
        """Wait until the call has ended here, however long that takes."""
        await self._ended.wait()

    async def wait_ended(self, timeout_secs: float) -> bool:
        """Wait until the call has ended here. Returns False when that took longer."""
        try:
            async with asyncio.timeout(timeout_secs):
                await self._ended.wait()
        except TimeoutError:
            return False
        return True


class PhoneCalls:
    """The running ones, and the latest that have ended."""

    def __init__(self) -> None:
        self._running: dict[str, PhoneCall] = {}
        self._ended: OrderedDict[str, PhoneCall] = OrderedDict()

    def begin(self, phone_call: PhoneCall) -> None:
        """Keep a call whose stream was admitted here."""
        self._running[phone_call.call_sid] = phone_call

    def end(self, phone_call: PhoneCall, reason: EndReason) -> None:
        """Note its end and remember it for a while."""
        phone_call.end(reason)
        self._running.pop(phone_call.call_sid, None)
        self._ended[phone_call.call_sid] = phone_call
        if len(self._ended) > _MOST_ENDED:
            self._ended.popitem(last=False)

    def find(self, call_sid: str) -> PhoneCall | None:
        """The call with this id of Twilio's, if it runs here or ended here lately."""
        found = self._running.get(call_sid) or self._ended.get(call_sid)
        if found is not None:
            note_call(found.call.call_id)
        return found
