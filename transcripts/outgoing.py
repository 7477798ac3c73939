"""Placed calls in the database: what was asked for, each attempt to dial, and what Twilio said of them.

Every change says what it changes from, so any number of processes may do the same thing: one of them does it.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Any

from sqlalchemy import ColumnElement, exists
from sqlalchemy.orm import aliased
from sqlmodel import and_, col, func, or_, select, text, update
from sqlmodel.ext.asyncio.session import AsyncSession

from storage.engine import Database
from storage.key_ring import KeyRing, keyed_hash, number_index
from storage.known_keys import REQUESTS
from storage.rows import insert_or_ignore, sealed_values
from telemetry.request_note import note_call
from transcripts.call import AttemptOutcome, Call, CallStatus, EndReason, RecordingStatus
from transcripts.do_not_call import is_listed
from transcripts.models import AttemptRow, CallRow, OutgoingRow

# Any number will do as long as every version uses the same one: PostgreSQL counts calls under this advisory lock.
_LOCK_ID = 7_283_940_116


class Lack(StrEnum):
    """What there is no room for."""

    CALLS = "calls"
    SPEND = "spend"


class NoRoom(Exception):
    """One more call would be over a limit."""

    def __init__(self, lack: Lack) -> None:
        """Keep which."""
        super().__init__(lack.value)
        self.lack = lack


class Unwanted(Exception):
    """Whoever has the number asked not to be called."""


class OtherRequest(Exception):
    """This idempotency key was used for another request."""


class _TwinWasFaster(Exception):
    """The same request was written down by another process at the same moment."""


@dataclass(frozen=True, slots=True)
class Room:
    """How much may be dialled: calls at the same time, and started minutes a day (UTC). None: any number."""

    most_calls: int | None = None
    most_minutes: int | None = None


@dataclass(frozen=True, slots=True)
class Order:
    """A call that somebody asks for. `due_at` (aware) is None for one to be placed at once."""

    call: Call
    ring_secs: int
    request_hash: str
    requested_by: str = ""
    idempotency_key: str | None = None
    due_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Outgoing:
    """A placed call as it stands, with its attempts, the first one first."""

    call: CallRow
    order: OutgoingRow
    attempts: Sequence[AttemptRow] = ()

    @property
    def open_attempt(self) -> AttemptRow | None:
        """The attempt of which nobody knows yet what became of it."""
        return next((attempt for attempt in self.attempts if attempt.outcome is None), None)


class OutgoingStore:
    """Every method may raise `storage.errors.DatabaseAway`, and may then be repeated."""

    def __init__(self, db: Database) -> None:
        self._db = db

    async def open(self, order: Order, room: Room, *, owner: str | None, now: datetime) -> tuple[Outgoing, bool]:
        """Write the call down, `queued`. Returns it and whether it is new: a repeated request finds the first one's.

        `owner` is the process that places it; None for one that is not due yet.

        Raises:
            OtherRequest: the idempotency key belongs to another request.
            NoRoom: a call that is due now would be over a limit.
        """
        try:
            return await self._open(order, room, owner, now)
        except _TwinWasFaster:
            return await self._open(order, room, owner, now)

    async def _open(self, order: Order, room: Room, owner: str | None, now: datetime) -> tuple[Outgoing, bool]:
        async with self._db.writer() as session:
            if order.idempotency_key is not None:
                known = await self._find_repeated(
                    session, order.requested_by, order.idempotency_key, order.request_hash
                )
                if known is not None:
                    return known, False
            if order.due_at is None:
                await _check_room(session, room, now)
            await insert_or_ignore(session, CallRow, [_call_fields(order, owner)])
            fields = {
                "call_id": order.call.call_id,
                "requested_by": order.requested_by,
                "idempotency_key": order.idempotency_key and _hashed(self._db.ring, order.idempotency_key),
                "request_hash": _hashed(self._db.ring, order.request_hash),
                "ring_secs": order.ring_secs,
                "due_at": order.due_at,
            }
            if await insert_or_ignore(session, OutgoingRow, [fields]) != 1:
                raise _TwinWasFaster
            found = await _find(session, order.call.call_id)
            assert found is not None, "it was written a moment ago"
            return found, True

    async def find_repeated(self, requested_by: str, idempotency_key: str, request_hash: str) -> Outgoing | None:
        """Find the call that was asked for by this very request before. Raises `OtherRequest`."""
        async with self._db.reader() as session:
            return await self._find_repeated(session, requested_by, idempotency_key, request_hash)

    async def find(self, call_id: str) -> Outgoing | None:
        """Find a placed call by our id."""
        async with self._db.reader() as session:
            found = await _find(session, call_id)
        if found is not None:
            note_call(call_id)
        return found

    async def is_unwanted(self, number: str) -> bool:
        """Whether whoever has the number (E.164) asked not to be called."""
        async with self._db.reader() as session:
            return await is_listed(session, number_index(self._db.ring, number))

    async def adopt(self, call_id: str, owner: str) -> bool:
        """Make a call of nobody this process's. Of any number of processes one is told True."""
        change = update(CallRow).where(col(CallRow.call_id) == call_id, col(CallRow.owner).is_(None))
        async with self._db.writer() as session:
            return (await session.exec(change.values(owner=owner))).rowcount == 1

    async def release(self, call_id: str, owner: str) -> None:
        """Make this process's call nobody's, to be found by the next sweep of any process."""
        change = update(CallRow).where(col(CallRow.call_id) == call_id, col(CallRow.owner) == owner)
        async with self._db.writer() as session:
            await session.exec(change.values(owner=None))

    async def begin_attempt(
        self, call_id: str, owner: str, room: Room, *, now: datetime, agent_version: int | None = None
    ) -> int | None:
        """Write down that Twilio is about to be asked to place the call; returns the attempt's number.

        None when it may not be asked: the call is not queued any more, was placed already, is another process's, or
        nobody knows yet what became of an earlier attempt. Raises `NoRoom`. `agent_version`: which one of a stored
        agent speaks when somebody answers.
        """
        mine = update(CallRow).where(
            col(CallRow.call_id) == call_id,
            col(CallRow.status) == CallStatus.QUEUED.value,
            col(CallRow.call_sid).is_(None),
            or_(col(CallRow.owner).is_(None), col(CallRow.owner) == owner),
        )
        async with self._db.writer() as session:
            # The update also locks the row: nobody calls it off until the attempt stands.
            if (await session.exec(mine.values(owner=owner, agent_version=agent_version))).rowcount != 1:
                return None
            found = await _find(session, call_id)
            if found is None or found.open_attempt is not None:
                return None
            # Asked in the transaction that the attempt is written in: an entry made a moment ago counts.
            if await is_listed(session, number_index(self._db.ring, found.call.to_number or "")):
                raise Unwanted
            await _check_room(session, room, now, but=call_id)
            number = len(found.attempts)
            await insert_or_ignore(
                session, AttemptRow, [{"call_id": call_id, "number": number, "started_at": now, "outcome": None}]
            )
            first = update(OutgoingRow).where(
                col(OutgoingRow.call_id) == call_id, col(OutgoingRow.dialled_at).is_(None)
            )
            await session.exec(first.values(dialled_at=now))
            return number

    async def end_attempts(self, call_id: str, outcome: AttemptOutcome, error_code: int | None = None) -> None:
        """Write down what became of the attempt that is open; the first answer stands."""
        async with self._db.writer() as session:
            await _end_attempts(session, call_id, outcome, error_code)

    async def bind(self, call_id: str, call_sid: str) -> bool:
        """Keep Twilio's id of the call: it was placed. False when it has another id, or another call has this one."""
        another = aliased(CallRow)
        change = update(CallRow).where(
            col(CallRow.call_id) == call_id,
            col(CallRow.call_sid).is_(None),
            ~exists().where(col(another.call_sid) == call_sid),
        )
        async with self._db.writer() as session:
            if (await session.exec(change.values(call_sid=call_sid))).rowcount == 1:
                await _end_attempts(session, call_id, AttemptOutcome.PLACED, None)
                return True
            row = await session.get(CallRow, call_id)
            return row is not None and row.call_sid == call_sid

    async def note_ringing(self, call_id: str) -> bool:
        """Move the call from queued to ringing; False when it was past that."""
        change = update(CallRow).where(col(CallRow.call_id) == call_id, col(CallRow.status) == CallStatus.QUEUED.value)
        async with self._db.writer() as session:
            return (await session.exec(change.values(status=CallStatus.RINGING.value))).rowcount == 1

    async def note_answered_secs(self, call_id: str, secs: int) -> None:
        """Keep how long the call lasted, by Twilio, for the day's minutes."""
        change = update(OutgoingRow).where(col(OutgoingRow.call_id) == call_id)
        async with self._db.writer() as session:
            await session.exec(change.values(answered_secs=secs))

    async def end_unplaced(
        self, call_id: str, reason: EndReason, problem: str | None = None, code: int | None = None
    ) -> bool:
        """End a call that is not live yet, with one sentence on why where there is one. True the first time."""
        waiting = [CallStatus.QUEUED.value, CallStatus.RINGING.value]
        change = update(CallRow).where(col(CallRow.call_id) == call_id, col(CallRow.status).in_(waiting))
        values = {"status": CallStatus.ENDED.value, "end_reason": reason.value, "ended_at": datetime.now(UTC)}
        async with self._db.writer() as session:
            has_ended = (await session.exec(change.values(**values))).rowcount == 1
            if has_ended and problem is not None:
                why = update(OutgoingRow).where(col(OutgoingRow.call_id) == call_id)
                sealed = sealed_values(session, OutgoingRow, {"call_id": call_id}, problem=problem)
                await session.exec(why.values(problem_code=code, **sealed))
            return has_ended

    async def list_orphans(self, now: datetime) -> list[str]:
        """List the calls of nobody that are due, or of which nobody knows whether they were placed."""
        is_due = and_(
            col(CallRow.status) == CallStatus.QUEUED.value,
            col(CallRow.call_sid).is_(None),
            or_(col(OutgoingRow.due_at).is_(None), col(OutgoingRow.due_at) <= now),
        )
        query = (
            select(CallRow.call_id)
            .join(OutgoingRow, col(OutgoingRow.call_id) == col(CallRow.call_id))
            .where(col(CallRow.owner).is_(None), or_(is_due, _has_open_attempt))
            .order_by(col(CallRow.created_at))
        )
        async with self._db.reader() as session:
            return list((await session.exec(query)).all())

    async def list_silent(self, before: datetime) -> list[CallRow]:
        """List the placed calls that are not live, and that Twilio should have told the end of by then.

        `before` (aware): those that were dialled earlier than that, by more than they may ring.
        """
        query = (
            select(CallRow, OutgoingRow)
            .join(OutgoingRow, col(OutgoingRow.call_id) == col(CallRow.call_id))
            .where(
                col(CallRow.status).in_([CallStatus.QUEUED.value, CallStatus.RINGING.value]),
                col(CallRow.call_sid).is_not(None),
                col(OutgoingRow.dialled_at) < before,
            )
        )
        async with self._db.reader() as session:
            found = (await session.exec(query)).all()
        return [
            row
            for row, order in found
            if order.dialled_at is not None and order.dialled_at + timedelta(seconds=order.ring_secs) < before
        ]

    async def find_known(self, call_sids: Collection[str]) -> set[str]:
        """Tell which of these ids of Twilio's belong to calls that we know."""
        query = select(CallRow.call_sid).where(col(CallRow.call_sid).in_(call_sids))
        async with self._db.reader() as session:
            return {call_sid for call_sid in await session.exec(query) if call_sid is not None}

    async def count_open_attempts(self, from_number: str, to_number: str) -> int:
        """Count the calls between these numbers of which nobody knows whether they were placed."""
        query = (
            select(func.count())
            .select_from(CallRow)
            .where(
                col(CallRow.from_index) == number_index(self._db.ring, from_number),
                col(CallRow.to_index) == number_index(self._db.ring, to_number),
                _has_open_attempt,
            )
        )
        async with self._db.reader() as session:
            return (await session.exec(query)).one()

    async def _find_repeated(
        self, session: AsyncSession, requested_by: str, idempotency_key: str, request_hash: str
    ) -> Outgoing | None:
        query = select(OutgoingRow).where(
            col(OutgoingRow.requested_by) == requested_by,
            # A version before kept the key itself.
            col(OutgoingRow.idempotency_key).in_([_hashed(self._db.ring, idempotency_key), idempotency_key]),
        )
        known = (await session.exec(query)).first()
        if known is None:
            return None
        if known.request_hash not in (_hashed(self._db.ring, request_hash), request_hash):
            raise OtherRequest
        return await _find(session, known.call_id)


