"""Rows sealed that are not yet, and rows whose seal is of an older key: a batch at a time, by anybody, at any time.

A row is changed only if it is still what was read, so whoever else changes it meanwhile has the last word, and two who
do this at once do no harm. What is done is found done: it may be interrupted anywhere and begun again.
"""

import asyncio
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, cast

from loguru import logger
from sqlalchemy import ColumnElement, Table, bindparam, case, func, literal, or_, select, tuple_, type_coerce, update
from sqlmodel import String, inspect

from storage.engine import Database
from storage.envelope import PREFIX, SealBroken, rewrap_text
from storage.errors import DatabaseAway
from storage.key_ring import KeyRing
from storage.known_keys import SealedTableRow, read_sealed_tables
from storage.rows import Row, insert_or_ignore
from storage.sealing import Sealed, Stored, open_value, seal_fields, sealed_columns

BATCH = 200
IN_THE_CLEAR = ""
"""Instead of a key id: how many values are not sealed."""
_PAUSE_SECS = 0.05
_RETRY_SECS = 5.0


@dataclass(frozen=True, slots=True)
class Batch:
    """What was done to one batch of rows. `last` is the primary key to go on behind; None: the table is through."""

    changed: int = 0
    broken: int = 0
    """Rows with a value that does not open; they are left as they are."""
    last: tuple[Any, ...] | None = None


def sealed_tables() -> list[type[Row]]:
    """List the row classes with sealed columns, of all rooms that have been imported."""

    def below(of: type[Row]) -> Iterator[type[Row]]:
        for each in of.__subclasses__():
            yield each
            yield from below(each)

    tables = {_name(each): each for each in below(Row) if hasattr(each, "__table__") and sealed_columns(each).columns}
    return [tables[name] for name in sorted(tables)]


async def turn_batch(
    db: Database, table: type[Row], after: tuple[Any, ...] | None, *, is_rotation: bool, size: int = BATCH
) -> Batch:
    """Seal what is in the clear in the next rows that need it; in a rotation also give seals of old keys a new one.

    Raises:
        DatabaseAway: nothing or all of the batch was changed; it may be repeated.
        SealingKeyMissing: a key is not here.
    """
    sealed, local = sealed_columns(table), _table(table)
    keys = [local.c[column.name] for column in local.primary_key]
    wanted = {*(column.name for column in keys), *sealed.seal.bound_to, *sealed.columns}
    wanted |= {index for index, _purpose in sealed.seal.indexes.values()}
    start = f"{PREFIX}{db.ring.current.key_id}:" if is_rotation else PREFIX
    query = select(*(local.c[name] for name in sorted(wanted))).where(
        or_(*(_begins_otherwise(local.c[name], start) for name in sealed.columns))
    )
    if after is not None:
        behind = tuple_(*keys) > tuple_(*(literal(value, key.type) for value, key in zip(after, keys, strict=True)))
        query = query.where(behind if len(keys) > 1 else keys[0] > after[0])
    async with db.reader() as session:
        found = await (await session.connection()).execute(query.order_by(*keys).limit(size))
        rows = [dict(row) for row in found.mappings()]
    # Some milliseconds of work for the processor: not on the loop that voices are on.
    changes, broken = await asyncio.to_thread(_turn, db.ring, table, rows, is_rotation=is_rotation)
    if changes:
        await _write(db, local, sealed, changes)
    last = tuple(rows[-1][key.name] for key in keys) if len(rows) == size else None
    return Batch(len(changes), broken, last)


async def seal_old_rows(db: Database, *, pause: bool = True) -> int:
    """Seal what versions without seals have left, table by table, each once and for all. Returns how many rows.

    From then on this process takes nothing in the clear from any of them; others do the same when they come to it.
    Raises as `turn_batch`.
    """
    done = await read_sealed_tables(db)
    left = [table for table in sealed_tables() if not (_name(table) in done or db.ring.is_sealed_wholly(_name(table)))]
    # All tables of a new database at once.
    if empty := await _find_empty(db, left):
        await _note_sealed(db, *empty)
    changed = 0
    for table in sealed_tables():
        name = _name(table)
        if table in left and name not in empty:
            changed += await _seal_wholly(db, table, pause=pause)
        # Also what another process, or an errand, has sealed meanwhile.
        db.ring.add_sealed_table(name)
    if changed:
        await db.scrub()
        logger.bind(rows=changed).info("what versions without seals have left in the clear is sealed")
    return changed


