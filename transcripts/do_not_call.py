"""Numbers that asked not to be called: one that is listed is dialled for no agent, until it is taken off the list."""

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any, ClassVar

from sqlmodel import CheckConstraint, Field, Index, col, delete, select, update
from sqlmodel.ext.asyncio.session import AsyncSession

from storage.engine import Database
from storage.errors import DatabaseAway
from storage.key_ring import NUMBERS, KeyRing, number_index
from storage.keyset import Position, is_behind
from storage.rows import Row, insert_or_ignore
from storage.sealing import Seal, SealedText
from transcripts.entries import DoNotCallEntry

_AT_ONCE = 500
_PATIENCE_SECS = 2.0
"""How long a caller waits for the database to take his wish: then the disk does."""

KeepsEntry = Callable[[DoNotCallEntry], Awaitable[None]]
"""`transcripts.backlog.Backlog.keep_now`. Raises OSError."""


class Source(StrEnum):
    """By what way a number came onto the list."""

    API = "api"
    OPERATOR = "operator"
    FILE = "file"
    AGENT = "agent"
    """The person said so in a call."""


class DoNotCallRow(Row, table=True):
    """One number, found by its keyed hash. Of somebody who was erased there is nothing but the hash."""

    __tablename__ = "do_not_call"  # pyright: ignore[reportAssignmentType]
    __table_args__ = (
        CheckConstraint("source IN ('api', 'operator', 'file', 'agent')", name="source"),
        Index(None, "created_at", "number_index"),
    )
    seal: ClassVar[Seal] = Seal(("number_index",), {"number": ("number_index", NUMBERS)})

    number_index: str = Field(primary_key=True)
    number: str | None = Field(default=None, sa_type=SealedText)
    source: str
    noted_by: str
    """The API key's id, the call's id, or empty."""
    created_at: datetime


class DoNotCall:
    """The list. Numbers are E.164. Every method may raise `storage.errors.DatabaseAway`, and may then be repeated."""

    def __init__(self, db: Database, keep: KeepsEntry | None = None) -> None:
        """Take where the list is, and what keeps a promise on the disk; None where nothing is promised."""
        self._db = db
        self._keep = keep

    async def promise(self, number: str, call_id: str) -> bool:
        """Put the number of a call on the list because the person wishes it; False: the database is away.

        It is on the disk then, and a sweep writes it once the database is back, whatever becomes of this process.

        Raises:
            OSError: the disk does not take it either: nothing can be promised.
        """
        now = datetime.now(UTC)
        try:
            async with asyncio.timeout(_PATIENCE_SECS):
                await self.add(number, Source.AGENT, call_id, now=now)
        except (DatabaseAway, TimeoutError):
            if self._keep is None:
                raise OSError("there is no folder to keep promises in") from None
            await self._keep(DoNotCallEntry(call_id, number, now))
            return False
        return True

    def index(self, number: str) -> str:
        """Return the keyed hash that stands for a number."""
        return number_index(self._db.ring, number)

    async def add(self, number: str, source: Source, noted_by: str = "", *, now: datetime) -> bool:
        """Put a number on the list; False when it was on it. The first entry stands."""
        return await self.add_all([number], source, noted_by, now=now) == 1

    async def add_all(self, numbers: Iterable[str], source: Source, noted_by: str = "", *, now: datetime) -> int:
        """Put numbers on the list; returns how many were not on it."""
        rows = [_fields(self._db.ring, number, source, noted_by, now) for number in dict.fromkeys(numbers)]
        added = 0
        for first in range(0, len(rows), _AT_ONCE):
            async with self._db.writer() as session:
                added += await insert_or_ignore(session, DoNotCallRow, rows[first : first + _AT_ONCE])
        return added

    async def remove(self, number: str) -> bool:
        """Take a number off the list; False when it was not on it."""
        async with self._db.writer() as session:
            gone = delete(DoNotCallRow).where(col(DoNotCallRow.number_index) == self.index(number))
            return (await session.exec(gone)).rowcount == 1

    async def find(self, number: str) -> DoNotCallRow | None:
        """Return the entry of a number."""
        async with self._db.reader() as session:
            return await session.get(DoNotCallRow, self.index(number))

    async def list_entries(self, limit: int, behind: Position | None = None) -> list[DoNotCallRow]:
        """List entries, newest first; those behind a position only."""
        query = select(DoNotCallRow).order_by(
            col(DoNotCallRow.created_at).desc(), col(DoNotCallRow.number_index).desc()
        )
        if behind is not None:
            query = query.where(is_behind(behind, col(DoNotCallRow.created_at), col(DoNotCallRow.number_index)))
        async with self._db.reader() as session:
            return list((await session.exec(query.limit(limit))).all())


async def keep_promise(session: AsyncSession, ring: KeyRing, entry: DoNotCallEntry) -> None:
    """Put a number on the list as `DoNotCall.promise` does, in a transaction that is open."""
    fields = _fields(ring, entry.number, Source.AGENT, entry.call_id, entry.promised_at)
    await insert_or_ignore(session, DoNotCallRow, [fields])


def _fields(ring: KeyRing, number: str, source: Source, noted_by: str, now: datetime) -> dict[str, Any]:
    return {
        "number_index": number_index(ring, number),
        "number": number,
        "source": source.value,
        "noted_by": noted_by,
        "created_at": now,
    }


async def is_listed(session: AsyncSession, index: str) -> bool:
    """Whether the number with this keyed hash is on the list."""
    found = select(DoNotCallRow.number_index).where(col(DoNotCallRow.number_index) == index)
    return (await session.exec(found)).first() is not None


async def forget_number(session: AsyncSession, index: str) -> bool:
    """Leave of an entry nothing but the hash, so that the promise outlives the person's data; False: there is none.

    Who entered it goes too: it may be the id of a call that is erased.
    """
    change = update(DoNotCallRow).where(col(DoNotCallRow.number_index) == index)
    return (await session.exec(change.values(number=None, noted_by=""))).rowcount == 1
