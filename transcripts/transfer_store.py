"""Warm transfers in the database."""

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Literal

from sqlmodel import col, select, update

from storage.engine import Database
from storage.rows import insert_or_ignore
from transcripts.models import TransferRow
from transcripts.transfer import NEXT, OVER, TransferEvent, TransferStatus, after

Party = Literal["caller", "person"]


@dataclass(frozen=True, slots=True)
class Move:
    """What became of an event. `row` is as it is afterwards; nothing changed when `before` and `now` are the same."""

    row: TransferRow
    before: TransferStatus
    now: TransferStatus

    @property
    def is_change(self) -> bool:
        """Whether the event had an effect."""
        return self.before is not self.now


class TransferStore:
    """Every method may raise `storage.errors.DatabaseAway`, and may then be repeated."""

    def __init__(self, db: Database) -> None:
        self._db = db

    async def open(self, row: TransferRow) -> None:
        """Write an attempt down; safe to repeat."""
        async with self._db.writer() as session:
            await insert_or_ignore(session, TransferRow, [row.model_dump()])

    async def get(self, transfer_id: str) -> TransferRow | None:
        """Find an attempt."""
        async with self._db.reader() as session:
            return await session.get(TransferRow, transfer_id)

    async def find_open(self, call_id: str) -> TransferRow | None:
        """Find the attempt of this call that is under way, if any: the latest one that has not ended."""
        query = select(TransferRow).where(
            col(TransferRow.call_id) == call_id, col(TransferRow.status).in_([status.value for status in NEXT])
        )
        async with self._db.reader() as session:
            return (await session.exec(query.order_by(col(TransferRow.created_at).desc()))).first()

    async def list_of(self, call_id: str) -> list[TransferRow]:
        """List the attempts of a call, first to last."""
        query = select(TransferRow).where(col(TransferRow.call_id) == call_id)
        async with self._db.reader() as session:
            return list((await session.exec(query.order_by(col(TransferRow.created_at)))).all())

    async def tell(self, transfer_id: str, event: TransferEvent) -> Move | None:
        """Make the move that follows from an event; of any number of processes one makes it. None: no such transfer."""
        while True:
            row = await self.get(transfer_id)
            if row is None:
                return None
            before = TransferStatus(row.status)
            now = after(before, event)
            if now is before or await self._set(transfer_id, now, before):
                return Move(row, before, now)

    async def keep(self, transfer_id: str, status: TransferStatus, leg_sid: str | None) -> None:
        """Write down where the process that holds the call has brought it."""
        values = {"leg_sid": leg_sid, "status": status.value, **_end(status)}
        # Whoever rescues what a dead process left may have ended it; an end stays.
        is_open = col(TransferRow.status).in_([each.value for each in NEXT])
        change = update(TransferRow).where(col(TransferRow.transfer_id) == transfer_id, is_open)
        async with self._db.writer() as session:
            await session.exec(change.values(**values))

    async def join(self, transfer_id: str, party: Party, at: datetime) -> bool:
        """Write down when somebody came into the room. Returns False when he was there already."""
        joined = TransferRow.caller_joined_at if party == "caller" else TransferRow.person_joined_at
        change = update(TransferRow).where(col(TransferRow.transfer_id) == transfer_id, col(joined).is_(None))
        async with self._db.writer() as session:
            return (await session.exec(change.values({f"{party}_joined_at": at}))).rowcount == 1

    async def _set(self, transfer_id: str, now: TransferStatus, before: TransferStatus) -> bool:
        is_as_before = col(TransferRow.status) == before.value
        change = update(TransferRow).where(col(TransferRow.transfer_id) == transfer_id, is_as_before)
        async with self._db.writer() as session:
            return (await session.exec(change.values(status=now.value, **_end(now)))).rowcount == 1


def _end(status: TransferStatus) -> dict[str, datetime]:
    return {"ended_at": datetime.now(UTC)} if status in OVER else {}
