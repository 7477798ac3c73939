"""What follows from a call's beginning and its end, derived from its row: any number of times, with one effect.

A call says of itself how far it has come here (`calls.aftercall`). What it stands for is written in the transaction
that moves it: so a process that dies in between has either done both or nothing, and the next one finds the call.
"""

from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta

from sqlmodel import and_, col, or_, select, text, update
from sqlmodel.ext.asyncio.session import AsyncSession

from aftercall.analysis_store import Ticket, ask_for
from aftercall.delivery_store import write_deliveries
from aftercall.ledger import sum_up
from aftercall.models import Stage
from aftercall.receivers import Receiver
from config.agent import AgentConfig
from config.prices import Prices
from config.pricing import MICRO
from config.webhooks import WebhookEvent
from storage.engine import Database
from telemetry import metrics
from transcripts.call import CallStatus
from transcripts.models import UNSETTLED, CallRow

_AT_ONCE = 100
_LATE_WORD = timedelta(seconds=60)
"""How long after a call's end what is said of it may still come: Twilio's word on its length, a log that waited."""

AgentOf = Callable[[CallRow], Awaitable[AgentConfig | None]]
"""Returns the agent of a call as it is now."""


class Settling:
    """Looks for calls that have begun or ended, and does what follows."""

    def __init__(
        self,
        db: Database,
        prices: Prices,
        agent_of: AgentOf,
        receivers_of: Callable[[AgentConfig | None], list[Receiver]],
        deliver: Callable[[str], Awaitable[None]],
        analyse: Callable[[Ticket], Awaitable[None]],
        *,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        """Take the database, the prices, whose call it is, who is told, and who begins deliveries and analyses."""
        self._db, self._prices, self._agent_of, self._receivers_of = db, prices, agent_of, receivers_of
        self._deliver, self._analyse, self._now = deliver, analyse, now

    async def sweep(self) -> int:
        """Do what follows from every call of which something does; returns of how many. Raises `DatabaseAway`."""
        is_live = and_(col(CallRow.status) == CallStatus.LIVE.value, col(CallRow.aftercall) < int(Stage.STARTED))
        is_over = and_(col(CallRow.status) == CallStatus.ENDED.value, col(CallRow.aftercall) < int(Stage.ENDED))
        is_late = and_(col(CallRow.status) == CallStatus.ENDED.value, col(CallRow.ended_at) < self._now() - _LATE_WORD)
        # Written as the index has it, or it would not be used.
        query = select(CallRow).where(text(UNSETTLED), or_(is_live, is_over, is_late)).limit(_AT_ONCE)
        async with self._db.reader() as session:
            calls = (await session.exec(query)).all()
        for call in calls:
            agent = await self._agent_of(call)
            if call.status == CallStatus.LIVE:
                await self._start(call.call_id, agent)
            elif call.aftercall < Stage.ENDED:
                await self._end(call.call_id, agent)
            else:
                await self._settle(call.call_id)
        return len(calls)

    async def _start(self, call_id: str, agent: AgentConfig | None) -> None:
        async with self._db.writer() as session:
            call = await _advance(session, call_id, Stage.STARTED)
            told = [] if call is None else await self._tell(session, WebhookEvent.CALL_STARTED, call, agent)
        await self._begin_all(told)

    async def _end(self, call_id: str, agent: AgentConfig | None) -> None:
        told: list[str] = []
        async with self._db.writer() as session:
            call = await _advance(session, call_id, Stage.ENDED)
            if call is not None:
                if call.live_at is not None:
                    told += await self._tell(session, WebhookEvent.CALL_STARTED, call, agent)
                items = await sum_up(session, self._prices, call_id, self._now())
                micro_usd = sum(item.micro_usd for item in items)
                told += await self._tell(session, WebhookEvent.CALL_ENDED, call, agent, micro_usd)
                if agent is not None and agent.analysis.is_on and call.live_at is not None:
                    await ask_for(session, call_id, self._now())
        if call is None:
            return
        await self._begin_all(told)
        if agent is not None and agent.analysis.is_on and call.live_at is not None:
            await self._analyse(Ticket(call_id, run=1, number=1))

    async def _settle(self, call_id: str) -> None:
        async with self._db.writer() as session:
            call = await _advance(session, call_id, Stage.SETTLED)
            if call is None:
                return
            items = await sum_up(session, self._prices, call_id, self._now())
            agent = metrics.agent_label(call.agent_name)
        for item in items:
            metrics.COST_USD_TOTAL.labels(item=item.item, agent=agent).inc(item.micro_usd / MICRO)

    async def _tell(
        self,
        session: AsyncSession,
        event: WebhookEvent,
        call: CallRow,
        agent: AgentConfig | None,
        micro_usd: int | None = None,
    ) -> list[str]:
        receivers = self._receivers_of(agent)
        return await write_deliveries(session, receivers, event, call, self._now(), micro_usd=micro_usd)

    async def _begin_all(self, delivery_ids: list[str]) -> None:
        for delivery_id in delivery_ids:
            await self._deliver(delivery_id)


async def _advance(session: AsyncSession, call_id: str, stage: Stage) -> CallRow | None:
    """Move a call on, and return its row; None when it was there already: of many processes one is told."""
    change = update(CallRow).where(col(CallRow.call_id) == call_id, col(CallRow.aftercall) < int(stage))
    if (await session.exec(change.values(aftercall=int(stage)))).rowcount != 1:
        return None
    return (await session.exec(select(CallRow).where(col(CallRow.call_id) == call_id))).one()
