"""One person who is rung for a caller: what the call knows of it while it holds the caller."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Protocol
from uuid import uuid4

from transcripts.call import Call
from transcripts.log import CallLog
from transcripts.models import TransferRow
from transcripts.transfer import OVER, TransferEvent, TransferStatus

DECIDED = frozenset({TransferStatus.JOINED, *OVER})
"""Where the one who rings has nothing more to wait for."""


@dataclass
class Attempt:
    """One person who is rung for a caller.

    Attributes:
        call_sid: The caller's call at Twilio.
        from_number: What the person sees, E.164.
        looks_for_machine: Whether Twilio shall find out if a machine answers.
        tell: Writes an event of the call.
        was_answered: Whether the person has picked up.
        is_stream_over: Whether the caller's media stream is over; he may be on his way into the room, or gone.
        saving: Who writes its row; one at a time.
        handed_over: Set when the call is Twilio's alone: what happens from then on is in the database.
    """

    call: Call
    agent_name: str
    destination: str
    address: str
    from_number: str
    ring_secs: int
    language: str
    summary: str
    looks_for_machine: bool
    tell: Callable[..., None]
    transfer_id: str = field(default_factory=lambda: uuid4().hex)
    status: TransferStatus = TransferStatus.CALLING
    leg_sid: str | None = None
    was_answered: bool = False
    is_stream_over: bool = False
    handed_over: asyncio.Event = field(default_factory=asyncio.Event)
    _news: asyncio.Event = field(default_factory=asyncio.Event)
    saving: asyncio.Lock = field(default_factory=asyncio.Lock)

    @property
    def call_sid(self) -> str:
        """Twilio's id of the caller's call."""
        return self.call.call_sid or ""

    @property
    def is_over(self) -> bool:
        """Whether nothing more comes of it."""
        return self.status in OVER

    def changed(self) -> None:
        """Wake those who wait for news."""
        self._news.set()
        self._news = asyncio.Event()

    async def wait_for(self, statuses: frozenset[TransferStatus], timeout_secs: float) -> bool:
        """Wait until it stands at one of these; False when that took longer."""
        try:
            async with asyncio.timeout(timeout_secs):
                while self.status not in statuses:
                    await self._news.wait()
        except TimeoutError:
            return False
        return True

    async def wait_handed_over(self, timeout_secs: float) -> bool:
        """Wait until the call is Twilio's alone; False when that took longer."""
        try:
            async with asyncio.timeout(timeout_secs):
                await self.handed_over.wait()
        except TimeoutError:
            return False
        return True

    def as_row(self) -> TransferRow:
        """Return it as the database keeps it: without the summary, which is words of the talk."""
        return TransferRow(
            transfer_id=self.transfer_id,
            call_id=self.call.call_id,
            call_sid=self.call_sid,
            agent_name=self.agent_name,
            destination=self.destination,
            address=self.address,
            language=self.language,
            status=self.status.value,
            leg_sid=self.leg_sid,
            created_at=datetime.now(UTC),
        )


class Ringer(Protocol):
    """Who rings people; see `api.transfer_desk`."""

    @property
    def can_ring(self) -> bool:
        """Whether there is a Twilio to ask."""
        ...

    async def ring(self, attempt: Attempt) -> TransferStatus:
        """Ring one person; returns when it is decided: `JOINED`, or how it ended otherwise.

        Whoever waits may be cancelled; the attempt then goes on until it is told that the caller left.
        """
        ...

    def tell(self, attempt: Attempt, event: TransferEvent) -> bool:
        """Make the move that follows from an event, and what it leads to. Returns whether there is one."""
        ...

    def hand_over(self, attempt: Attempt, log: CallLog) -> None:
        """The call is Twilio's once its log is written: any process then looks after it, by its rows."""
        ...
