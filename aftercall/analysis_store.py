"""Analyses in the database: asked for, waiting for their turn, and what came of them."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlmodel import and_, col, func, or_, select, update
from sqlmodel.ext.asyncio.session import AsyncSession

from aftercall.delivery_store import write_deliveries
from aftercall.ledger import Usage, note_usage, sum_up
from aftercall.models import AnalysisProblem, AnalysisRow, AnalysisStatus, RequestWindowRow
from aftercall.receivers import Receiver
from config.prices import Prices
from config.webhooks import WebhookEvent
from storage.engine import Database
from storage.rows import insert_or_ignore, sealed_values
from transcripts.call import CallStatus, ConsentAnswer, ConsentGivenBy
from transcripts.models import CallEventRow, CallRow, ConsentRow, TurnRow

ANALYZED_EVENT = "call.analyzed"


@dataclass(frozen=True, slots=True)
class Ticket:
    """One turn of an analysis in the queue."""

    call_id: str
    run: int
    number: int

    @property
    def key(self) -> str:
        """The ticket as durable work knows it."""
        return f"{self.call_id}:{self.run}:{self.number}"

    @classmethod
    def of(cls, key: str) -> "Ticket":
        """Read what `key` wrote."""
        call_id, run, number = key.rsplit(":", 2)
        return cls(call_id, int(run), int(number))

    @classmethod
    def of_row(cls, row: AnalysisRow) -> "Ticket":
        """Return the ticket that an analysis has now."""
        return cls(row.call_id, row.run, row.ticket)


@dataclass(frozen=True, slots=True)
class Matter:
    """What an analysis is about: the call, what was said, and whether it may be read."""

    call: CallRow
    turns: Sequence[TurnRow]
    may_be_read: bool


class AnalysisStore:
    """Every method may raise `storage.errors.DatabaseAway`, and may then be repeated."""

    def __init__(self, db: Database, prices: Prices) -> None:
        self._db = db
        self._prices = prices

    async def get(self, call_id: str) -> AnalysisRow | None:
        """Find a call's analysis."""
        async with self._db.reader() as session:
            return await session.get(AnalysisRow, call_id)

    async def read(self, call_id: str) -> Matter | None:
        """Read what an analysis is about."""
        turns = select(TurnRow).where(col(TurnRow.call_id) == call_id)
        consents = select(ConsentRow).where(col(ConsentRow.call_id) == call_id)
        async with self._db.reader() as session:
            call = await session.get(CallRow, call_id)
            if call is None:
                return None
            said = (await session.exec(turns.order_by(col(TurnRow.start_ms), col(TurnRow.position)))).all()
            answers = (await session.exec(consents.order_by(col(ConsentRow.at), col(ConsentRow.id)))).all()
        return Matter(call, [turn for turn in said if turn.text.strip()], _may_be_read(answers))

    async def ask_again(self, call_id: str, now: datetime) -> AnalysisRow:
        """Ask for an analysis anew. One that waits is left as it is: it has yet to be made. Returns the row."""
        async with self._db.writer() as session:
            await ask_for(session, call_id, now)
            anew: dict[str, Any] = {
                "run": col(AnalysisRow.run) + 1,
                "attempt": 0,
                "ticket": 1,
                "status": AnalysisStatus.PENDING.value,
                "problem": None,
                "requested_at": now,
                "next_at": now,
                "finished_at": None,
            }
            over = col(AnalysisRow.status) != AnalysisStatus.PENDING.value
            change = update(AnalysisRow).where(col(AnalysisRow.call_id) == call_id, over).values(**anew)
            await session.exec(change.execution_options(synchronize_session=False))
            session.expire_all()
            return (await session.exec(select(AnalysisRow).where(col(AnalysisRow.call_id) == call_id))).one()

    async def put_off(self, ticket: Ticket, until: datetime, usage: Usage | None, now: datetime) -> Ticket | None:
        """Give an analysis a later turn, after an attempt of which `usage` is known, or before any (None).

        Returns its new ticket; None when this one is old.
        """
        values: dict[str, Any] = {"ticket": ticket.number + 1, "next_at": until}
        if usage is not None:
            values["attempt"] = col(AnalysisRow.attempt) + 1
        async with self._db.writer() as session:
            is_moved = await _move(session, ticket, values)
            if usage is not None and usage.usage:  # the model was asked, whoever else has moved it meanwhile
                await note_usage(session, self._prices, usage, now)
                await sum_up(session, self._prices, ticket.call_id, now)
        if not is_moved:
            return None
        return Ticket(ticket.call_id, ticket.run, ticket.number + 1)

    async def skip(self, ticket: Ticket, problem: AnalysisProblem, now: datetime) -> bool:
        """There is nothing to be analysed; nobody is told."""
        values = {"status": AnalysisStatus.SKIPPED.value, "problem": problem.value, "result": None}
        async with self._db.writer() as session:
            return await _move(session, ticket, values | {"next_at": None, "finished_at": now})

    async def finish(
        self,
        ticket: Ticket,
        receivers: Sequence[Receiver],
        usage: Usage,
        now: datetime,
        *,
        result: dict[str, Any] | None = None,
        problem: AnalysisProblem | None = None,
    ) -> list[str] | None:
        """Keep what came of it, with the event that tells so, what is told to receivers, and what it cost: all or none.

        Returns the ids of the deliveries; None when this ticket is old, and nothing but what it cost was written.
        """
        status = AnalysisStatus.DONE if problem is None else AnalysisStatus.FAILED
        values: dict[str, Any] = {
            "status": status.value,
            "problem": None if problem is None else problem.value,
            "attempt": col(AnalysisRow.attempt) + 1,
            "model": usage.model,
            "next_at": None,
            "finished_at": now,
        }
        async with self._db.writer() as session:
            values |= sealed_values(session, AnalysisRow, {"call_id": ticket.call_id}, result=result)
            is_moved = await _move(session, ticket, values)
            if usage.usage:
                await note_usage(session, self._prices, usage, now)
            costs = await sum_up(session, self._prices, ticket.call_id, now)
            if not is_moved:
                return None
            micro_usd = sum(item.micro_usd for item in costs)
            row = (await session.exec(select(AnalysisRow).where(col(AnalysisRow.call_id) == ticket.call_id))).one()
            call = (await session.exec(select(CallRow).where(col(CallRow.call_id) == ticket.call_id))).one()
            told = {"run": ticket.run, "status": status.value, "problem": None if problem is None else problem.value}
            await _tell(session, call, told, now)
            event = WebhookEvent.CALL_ANALYZED
            return await write_deliveries(session, receivers, event, call, now, analysis=row, micro_usd=micro_usd)

    async def list_due(self, before: datetime, limit: int) -> list[AnalysisRow]:
        """List those whose turn should have been by then (aware)."""
        is_due = and_(col(AnalysisRow.status) == AnalysisStatus.PENDING.value, col(AnalysisRow.next_at) < before)
        query = select(AnalysisRow).where(is_due).order_by(col(AnalysisRow.next_at)).limit(limit)
        async with self._db.reader() as session:
            return list((await session.exec(query)).all())

    async def count_sessions(self) -> int:
        """Count the calls of all processes that have a model, or ring and are about to."""
        taking = or_(
            and_(col(CallRow.status) == CallStatus.LIVE.value, col(CallRow.owner).is_not(None)),
            col(CallRow.status) == CallStatus.RINGING.value,
        )
        async with self._db.reader() as session:
            return (await session.exec(select(func.count()).select_from(CallRow).where(taking))).one()

    async def take_request(self, most_per_minute: int, now: datetime) -> bool:
        """Take one of the requests that all processes together may make in this minute; False: there is none left."""
        minute = int(now.timestamp()) // 60
        window = col(RequestWindowRow.minute)
        take = update(RequestWindowRow).where(window == minute, col(RequestWindowRow.count) < most_per_minute)
        async with self._db.writer() as session:
            await insert_or_ignore(session, RequestWindowRow, [{"minute": minute, "count": 0}])
            return (await session.exec(take.values(count=col(RequestWindowRow.count) + 1))).rowcount == 1


