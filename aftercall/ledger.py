"""What calls cost, in the database: summed up from what is stored of them, as often as anybody likes."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime
from typing import Any, cast
from uuid import uuid4

from sqlalchemy import select as sa_select
from sqlmodel import col, delete, func, select, update
from sqlmodel.ext.asyncio.session import AsyncSession

from aftercall.items import USAGE_EVENT, Facts, Item, items_of, token_items
from aftercall.models import CostRow, Stage, UsageRow
from config.prices import Prices
from config.pricing import MICRO, per_call_minute
from storage.engine import Database
from storage.rows import insert_new
from telemetry import metrics
from transcripts.call import CallStatus, Direction
from transcripts.models import CallEventRow, CallRow, OutgoingRow, TransferRow

_COSTLY_EVENTS = (USAGE_EVENT, "sms.sent", "call.away", "call.back")


@dataclass(frozen=True, slots=True)
class Usage:
    """What one request to a model used, in its provider's words: numbers only."""

    agent_name: str
    source: str
    model: str
    usage: Mapping[str, Any]
    call_id: str | None = None


@dataclass(frozen=True, slots=True)
class DaySum:
    """What the calls of an agent that began on a day (UTC) used of one thing, and what that cost."""

    day: date
    agent_name: str
    item: str
    unit: str
    quantity: int
    micro_usd: int


class Ledger:
    """Every method may raise `storage.errors.DatabaseAway`, and may then be repeated."""

    def __init__(self, db: Database, prices: Prices) -> None:
        self._db = db
        self._prices = prices

    async def note(self, usage: Usage, now: datetime) -> None:
        """Write down at once what a request used that belongs to no conversation; `now` is aware.

        A call that was summed up already is summed up anew.
        """
        async with self._db.writer() as session:
            await note_usage(session, self._prices, usage, now)
            if usage.call_id is not None:
                stage = select(CallRow.aftercall).where(col(CallRow.call_id) == usage.call_id)
                if ((await session.exec(stage)).first() or 0) >= int(Stage.ENDED):
                    await sum_up(session, self._prices, usage.call_id, now)

    async def sum_up(self, call_id: str, now: datetime) -> int:
        """Sum a call up anew and keep that; returns what it cost, in millionths of a US dollar."""
        async with self._db.writer() as session:
            return sum(item.micro_usd for item in await sum_up(session, self._prices, call_id, now))

    async def of_call(self, call_id: str) -> list[CostRow]:
        """List what a call that is over cost, item by item."""
        query = select(CostRow).where(col(CostRow.call_id) == call_id)
        async with self._db.reader() as session:
            return list((await session.exec(query.order_by(col(CostRow.item), col(CostRow.source)))).all())

    async def by_day(self, first: date, last: date, agent: str | None = None) -> list[DaySum]:
        """List what the calls that began on the days (UTC) from `first` to `last` used, by day, agent and item."""
        columns = (col(CostRow.day), col(CostRow.agent_name), col(CostRow.item), col(CostRow.unit))
        sums: list[Any] = [func.sum(col(CostRow.quantity)), func.sum(col(CostRow.micro_usd))]
        query: Any = sa_select(*columns, *sums).where(col(CostRow.day) >= first, col(CostRow.day) <= last)
        if agent is not None:
            query = query.where(col(CostRow.agent_name) == agent)
        async with self._db.reader() as session:
            found = cast(Any, await session.exec(query.group_by(*columns).order_by(*columns)))
            rows = cast(list[tuple[date, str, str, str, int, int]], found.all())
        return [DaySum(*row[:4], quantity=int(row[4]), micro_usd=int(row[5])) for row in rows]

    async def spent_micro_usd(self, now: datetime, agent: str | None = None, *, but: str = "") -> int:
        """Tell what the calls that began today (UTC) have cost by now, live ones as far as they are; of one agent.

        One that is being placed may be answered at any moment, and counts as a minute. The call `but` counts not.
        """
        today = now.astimezone(UTC).date()
        midnight = datetime(today.year, today.month, today.day, tzinfo=UTC)
        sums = select(func.sum(col(CostRow.micro_usd))).where(col(CostRow.day) == today)
        unsettled = select(CallRow).where(
            col(CallRow.aftercall) < int(Stage.ENDED), col(CallRow.created_at) >= midnight
        )
        if agent is not None:
            sums = sums.where(col(CostRow.agent_name) == agent)
            unsettled = unsettled.where(col(CallRow.agent_name) == agent)
        async with self._db.reader() as session:
            spent = int((await session.exec(sums)).first() or 0)
            for call in (await session.exec(unsettled.where(col(CallRow.call_id) != but))).all():
                if call.status in (CallStatus.QUEUED, CallStatus.RINGING) and call.direction == Direction.OUTBOUND:
                    spent += 0 if call.owner is None else per_call_minute(self._prices, "outbound")
                else:
                    facts = await _facts(session, call, now)
                    spent += sum(item.micro_usd for item in items_of(facts, self._prices))
        return spent


