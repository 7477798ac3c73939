"""What is held on one telephone number, found by its keyed hash: its calls, and whatever rows refer to them.

Tables are not named here: every one that refers to `calls.call_id` is found by that, also one that was added later.
"""

from collections.abc import AsyncGenerator, Iterator, Sequence
from typing import Any, cast

from sqlalchemy import Table
from sqlmodel import SQLModel, col, func, inspect, or_, select
from sqlmodel.ext.asyncio.session import AsyncSession

from aftercall.models import AnalysisRow, CostRow, DeliveryRow, UsageRow
from privacy.tables import ExpiredRow
from storage.engine import Database
from storage.key_ring import number_index
from storage.rows import Row
from transcripts.call import CallStatus
from transcripts.do_not_call import DoNotCallRow
from transcripts.models import AttemptRow, CallRow, RecordRow, TransferRow
from transcripts.word_index import WordHashRow

_AT_ONCE = 200
_KNOWN = (AnalysisRow, CostRow, DeliveryRow, UsageRow, ExpiredRow, WordHashRow)
"""Tables of rooms that a program need not have opened otherwise: once imported, they are found like all others."""


def of_calls() -> Iterator[tuple[type[Row], str, str]]:
    """Yield the row classes that hang on a call: class, the column with the call's id, and what becomes of them.

    The last is `CASCADE` for rows that go with their call and `SET NULL` for those that outlive it.
    """
    for row_class in sorted(Row.__subclasses__(), key=lambda row_class: row_class.__name__):
        table = cast(Table, inspect(row_class).local_table)
        for key in table.foreign_keys:
            if key.column.table.name == "calls":
                yield row_class, key.parent.name, key.ondelete or ""


def is_of(index: str) -> Any:
    """Return the condition for calls from or to the number with this keyed hash."""
    return or_(col(CallRow.from_index) == index, col(CallRow.to_index) == index)


async def list_under_way(session: AsyncSession, index: str) -> list[str]:
    """Name the calls of a number that ring, are live, or are being dialled at this moment."""
    dialling = (
        select(AttemptRow.call_id).where(
            col(AttemptRow.call_id) == col(CallRow.call_id), col(AttemptRow.outcome).is_(None)
        )
    ).exists()
    is_moving = or_(
        col(CallRow.status).in_([CallStatus.RINGING.value, CallStatus.LIVE.value]),
        (col(CallRow.status) == CallStatus.QUEUED.value) & dialling,
    )
    return list((await session.exec(select(CallRow.call_id).where(is_of(index), is_moving))).all())


async def list_queued(session: AsyncSession, index: str) -> list[str]:
    """Name the calls that wait to be placed to a number."""
    queued = col(CallRow.status) == CallStatus.QUEUED.value
    return list((await session.exec(select(CallRow.call_id).where(is_of(index), queued))).all())


async def list_ended(session: AsyncSession, index: str, limit: int, behind: str = "") -> list[CallRow]:
    """Return the calls of a number that are over, in the order of their ids, those behind an id only."""
    ended = (is_of(index), col(CallRow.status) == CallStatus.ENDED.value, col(CallRow.call_id) > behind)
    return list((await session.exec(select(CallRow).where(*ended).order_by(col(CallRow.call_id)).limit(limit))).all())


async def count_rows(session: AsyncSession, call_ids: Sequence[str]) -> dict[str, int]:
    """Count what hangs on calls, by the name of its table; what there is none of is left out."""
    counts: dict[str, int] = {}
    for row_class, column, _ in of_calls():
        named = col(getattr(row_class, column)).in_(call_ids)
        found = (await session.exec(select(func.count()).select_from(cast(Any, row_class)).where(named))).one()
        if found:
            counts[table_name(row_class)] = counts.get(table_name(row_class), 0) + found
    return counts