async def _seal_wholly(db: Database, table: type[Row], *, pause: bool) -> int:
    """Seal a table until a whole pass finds nothing to seal, and note that; returns how many rows it was."""
    name, total = _name(table), 0
    while True:
        changed, broken = await turn_table(db, table, is_rotation=False, pause=pause)
        total += changed
        # A row that somebody changed between its reading and its sealing has been left as it was: hence the next pass.
        if not changed:
            break
    if broken:
        logger.bind(table=name, rows=broken).error("rows cannot be sealed: what is in them cannot be read")
    await _note_sealed(db, name)
    return total


async def _find_empty(db: Database, tables: Sequence[type[Row]]) -> list[str]:
    """Return the names of those tables that have no row."""
    async with db.reader() as session:
        connection = await session.connection()
        return [
            _name(table)
            for table in tables
            if (await connection.execute(select(literal(1)).select_from(_table(table)).limit(1))).first() is None
        ]


async def _note_sealed(db: Database, *names: str) -> None:
    now = datetime.now(UTC)
    async with db.writer() as session:
        await insert_or_ignore(session, SealedTableRow, [{"name": name, "sealed_at": now} for name in names])


async def find_clear_rows(db: Database, most: int) -> tuple[int, list[str]]:
    """Look for values in the clear in tables that were sealed wholly. Reads all of them; opens nothing, needs no keys.

    Returns how many rows have any, and where the first `most` of them are: `table.column of the row id = ...`.

    Raises:
        DatabaseAway: the database does not answer.
    """
    wholly = await read_sealed_tables(db)
    count, places = 0, list[str]()
    async with db.reader() as session:
        connection = await session.connection()
        for table in sealed_tables():
            if _name(table) not in wholly:
                continue
            sealed, local = sealed_columns(table), _table(table)
            is_clear = or_(*(_begins_otherwise(local.c[name], PREFIX) for name in sealed.columns))
            of_table = (await connection.execute(select(func.count()).select_from(local).where(is_clear))).scalar_one()
            count += of_table
            if not of_table or len(places) >= most:
                continue
            wanted = sorted({*sealed.seal.bound_to, *sealed.columns})
            query = select(*(local.c[name] for name in wanted)).where(is_clear).limit(most - len(places))
            for found in (await connection.execute(query)).mappings():
                row = {name: found[name] for name in wanted}
                clear = (name for name in sealed.columns if row[name] is not None and row[name].key_id is None)
                places.append(f"{sealed.table}.{next(clear, '?')} of the row {sealed.name_row(row)}")
    return count, places


async def turn_table(
    db: Database,
    table: type[Row],
    *,
    is_rotation: bool,
    pause: bool,
    tell: Callable[[int], None] = lambda _rows: None,
) -> tuple[int, int]:
    """Go through a table once. Returns how many rows were changed, and how many have a value that does not open.

    `tell` is called with the rows changed so far; with `pause` others have the database half of the time. Raises as
    `turn_batch`.
    """
    after: tuple[Any, ...] | None = None
    changed = broken = 0
    while True:
        began = time.monotonic()
        batch = await turn_batch(db, table, after, is_rotation=is_rotation)
        changed, broken, after = changed + batch.changed, broken + batch.broken, batch.last
        if batch.changed:
            tell(changed)
        if after is None:
            return changed, broken
        if pause:
            await asyncio.sleep(_PAUSE_SECS + time.monotonic() - began)


async def keep_sealing(db: Database) -> None:
    """Do `seal_old_rows`, however often the database goes away meanwhile; for a task beside the calls."""
    while True:
        try:
            await seal_old_rows(db)
            return
        except DatabaseAway:
            await asyncio.sleep(_RETRY_SECS)


