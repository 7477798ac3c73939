"""Numbers that asked not to be called: one that is listed is dialled for no agent, until it is taken off the list."""

import asyncio
from collections.abc import Iterable
from datetime import UTC, datetime
from enum import StrEnum
from typing import ClassVar

from loguru import logger
from sqlmodel import CheckConstraint, Field, Index, col, delete, select, update
from sqlmodel.ext.asyncio.session import AsyncSession

from storage.engine import Database
from storage.errors import DatabaseAway
from storage.key_ring import NUMBERS, number_index
from storage.keyset import Position, is_behind
from storage.rows import Row, insert_or_ignore
from storage.sealing import Seal, SealedText

_AT_ONCE = 500
_AGAIN_SECS = 5.0


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

    def __init__(self, db: Database) -> None:
        self._db = db
        self._promised: set[asyncio.Task[None]] = set()

    async def promise(self, number: str, call_id: str) -> bool:
        """Put the number of a call on the list because the person wishes it; False: the database is away.

        It is then written as soon as the database is back, for as long as this process lives.
        """
        try:
            await self.add(number, Source.AGENT, call_id, now=datetime.now(UTC))
        except DatabaseAway:
            task = asyncio.create_task(self._keep_promise(number, call_id), name=f"enter the number of call {call_id}")
            self._promised.add(task)
            task.add_done_callback(self._promised.discard)
            return False
        return True

    async def close(self) -> None:
        """Give up what could not be written; the log says so."""
        for task in self._promised:
            task.cancel()
        if self._promised:
            logger.bind(numbers=len(self._promised)).error("numbers that nobody may call could not be written down")
            await asyncio.gather(*self._promised, return_exceptions=True)

    async def _keep_promise(self, number: str, call_id: str) -> None:
        while True:
            await asyncio.sleep(_AGAIN_SECS)
            try:
                await self.add(number, Source.AGENT, call_id, now=datetime.now(UTC))
            except DatabaseAway:
                continue
            logger.bind(call_id=call_id).info("a number that nobody may call was written down late")
            return

    def index(self, number: str) -> str:
        """Return the keyed hash that stands for a number."""
        return number_index(self._db.ring, number)

    async def add(self, number: str, source: Source, noted_by: str = "", *, now: datetime) -> bool:
        """Put a number on the list; False when it was on it. The first entry stands."""
        return await self.add_all([number], source, noted_by, now=now) == 1

    async def add_all(self, numbers: Iterable[str], source: Source, noted_by: str = "", *, now: datetime) -> int:
        """Put numbers on the list; returns how many were not on it."""
        rows = [
            {
                "number_index": self.index(number),
                "number": number,
                "source": source.value,
                "noted_by": noted_by,
                "created_at": now,
            }
            for number in dict.fromkeys(numbers)
        ]
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
