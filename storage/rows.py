"""The base of every table, and the one insert that is safe to repeat."""

from collections.abc import Sequence
from typing import Any, cast

from sqlalchemy import Result, Table
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.orm import registry
from sqlmodel import MetaData, SQLModel, inspect
from sqlmodel.ext.asyncio.session import AsyncSession

# Names that both databases agree on: without them SQLite's constraints are nameless and no migration can drop one.
_NAMING = {
    "ix": "ix_%(table_name)s_%(column_0_N_name)s",
    "uq": "uq_%(table_name)s_%(column_0_N_name)s",
    "ck": "ck_%(table_name)s_%(constraint_name)s",
    "fk": "fk_%(table_name)s_%(column_0_N_name)s_%(referred_table_name)s",
    "pk": "pk_%(table_name)s",
}


class Row(SQLModel, registry=registry(metadata=MetaData(naming_convention=_NAMING))):
    """A table's row. Subclasses say `table=True`; their tables are found in `Row.metadata`."""


async def insert_new(session: AsyncSession, table: type[Row], rows: Sequence[dict[str, Any]]) -> None:
    """As `insert_or_ignore`, for many rows of which nobody asks how many were new: one prepared statement for all.

    An insert that lists its rows is another statement for each number of them, and is compiled anew each time.
    """
    if not rows:
        return
    insert = postgresql.insert if session.get_bind().dialect.name == "postgresql" else sqlite.insert
    into = cast(Table, inspect(table).local_table)
    connection = await session.connection()
    await connection.execute(insert(into).on_conflict_do_nothing(), list(rows))


async def insert_or_ignore(session: AsyncSession, table: type[Row], rows: Sequence[dict[str, Any]]) -> int:
    """Insert the rows that break no unique rule and return how many that were.

    Args:
        session: from `Database.writer()`.
        table: the row class.
        rows: one dict per row, all with the same keys; a key left out takes the database's default.

    Of several callers inserting one unique key at once exactly one is told 1: both databases make the later one wait
    for the earlier one's commit.
    """
    if not rows:
        return 0
    insert = postgresql.insert if session.get_bind().dialect.name == "postgresql" else sqlite.insert
    # The rows are counted as they come back: an insert's rowcount is not told alike by the two databases.
    statement = insert(table).values(list(rows)).on_conflict_do_nothing()
    inserted = cast(Result[Any], await session.exec(statement.returning(*inspect(table).primary_key)))
    return len(inserted.all())