async def scan_records(db: Database, number: str) -> AsyncGenerator[RecordRow]:
    """Yield the bots' records that have the number in them, whatever call they are of. Reads all records."""
    async for row in _scan(db, RecordRow, "id"):
        if mentions(row.data, number) or mentions(row.key, number):
            yield row


async def scan_transfers(db: Database, number: str) -> AsyncGenerator[TransferRow]:
    """Yield the transfers that rang this number for others. Reads all transfers."""
    async for row in _scan(db, TransferRow, "transfer_id"):
        if mentions(row.address, number):
            yield row


async def scan_attempts(db: Database, number: str) -> AsyncGenerator[CallRow]:
    """Yield the calls of others in which the number was rung for them. Reads all calls that were put through."""
    was_put_through = or_(col(CallRow.transfer_attempts).is_not(None), col(CallRow.next_step).is_not(None))
    async for row in _scan(db, CallRow, "call_id", was_put_through):
        if mentions(row.transfer_attempts, number) or mentions(row.next_step, number):
            yield row


async def _scan(db: Database, row_class: type[Any], key: str, *conditions: Any) -> AsyncGenerator[Any]:
    column, behind = col(getattr(row_class, key)), None
    while True:
        query = select(row_class).where(*conditions).order_by(column).limit(_AT_ONCE)
        if behind is not None:
            query = query.where(column > behind)
        async with db.reader() as session:
            rows = list((await session.exec(query)).all())
        for row in rows:
            yield row
        if len(rows) < _AT_ONCE:
            return
        behind = getattr(rows[-1], key)


async def find_number(db: Database, index: str) -> str | None:
    """Return the number that has this keyed hash; None when it is held nowhere. May read all transfers."""
    async for number in _numbers(db, index):
        if number and number_index(db.ring, number) == index:
            return number
    return None


async def _numbers(db: Database, index: str) -> AsyncGenerator[str | None]:
    """Yield the numbers that may have this keyed hash, the likely ones first."""
    async with db.reader() as session:
        call = (await session.exec(select(CallRow).where(is_of(index)).limit(1))).first()
        listed = (await session.exec(select(DoNotCallRow).where(col(DoNotCallRow.number_index) == index))).first()
    if call is not None:
        yield call.from_number
        yield call.to_number
    if listed is not None:
        yield listed.number
    async for transfer in _scan(db, TransferRow, "transfer_id"):
        yield transfer.address
    async for row in _scan(db, CallRow, "call_id", col(CallRow.transfer_attempts).is_not(None)):
        attempts: list[dict[str, Any]] = row.transfer_attempts or []
        for attempt in attempts:
            yield str(attempt.get("address") or "")


def mentions(value: Any, number: str) -> bool:
    """Whether a value as JSON holds it has this number in one of its texts, also as the beginning of a SIP address."""
    if isinstance(value, str):
        at = value.find(number)
        while at >= 0:
            if not value[at + len(number) : at + len(number) + 1].isdigit():
                return True
            at = value.find(number, at + 1)
        return False
    if isinstance(value, dict):
        return any(
            mentions(key, number) or mentions(below, number) for key, below in cast(dict[Any, Any], value).items()
        )
    if isinstance(value, list | tuple):
        return any(mentions(below, number) for below in cast(list[Any], value))
    return False


def without(value: Any, number: str) -> Any:
    """Return a value as JSON holds it, in which the number stands nowhere any more."""
    if isinstance(value, str):
        return value.replace(number, ERASED) if mentions(value, number) else value
    if isinstance(value, dict):
        return {without(key, number): without(below, number) for key, below in cast(dict[Any, Any], value).items()}
    if isinstance(value, list | tuple):
        return [without(below, number) for below in cast(list[Any], value)]
    return value


ERASED = "[erased]"
"""What stands where a number stood in what is somebody else's."""


def table_name(row_class: type[SQLModel]) -> str:
    """Return the name of a row class's table."""
    return str(cast(Table, inspect(row_class).local_table).name)