async def sum_up(session: AsyncSession, prices: Prices, call_id: str, now: datetime) -> list[Item]:
    """As `Ledger.sum_up`, in a transaction that is open; returns the items."""
    # Locks the call's row: whoever sums it up at the same time does so afterwards, and sees what is stored then.
    touch = update(CallRow).where(col(CallRow.call_id) == call_id).values(aftercall=col(CallRow.aftercall))
    if (await session.exec(touch)).rowcount != 1:
        return []
    call = (await session.exec(select(CallRow).where(col(CallRow.call_id) == call_id))).one()
    items = items_of(await _facts(session, call, now), prices)
    await session.exec(delete(CostRow).where(col(CostRow.call_id) == call_id))
    began_at = await _began_at(session, call)
    await insert_new(session, CostRow, [_row(item, call_id, call.agent_name, began_at.date()) for item in items])
    return items


async def note_usage(session: AsyncSession, prices: Prices, usage: Usage, now: datetime) -> None:
    """As `Ledger.note`, in a transaction that is open. What belongs to no call is charged at once.

    So is what a call used that was erased meanwhile: money that was spent stays spent.
    """
    if usage.call_id is not None:
        # Holds the call: nobody erases it before this is written.
        hold = update(CallRow).where(col(CallRow.call_id) == usage.call_id).values(aftercall=col(CallRow.aftercall))
        if (await session.exec(hold)).rowcount != 1:
            usage = replace(usage, call_id=None)
    fields = {
        "usage_id": uuid4().hex,
        "call_id": usage.call_id,
        "agent_name": usage.agent_name,
        "source": usage.source,
        "model": usage.model,
        "at": now,
        "usage": dict(usage.usage),
    }
    await insert_new(session, UsageRow, [fields])
    if usage.call_id is None:
        items = token_items([{**usage.usage, "source": usage.source, "model": usage.model}], prices)
        day = now.astimezone(UTC).date()
        await insert_new(session, CostRow, [_row(item, None, usage.agent_name, day) for item in items])
        agent = metrics.agent_label(usage.agent_name)
        for item in items:
            metrics.COST_USD_TOTAL.labels(item=item.item, agent=agent).inc(item.micro_usd / MICRO)


async def _facts(session: AsyncSession, call: CallRow, now: datetime) -> Facts:
    of_call = col(CallEventRow.call_id) == call.call_id
    events = select(CallEventRow).where(of_call, col(CallEventRow.kind).in_(_COSTLY_EVENTS))
    events = events.order_by(col(CallEventRow.at_ms), col(CallEventRow.seq))
    usage = select(UsageRow).where(col(UsageRow.call_id) == call.call_id)
    transfers = select(TransferRow).where(col(TransferRow.call_id) == call.call_id)
    answered = select(OutgoingRow.answered_secs).where(col(OutgoingRow.call_id) == call.call_id)
    return Facts(
        call=call,
        answered_secs=(await session.exec(answered)).first(),
        events=[(event.kind, event.at_ms, event.data) for event in (await session.exec(events)).all()],
        usage=[{**row.usage, "source": row.source, "model": row.model} for row in (await session.exec(usage)).all()],
        transfers=(await session.exec(transfers)).all(),
        now=now,
    )


async def _began_at(session: AsyncSession, call: CallRow) -> datetime:
    """The moment whose day a call is counted in: for one that we placed, when it was first dialled."""
    dialled = select(OutgoingRow.dialled_at).where(col(OutgoingRow.call_id) == call.call_id)
    return ((await session.exec(dialled)).first() or call.created_at).astimezone(UTC)


def _row(item: Item, call_id: str | None, agent_name: str, day: date) -> dict[str, Any]:
    return {
        "call_id": call_id,
        "agent_name": agent_name,
        "day": day,
        "item": item.item,
        "source": item.source,
        "model": item.model,
        "quantity": item.quantity,
        "unit": item.unit,
        "price_usd": item.price_usd,
        "price_per": item.price_per,
        "price_date": item.price_date,
        "micro_usd": item.micro_usd,
    }