_has_open_attempt: ColumnElement[bool] = exists().where(
    col(AttemptRow.call_id) == col(CallRow.call_id), col(AttemptRow.outcome).is_(None)
)


def _hashed(ring: KeyRing, text: str) -> str:
    return keyed_hash(ring, REQUESTS, text)


def _call_fields(order: Order, owner: str | None) -> dict[str, Any]:
    call = order.call
    return {
        "call_id": call.call_id,
        "call_sid": None,
        "agent_name": call.agent_name,
        "direction": call.direction.value,
        "status": CallStatus.QUEUED.value,
        "from_number": call.from_number,
        "to_number": call.to_number,
        "variables": dict(call.variables),
        "overrides": dict(call.overrides) or None,
        "created_at": call.started_at,
        "recording_status": RecordingStatus.NONE.value,
        "owner": owner,
    }


async def _find(session: AsyncSession, call_id: str) -> Outgoing | None:
    query = (
        select(CallRow, OutgoingRow)
        .join(OutgoingRow, col(OutgoingRow.call_id) == col(CallRow.call_id))
        .where(col(CallRow.call_id) == call_id)
    )
    found = (await session.exec(query)).first()
    if found is None:
        return None
    attempts = select(AttemptRow).where(col(AttemptRow.call_id) == call_id).order_by(col(AttemptRow.number))
    return Outgoing(found[0], found[1], (await session.exec(attempts)).all())


