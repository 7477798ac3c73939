"""A call's turns and events, read a piece at a time: a long call must neither fill the memory nor hold up the loop."""

import asyncio
from collections.abc import AsyncGenerator, Callable
from typing import TypeVar

from sqlalchemy.orm import Mapped
from sqlmodel import col, select
from sqlmodel.sql.expression import SelectOfScalar

from storage.engine import Database
from transcripts.models import CallEventRow, TurnRow

_PIECE = 100

_Row = TypeVar("_Row")


def read_events(db: Database, call_id: str, after_seq: int = -1) -> AsyncGenerator[list[CallEventRow]]:
    """Yield a call's events whose `seq` is larger than `after_seq`, by `seq`, in pieces. Raises `DatabaseAway`."""
    events = select(CallEventRow).where(col(CallEventRow.call_id) == call_id)
    return _in_pieces(db, events, col(CallEventRow.seq), lambda event: event.seq, after_seq)


def read_turns(db: Database, call_id: str) -> AsyncGenerator[list[TurnRow]]:
    """Yield a call's turns as they ended, by `position`, in pieces. Raises `DatabaseAway`."""
    turns = select(TurnRow).where(col(TurnRow.call_id) == call_id)
    return _in_pieces(db, turns, col(TurnRow.position), lambda turn: turn.position, -1)


async def _in_pieces(
    db: Database, of_call: SelectOfScalar[_Row], column: Mapped[int], place: Callable[[_Row], int], after: int
) -> AsyncGenerator[list[_Row]]:
    """Yield rows in the order of a column, beginning behind `after`; `place` is what a row has in that column."""
    while True:
        async with db.reader() as session:
            rows = list((await session.exec(of_call.where(column > after).order_by(column).limit(_PIECE))).all())
        if rows:
            after = place(rows[-1])
            yield rows
        if len(rows) < _PIECE:
            return
        await asyncio.sleep(0)
