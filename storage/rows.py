"""The base of every table, the one insert that is safe to repeat, and where sealed values are sealed and opened."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, cast

from sqlalchemy import Result, Table, event
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.orm import QueryContext, object_session, registry
from sqlalchemy.orm.attributes import set_committed_value
from sqlmodel import MetaData, SQLModel, inspect
from sqlmodel.ext.asyncio.session import AsyncSession

from storage.sealing import Stored, open_value, ring_of, seal_fields, sealed_columns

# Names that both databases agree on: without them SQLite's constraints are nameless and no migration can drop one.
_NAMING = {
    "ix": "ix_%(table_name)s_%(column_0_N_name)s",
    "uq": "uq_%(table_name)s_%(column_0_N_name)s",
    "ck": "ck_%(table_name)s_%(constraint_name)s",
    "fk": "fk_%(table_name)s_%(column_0_N_name)s_%(referred_table_name)s",
    "pk": "pk_%(table_name)s",
}


class Row(SQLModel, registry=registry(metadata=MetaData(naming_convention=_NAMING))):
    """A table's row. Subclasses say `table=True`; their tables are found in `Row.metadata`.

    What is private has a sealed column: see `storage.sealing`.
    """


async def insert_new(session: AsyncSession, table: type[Row], rows: Sequence[dict[str, Any]]) -> None:
    """As `insert_or_ignore`, for many rows of which nobody asks how many were new: one prepared statement for all.

    An insert that lists its rows is another statement for each number of them, and is compiled anew each time.
    """
    if not rows:
        return
    insert = postgresql.insert if session.get_bind().dialect.name == "postgresql" else sqlite.insert
    into = cast(Table, inspect(table).local_table)
    connection = await session.connection()
    sealed = [seal_fields(ring_of(session.info), table, row) for row in rows] if _is_sealed(table) else list(rows)
    await connection.execute(insert(into).on_conflict_do_nothing(), sealed)


async def insert_or_ignore(session: AsyncSession, table: type[Row], rows: Sequence[dict[str, Any]]) -> int:
    """Insert the rows that break no unique rule and return how many that were.

    Args:
        session: from `Database.writer()`.
        table: the row class.
        rows: one dict per row, plain, all with the same keys; a key left out takes the database's default.

    Of several callers inserting one unique key at once exactly one is told 1: both databases make the later one wait
    for the earlier one's commit.
    """
    if not rows:
        return 0
    insert = postgresql.insert if session.get_bind().dialect.name == "postgresql" else sqlite.insert
    sealed = [seal_fields(ring_of(session.info), table, row) for row in rows] if _is_sealed(table) else list(rows)
    # The rows are counted as they come back: an insert's rowcount is not told alike by the two databases.
    statement = insert(table).values(sealed).on_conflict_do_nothing()
    inserted = cast(Result[Any], await session.exec(statement.returning(*inspect(table).primary_key)))
    return len(inserted.all())


def sealed_values(session: AsyncSession, table: type[Row], key: Mapping[str, Any], **values: Any) -> dict[str, Any]:
    """Return what an update of one row writes, with what is private sealed.

    Args:
        session: from `Database.writer()`.
        table: the row class.
        key: what its seals are bound to, by column; the update must be of this row and no other.
        values: the new values, plain.
    """
    return seal_fields(ring_of(session.info), table, values, key)


def _is_sealed(table: type[SQLModel]) -> bool:
    return bool(sealed_columns(table).columns)


def _open(target: Row, info: Mapping[Any, Any], names: Iterable[str]) -> None:
    sealed = sealed_columns(type(target))
    values = target.__dict__
    for name in names:
        stored = values.get(name)
        if isinstance(stored, Stored):
            set_committed_value(target, name, open_value(ring_of(info), sealed, name, values, stored))


def _open_loaded(target: Row, context: QueryContext) -> None:
    _open(target, context.session.info, sealed_columns(type(target)).columns)


def _open_refreshed(target: Row, _context: QueryContext | None, _names: Iterable[str] | None) -> None:
    # Also what an update has left in the rows that its session knows, for which there is no query.
    session = object_session(target)
    if session is not None and _is_sealed(type(target)):
        _open(target, session.info, sealed_columns(type(target)).columns)


def _seal_added(_mapper: object, _connection: object, target: Row) -> None:
    session = object_session(target)
    assert session is not None, "it is being written by one"
    columns = inspect(type(target)).columns
    fields = {name: value for name, value in target.__dict__.items() if name in columns}
    if _is_sealed(type(target)):
        for name, value in seal_fields(ring_of(session.info), type(target), fields).items():
            if value is not fields.get(name):
                setattr(target, name, value)


def _seal_changed(_mapper: object, _connection: object, target: Row) -> None:
    session, names = object_session(target), sealed_columns(type(target)).columns
    assert session is not None, "it is being written by one"
    attributes = inspect(target).attrs
    changed = {name: target.__dict__[name] for name in names if attributes[name].history.has_changes()}
    for name, value in seal_fields(ring_of(session.info), type(target), changed, target.__dict__).items():
        setattr(target, name, value)


def _open_written(_mapper: object, _connection: object, target: Row) -> None:
    session = object_session(target)
    if session is not None and _is_sealed(type(target)):
        _open(target, session.info, sealed_columns(type(target)).columns)


event.listen(Row, "load", _open_loaded, propagate=True)
event.listen(Row, "refresh", _open_refreshed, propagate=True)
event.listen(Row, "before_insert", _seal_added, propagate=True)
event.listen(Row, "before_update", _seal_changed, propagate=True)
event.listen(Row, "after_insert", _open_written, propagate=True)
event.listen(Row, "after_update", _open_written, propagate=True)
