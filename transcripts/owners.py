"""Which process holds which call, in the database; and the end of calls that nobody holds any more.

Every change says what it changes from, so any number of processes may close the same call: one of them does.
"""

import asyncio
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from loguru import logger
from sqlalchemy import ColumnElement, exists
from sqlmodel import and_, col, func, or_, select, update
from sqlmodel.ext.asyncio.session import AsyncSession

from storage.engine import Database
from storage.envelope import SealingError
from storage.known_keys import note_current, read_known
from storage.rows import insert_or_ignore
from transcripts.call import CallStatus, Direction, EndReason
from transcripts.instance import Instance
from transcripts.models import AttemptRow, CallEventRow, CallRow, ProcessRow, TurnRow

CRASH_EVENT = "server_crashed"
# A dead process's own log may be found later and goes on where it was; what is added here must not take its places.
_ROOM_FOR_OWNER = 1_000_000
# Calls of versions that named no owner: none of them still runs after this.
_OWNERLESS = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class Sign:
    """What the database knows of a process's life. `heartbeat_at` is None for a process that it does not know."""

    heartbeat_at: datetime | None
    has_ended: bool


class Owners:
    """Every method may raise `storage.errors.DatabaseAway`, and may then be repeated."""

    def __init__(self, db: Database) -> None:
        self._db = db
        self._noted_key: str | None = None

    @property
    def _sealing_key(self) -> str | None:
        return self._db.ring.current.key_id if self._db.ring.key_ids else None

    async def announce(self, instance: Instance) -> None:
        """Write a process down, before it takes its first call."""
        fields = {
            "name": instance.name,
            "host": instance.host,
            "started_at": instance.started_at,
            "heartbeat_at": instance.started_at,
            "ended_at": None,
            "sealing_key": self._sealing_key,
        }
        async with self._db.writer() as session:
            await insert_or_ignore(session, ProcessRow, [fields])

    async def beat(self, name: str) -> None:
        """Give a sign of life, and take up a new sealing key, of which somebody may wait to hear that it is in use."""
        ring = self._db.ring
        try:
            await asyncio.to_thread(ring.read_again)
        except SealingError as error:
            # The keys that it has stay good; the next start would be refused.
            logger.bind(problem=str(error)).error("the file of sealing keys cannot be used any more")
        if ring.is_usable and ring.current.key_id != self._noted_key:
            await note_current(self._db, ring, await read_known(self._db))
            self._noted_key = ring.current.key_id
        await self._change(name, heartbeat_at=datetime.now(UTC), sealing_key=self._sealing_key)

    async def list_other_keys(self, key_id: str, seen: Mapping[str, datetime]) -> set[str]:
        """Name the processes that live and seal with another key than this one.

        One lives when it has given a sign of life since it was `seen` (name -> sign of life, as `read_beats` told).
        """
        async with self._db.reader() as session:
            rows = await session.exec(select(ProcessRow).where(col(ProcessRow.ended_at).is_(None)))
            return {row.name for row in rows if row.sealing_key != key_id and row.heartbeat_at != seen.get(row.name)}

    async def read_beats(self) -> dict[str, datetime]:
        """Return the latest sign of life of every process that has not ended in order, by name."""
        async with self._db.reader() as session:
            rows = await session.exec(select(ProcessRow).where(col(ProcessRow.ended_at).is_(None)))
            return {row.name: row.heartbeat_at for row in rows}

    async def farewell(self, name: str) -> None:
        """Write down that the process ended in order: it holds no call any more."""
        await self._change(name, ended_at=datetime.now(UTC))

    async def list_owners(self) -> set[str]:
        """Name every process that holds a live call or is about to place one, as far as the database knows."""
        holds = or_(_is_live, _is_being_placed)
        query = select(CallRow.owner).where(holds, col(CallRow.owner).is_not(None)).distinct()
        async with self._db.reader() as session:
            return {owner for owner in await session.exec(query) if owner is not None}

    async def read_signs(self, names: Collection[str]) -> dict[str, Sign]:
        """Tell what is known of each of these processes."""
        query = select(ProcessRow).where(col(ProcessRow.name).in_(names))
        async with self._db.reader() as session:
            known = {row.name: Sign(row.heartbeat_at, row.ended_at is not None) for row in await session.exec(query)}
        return {name: known.get(name, Sign(None, has_ended=False)) for name in names}

    async def close_calls_of(self, owner: str) -> list[CallRow]:
        """End every live call of a dead process and return their rows as they are now.

        Those that it was about to place are nobody's from now on: whoever looks for such calls goes on with them.
        A call ended when it was last heard of: at the end of its last turn, or at its last event.
        """
        await self._release(owner)
        return await self._close(and_(_is_live, col(CallRow.owner) == owner), EndReason.SERVER_CRASHED)

    async def close_abandoned(self, now: datetime, ringing_secs: float) -> list[CallRow]:
        """End the calls that have rung for longer than `ringing_secs`, and return their rows as they are now.

        But for those that we placed: Twilio knows how they stand, and is asked (`calling`).
        So are live calls without an owner after a day: they are left over from versions that named none.
        """
        unanswered = and_(
            col(CallRow.status) == CallStatus.RINGING.value,
            col(CallRow.direction) != Direction.OUTBOUND.value,
            col(CallRow.created_at) < now - timedelta(seconds=ringing_secs),
        )
        left_over = and_(_is_live, col(CallRow.owner).is_(None), col(CallRow.live_at) < now - _OWNERLESS)
        closed = await self._close(unanswered, EndReason.NEVER_CONNECTED)
        return closed + await self._close(left_over, EndReason.SERVER_CRASHED)

    async def _change(self, name: str, **values: Any) -> None:
        async with self._db.writer() as session:
            await session.exec(update(ProcessRow).where(col(ProcessRow.name) == name).values(**values))

    async def _close(self, which: ColumnElement[bool], reason: EndReason) -> list[CallRow]:
        if not await self._find(which):
            return []
        closed: list[CallRow] = []
        async with self._db.writer() as session:
            for row in await session.exec(select(CallRow).where(which).order_by(col(CallRow.call_id))):
                last_ms = await _find_last_ms(session, row.call_id)
                ended_at = (row.live_at or row.created_at) + timedelta(milliseconds=last_ms)
                if not await _end(session, row, reason, ended_at):
                    continue
                if reason is EndReason.SERVER_CRASHED:
                    await _tell_crash(session, row, last_ms)
                await session.refresh(row)
                closed.append(row)
        return closed

    async def _release(self, owner: str) -> None:
        mine = and_(_is_being_placed, col(CallRow.owner) == owner)
        if await self._find(mine):
            async with self._db.writer() as session:
                await session.exec(update(CallRow).where(mine).values(owner=None))

    async def _find(self, which: ColumnElement[bool]) -> bool:
        # Most of the time there is nothing to do, and a writer would hold up SQLite's others for that.
        async with self._db.reader() as session:
            return (await session.exec(select(CallRow.call_id).where(which).limit(1))).first() is not None