async def ask_for(session: AsyncSession, call_id: str, now: datetime) -> bool:
    """Ask for a call's first analysis, in a transaction that is open; False when there is one already."""
    fields = {
        "call_id": call_id,
        "run": 1,
        "attempt": 0,
        "ticket": 1,
        "status": AnalysisStatus.PENDING.value,
        "requested_at": now,
        "next_at": now,
    }
    return await insert_or_ignore(session, AnalysisRow, [fields]) == 1


async def _move(session: AsyncSession, ticket: Ticket, values: dict[str, Any]) -> bool:
    change = update(AnalysisRow).where(
        col(AnalysisRow.call_id) == ticket.call_id,
        col(AnalysisRow.run) == ticket.run,
        col(AnalysisRow.ticket) == ticket.number,
        col(AnalysisRow.status) == AnalysisStatus.PENDING.value,
    )
    return (await session.exec(change.values(**values))).rowcount == 1


async def _tell(session: AsyncSession, call: CallRow, data: dict[str, Any], now: datetime) -> None:
    """Add the event, behind all others: the call is over, and nobody else writes its log."""
    last = select(func.max(CallEventRow.seq)).where(col(CallEventRow.call_id) == call.call_id)
    at_ms = max(0, round((now - (call.live_at or call.created_at)).total_seconds() * 1000))
    while True:
        seq = (await session.exec(last)).first()
        fields = {
            "call_id": call.call_id,
            "seq": 0 if seq is None else seq + 1,
            "at_ms": min(at_ms, 2**31 - 1),
            "kind": ANALYZED_EVENT,
            "data": data,
        }
        if await insert_or_ignore(session, CallEventRow, [fields]):
            return


def _may_be_read(answers: Sequence[ConsentRow]) -> bool:
    """Whether nobody refused: not asked, only told, or a yes that was not taken back."""
    if not answers:
        return True
    last = answers[-1]
    is_told = last.answer == ConsentAnswer.NONE and last.given_by == ConsentGivenBy.ANNOUNCEMENT
    return last.answer == ConsentAnswer.YES or is_told
