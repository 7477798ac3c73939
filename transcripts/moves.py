"""Each move of a call's status, as the database itself writes it down: what happens to all calls, to be followed.

Rows are read in an order in which nothing turns up before what was read: a row of PostgreSQL is read once no earlier
transaction (`xid`) is under way; SQLite has one writer at a time. So whoever remembers where he was misses nothing and
reads nothing twice, in whichever process or machine the calls are.
"""

import re
from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import BigInteger, ColumnElement, literal_column
from sqlmodel import Field, ForeignKey, Index, and_, col, or_, select, text
from sqlmodel.ext.asyncio.session import AsyncSession

from storage.engine import Database
from storage.rows import Row
from transcripts.models import CallRow

_PLACE = re.compile(r"([0-9]{1,18})-([0-9]{1,18})")
_HORIZON: ColumnElement[int] = literal_column("pg_snapshot_xmin(pg_current_snapshot())::text::bigint", BigInteger)
_HIGHEST = text("SELECT seq FROM sqlite_sequence WHERE name = 'call_moves'")
_PIECE = 100
_MOST_SEQ = 2**31 - 1


class CallMoveRow(Row, table=True):
    """A call came to a status. Written by triggers of the database, see migration 0011."""

    __tablename__ = "call_moves"  # pyright: ignore[reportAssignmentType]
    __table_args__ = (Index(None, "xid", "seq"), Index(None, "call_id"), {"sqlite_autoincrement": True})

    seq: int | None = Field(default=None, primary_key=True)
    xid: int = Field(sa_type=BigInteger)
    """The transaction that moved it, in PostgreSQL; 0 in SQLite."""
    call_id: str = Field(sa_column_args=[ForeignKey("calls.call_id", ondelete="CASCADE")])
    agent_name: str
    status: str
    at: datetime


@dataclass(frozen=True, slots=True, order=True)
class Place:
    """Where somebody is who reads moves."""

    xid: int = 0
    seq: int = 0

    def __str__(self) -> str:
        """Return the place as text, as `read_place` reads it."""
        return f"{self.xid}-{self.seq}"


def read_place(text: str) -> Place | None:
    """Return the place; None when the text is none that there can be."""
    found = _PLACE.fullmatch(text)
    if found is None or int(found[2]) > _MOST_SEQ:
        return None
    return Place(int(found[1]), int(found[2]))


@dataclass(frozen=True, slots=True)
class Move:
    """One move, and what is known of its call by now."""

    place: Place
    call_id: str
    agent_name: str
    direction: str
    status: str
    end_reason: str | None
    at: datetime


class Moves:
    """Every method may raise `storage.errors.DatabaseAway`, and may then be repeated."""

    def __init__(self, db: Database) -> None:
        self._db = db

    async def last(self) -> Place:
        """Return the place behind all that can be read now."""
        xid, seq = col(CallMoveRow.xid), col(CallMoveRow.seq)
        async with self._db.reader() as session:
            query = select(CallMoveRow.xid, CallMoveRow.seq).where(*_settled(session))
            found = (await session.exec(query.order_by(xid.desc(), seq.desc()).limit(1))).first()
        return Place() if found is None else Place(found[0], found[1] or 0)

    async def after(self, place: Place, agents: Collection[str] | None = None) -> list[Move]:
        """Return the next moves behind a place, in order, some hundred at most; `agents`: of these only."""
        xid, seq = col(CallMoveRow.xid), col(CallMoveRow.seq)
        behind = or_(xid > place.xid, and_(xid == place.xid, seq > place.seq))
        query = (
            select(CallMoveRow, CallRow.direction, CallRow.end_reason)
            .join(CallRow, col(CallRow.call_id) == col(CallMoveRow.call_id))
            .where(behind)
        )
        if agents is not None:
            query = query.where(col(CallMoveRow.agent_name).in_(list(agents)))
        async with self._db.reader() as session:
            query = query.where(*_settled(session)).order_by(xid, seq).limit(_PIECE)
            rows: Any = (await session.exec(query)).all()
        return [
            Move(
                place=Place(row.xid, row.seq or 0),
                call_id=row.call_id,
                agent_name=row.agent_name,
                direction=direction,
                status=row.status,
                end_reason=end_reason if row.status == "ended" else None,
                at=row.at,
            )
            for row, direction, end_reason in rows
        ]

    async def is_possible(self, place: Place) -> bool:
        """Tell whether somebody can have been there: not in a database that was restored elsewhere since."""
        if self._db.kind == "sqlite":
            # Not the highest row's: the last calls may have been erased.
            async with self._db.reader() as session:
                highest = (await (await session.connection()).execute(_HIGHEST)).scalar()
                return place.xid == 0 and place.seq <= (highest or 0)
        async with self._db.reader() as session:
            return place.xid < ((await session.exec(select(_HORIZON))).one() or 0)


def _settled(session: AsyncSession) -> tuple[ColumnElement[bool], ...]:
    return (col(CallMoveRow.xid) < _HORIZON,) if session.get_bind().dialect.name == "postgresql" else ()