async def _end_attempts(session: AsyncSession, call_id: str, outcome: AttemptOutcome, error_code: int | None) -> None:
    change = update(AttemptRow).where(col(AttemptRow.call_id) == call_id, col(AttemptRow.outcome).is_(None))
    await session.exec(change.values(outcome=outcome.value, error_code=error_code))


async def _check_room(session: AsyncSession, room: Room, now: datetime, *, but: str = "") -> None:
    """Raise `NoRoom` when a further call would be over a limit; nobody else counts until this transaction ends."""
    if room.most_calls is None and room.most_minutes is None:
        return
    if session.get_bind().dialect.name == "postgresql":  # SQLite has one writer at a time in any case
        await session.exec(text("SELECT pg_advisory_xact_lock(:id)").bindparams(id=_LOCK_ID))  # pyright: ignore[reportCallIssue, reportArgumentType]
    if room.most_calls is not None and await _count_open(session, but) >= room.most_calls:
        raise NoRoom(Lack.CALLS)
    if room.most_minutes is not None and await _count_minutes(session, now, but) >= room.most_minutes:
        raise NoRoom(Lack.SPEND)


async def _count_open(session: AsyncSession, but: str) -> int:
    """Calls that are about to be placed, ring, or are live."""
    query = (
        select(func.count())
        .select_from(CallRow)
        .join(OutgoingRow, col(OutgoingRow.call_id) == col(CallRow.call_id))
        .where(
            col(CallRow.status) != CallStatus.ENDED.value,
            col(CallRow.call_id) != but,
            or_(col(OutgoingRow.due_at).is_(None), col(OutgoingRow.dialled_at).is_not(None)),
        )
    )
    return (await session.exec(query)).one()


async def _count_minutes(session: AsyncSession, now: datetime, but: str) -> int:
    """Started minutes of the calls that were dialled today (UTC), those that are under way as far as they are."""
    today = now.astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    dialled = and_(col(OutgoingRow.dialled_at) >= today, col(OutgoingRow.call_id) != but)
    told = select(func.sum((col(OutgoingRow.answered_secs) + 59) // 60)).where(
        dialled, col(OutgoingRow.answered_secs).is_not(None)
    )
    untold = (
        select(CallRow.status, CallRow.live_at, CallRow.ended_at)
        .join(OutgoingRow, col(OutgoingRow.call_id) == col(CallRow.call_id))
        .where(dialled, col(OutgoingRow.answered_secs).is_(None))
        .where(or_(col(CallRow.status) != CallStatus.ENDED.value, col(CallRow.live_at).is_not(None)))
    )
    minutes = int((await session.exec(told)).first() or 0)
    for _status, live_at, ended_at in (await session.exec(untold)).all():
        secs = 0.0 if live_at is None else ((ended_at or now) - live_at).total_seconds()
        # One that still rings may be answered at any moment, and then costs a minute.
        minutes += max(1, -int(-secs // 60))
    return minutes