async def count_values(db: Database) -> dict[str, dict[str, int]]:
    """Count sealed values: `table.column` -> key id, or `IN_THE_CLEAR`, -> how many. Reads everything.

    Raises:
        DatabaseAway: the database does not answer.
    """
    counts: dict[str, dict[str, int]] = {}
    async with db.reader() as session:
        connection = await session.connection()
        for table in sealed_tables():
            for name in sealed_columns(table).columns:
                column = type_coerce(_table(table).c[name], String)
                rest = func.substr(column, len(PREFIX) + 1, 40)
                find = func.strpos if db.kind == "postgresql" else func.instr
                key_id = case(
                    (func.substr(column, 1, len(PREFIX)) == PREFIX, func.substr(rest, 1, find(rest, ":") - 1)),
                    else_=IN_THE_CLEAR,
                )
                query = select(key_id, func.count()).where(column.is_not(None)).group_by(key_id)
                counts[f"{_name(table)}.{name}"] = {row[0]: row[1] for row in await connection.execute(query)}
    return counts


async def find_unknown_tables(db: Database) -> list[str]:
    """Name the tables of the database (DBOS's schema aside) that no imported room has declared."""
    async with db.reader() as session:
        there = await (await session.connection()).run_sync(lambda connection: inspect(connection).get_table_names())
    return sorted(set(there) - set(Row.metadata.tables) - {"alembic_version"})


def _turn(
    ring: KeyRing, table: type[Row], rows: Sequence[dict[str, Any]], *, is_rotation: bool
) -> tuple[list[tuple[dict[str, Any], dict[str, Any]]], int]:
    """Return (row as it was, its new values) for each row that changes, and how many do not open."""
    changes: list[tuple[dict[str, Any], dict[str, Any]]] = []
    broken = 0
    sealed = sealed_columns(table)
    for row in rows:
        stored = {name: row[name] for name in sealed.columns if isinstance(row[name], Stored)}
        try:
            if any(value.key_id is None for value in stored.values()):
                plain = {name: open_value(ring, sealed, name, row, value) for name, value in stored.items()}
                changes.append((row, _resealed(ring, table, row, plain)))
            elif is_rotation:
                current = ring.current.key_id
                changes.append((
                    row,
                    {
                        name: Stored(rewrap_text(value.text, sealed.place(name, row), ring))
                        for name, value in stored.items()
                        if value.key_id != current
                    },
                ))  # fmt: skip
        except SealBroken:
            broken += 1
    return changes, broken


def _resealed(ring: KeyRing, table: type[Row], row: dict[str, Any], plain: dict[str, Any]) -> dict[str, Any]:
    # What a seal is bound to may itself be a keyed hash that is made now: everything is sealed anew.
    of_row = {name: value for name, value in row.items() if name not in plain}
    made = seal_fields(ring, table, of_row | plain)
    indexes = {index for index, _purpose in sealed_columns(table).seal.indexes.values()}
    return {name: made[name] for name in plain.keys() | indexes}


async def _write(
    db: Database, local: Table, sealed: Sealed, changes: Sequence[tuple[dict[str, Any], dict[str, Any]]]
) -> None:
    keys = [column.name for column in local.primary_key]
    # One prepared statement for all rows in which the same columns change.
    alike: dict[tuple[tuple[str, ...], tuple[str, ...]], list[dict[str, Any]]] = {}
    for before, values in changes:
        held = tuple(sorted(name for name in values if name in sealed.columns))
        parameters = {f"key_{name}": before[name] for name in keys}
        parameters |= {f"old_{name}": before[name] for name in held}
        parameters |= {f"new_{name}": value for name, value in values.items()}
        alike.setdefault((tuple(sorted(values)), held), []).append(parameters)
    async with db.writer() as session:
        connection = await session.connection()
        for (names, held), parameters in alike.items():
            change = update(local).where(
                *(local.c[name] == bindparam(f"key_{name}") for name in keys),
                *(local.c[name] == bindparam(f"old_{name}") for name in held),
            )
            await connection.execute(change.values({name: bindparam(f"new_{name}") for name in names}), parameters)


def _begins_otherwise(column: ColumnElement[Any], start: str) -> ColumnElement[bool]:
    text = type_coerce(column, String)
    return text.is_not(None) & (func.substr(text, 1, len(start)) != start)


def _table(table: type[Row]) -> Table:
    return cast(Table, inspect(table).local_table)


def _name(table: type[Row]) -> str:
    return _table(table).name
