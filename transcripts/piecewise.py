"""A call's turns and events, read a piece at a time: a long call must neither fill the memory nor hold up the loop."""

import asyncio
from collections.abc import AsyncGenerator

from sqlmodel import col, select

from storage.engine import Database
from transcripts.models import CallEventRow, TurnRow

_PIECE = 100


async def read_events(db: Database, call_id: str, after_seq: int = -1) -> AsyncGenerator[list[CallEventRow]]:
    """Yield a call's events whose `seq` is larger than `after_seq`, by `seq`, in pieces. Raises `DatabaseAway`."""
    while True:
        query = select(CallEventRow).where(col(CallEventRow.call_id) == call_id, col(CallEventRow.seq) > after_seq)
        async with db.reader() as session:
            rows = list((await session.exec(query.order_by(col(CallEventRow.seq)).limit(_PIECE))).all())
        if rows:
            after_seq = rows[-1].seq
            yield rows
        if len(rows) < _PIECE:
            return
        await asyncio.sleep(0)


async def read_turns(db: Database, call_id: str) -> AsyncGenerator[list[TurnRow]]:
    """Yield a call's turns as they ended, by `position`, in pieces. Raises `DatabaseAway`."""
    after = -1
    while True:
        query = select(TurnRow).where(col(TurnRow.call_id) == call_id, col(TurnRow.position) > after)
        async with db.reader() as session:
            rows = list((await session.exec(query.order_by(col(TurnRow.position)).limit(_PIECE))).all())
        if rows:
            after = rows[-1].position
            yield rows
        if len(rows) < _PIECE:
            return
        await asyncio.sleep(0)
