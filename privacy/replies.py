"""Stored answers to repeated requests that tell of a person: they are forgotten with him."""

from collections.abc import Sequence

from sqlmodel import col, delete, select

from privacy import receipts
from storage.engine import Database
from storage.idempotency import RepeatableRow

_AT_ONCE = 200


async def forget_replies(db: Database, words: Sequence[str], receipt_id: str) -> int:
    """Forget every stored answer that has one of these words in it: numbers, call ids. Returns how many those were.

    Answers are kept for a day, so there are few, and all of them are looked at.
    """
    forgotten, behind = 0, ""
    while True:
        query = select(RepeatableRow).where(col(RepeatableRow.slot) > behind).order_by(col(RepeatableRow.slot))
        async with db.reader() as session:
            rows = list((await session.exec(query.limit(_AT_ONCE))).all())
        slots = [row.slot for row in rows if _tells(row, words)]
        if slots:
            async with db.writer() as session:
                gone = await session.exec(delete(RepeatableRow).where(col(RepeatableRow.slot).in_(slots)))
                forgotten += gone.rowcount
                await receipts.add_counts(session, receipt_id, {"stored answers": gone.rowcount})
        if len(rows) < _AT_ONCE:
            return forgotten
        behind = rows[-1].slot


def _tells(row: RepeatableRow, words: Sequence[str]) -> bool:
    texts = (row.body or "", *(str(value) for value in (row.headers or {}).values()))
    return any(word in text for text in texts for word in words)