_is_live = col(CallRow.status) == CallStatus.LIVE.value
_is_being_placed = and_(
    col(CallRow.status) != CallStatus.LIVE.value,
    or_(
        col(CallRow.status) == CallStatus.QUEUED.value,
        exists().where(col(AttemptRow.call_id) == col(CallRow.call_id), col(AttemptRow.outcome).is_(None)),
    ),
)


async def _end(session: AsyncSession, row: CallRow, reason: EndReason, ended_at: datetime) -> bool:
    change = update(CallRow).where(col(CallRow.call_id) == row.call_id, col(CallRow.status) == row.status)
    values = {"status": CallStatus.ENDED.value, "end_reason": reason.value, "ended_at": ended_at}
    return (await session.exec(change.values(**values))).rowcount == 1


async def _find_last_ms(session: AsyncSession, call_id: str) -> int:
    turns = select(func.max(col(TurnRow.end_ms))).where(col(TurnRow.call_id) == call_id)
    events = select(func.max(col(CallEventRow.at_ms))).where(col(CallEventRow.call_id) == call_id)
    # Both are NULL for a call of which nothing was told.
    last_turn_ms, last_event_ms = (await session.exec(turns)).first(), (await session.exec(events)).first()
    return max(0, last_turn_ms or 0, last_event_ms or 0)


async def _tell_crash(session: AsyncSession, row: CallRow, at_ms: int) -> None:
    query = select(func.max(col(CallEventRow.seq))).where(col(CallEventRow.call_id) == row.call_id)
    last_seq = (await session.exec(query)).first()
    fields = {
        "call_id": row.call_id,
        "seq": (-1 if last_seq is None else last_seq) + 1 + _ROOM_FOR_OWNER,
        "at_ms": at_ms,
        "kind": CRASH_EVENT,
        "data": {"owner": row.owner},
    }
    await insert_or_ignore(session, CallEventRow, [fields])
