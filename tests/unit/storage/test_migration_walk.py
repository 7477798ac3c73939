"""The whole history, one step after the other: up, down to the first and up again, with rows in every table."""

import re
from datetime import UTC, datetime
from typing import Any

import pytest
from alembic.script import ScriptDirectory
from sqlalchemy import (
    Boolean,
    CheckConstraint,
    Connection,
    Date,
    DateTime,
    Float,
    Integer,
    MetaData,
    Table,
    inspect,
    text,
)
from sqlalchemy.types import JSON

from storage import schema
from tests.unit.storage.test_migrations import Schema

_NOW = datetime(2026, 3, 1, 9, 0, tzinfo=UTC)
_ONE_OF = re.compile(r"\(?\"?(\w+)\"?\)?(?:::\w+(?: \w+)*)? (?:IN|= ANY) \(.*?'([^']+)'", re.DOTALL)


def revisions() -> list[str]:
    """Every revision, the first one first."""
    config = schema.Config()
    config.set_main_option("script_location", str(schema._SCRIPTS))
    return [script.revision for script in ScriptDirectory.from_config(config).walk_revisions()][::-1]


def row_for(table: Table) -> dict[str, Any]:
    """Return a row that the table's rules let in."""
    words: dict[str, str] = {}
    for rule in table.constraints:
        if isinstance(rule, CheckConstraint) and (one_of := _ONE_OF.search(str(rule.sqltext))):
            words.setdefault(one_of[1], one_of[2])
    row: dict[str, Any] = {}
    for column in table.columns:
        if column.nullable:
            continue
        if column.name in words:
            row[column.name] = words[column.name]
        elif isinstance(column.type, JSON):
            row[column.name] = {}
        elif isinstance(column.type, DateTime):
            row[column.name] = _NOW
        elif isinstance(column.type, Date):
            row[column.name] = _NOW.date()
        elif column.type.python_type is bytes:
            row[column.name] = b"c0"
        elif isinstance(column.type, Boolean):
            row[column.name] = False
        elif isinstance(column.type, Integer | Float):
            row[column.name] = 1
        else:
            row[column.name] = "c0"
    return row


def count_rows(connection: Connection, *, fills: bool) -> dict[str, int]:
    """Return how many rows each of our tables has; `fills`: those that have none get one first."""
    names = set(inspect(connection).get_table_names()) - {"alembic_version"}
    counts = {name: int(connection.execute(text(f"SELECT count(*) FROM {name}")).scalar_one()) for name in names}
    if fills and (empty := [name for name in names if not counts[name]]):
        found = MetaData()
        found.reflect(connection, only=empty)
        for table in found.sorted_tables:
            if table.name in empty:
                connection.execute(table.insert().values(row_for(table)))
                counts[table.name] = 1
    return counts


def test_every_step_up_and_down_and_up_again_with_rows_in_every_table(database_url: str) -> None:
    db, steps = Schema(database_url), revisions()
    at_each: dict[str, set[str]] = {}

    def look(*, fills: bool) -> dict[str, int]:
        with db._engine.begin() as connection:
            return count_rows(connection, fills=fills)

    for step in steps:
        db.move(step)
        counts = look(fills=True)
        assert set(counts.values()) == {1}, step
        at_each[step] = set(counts)
    for before in reversed(steps[:-1]):
        db.move("-1")
        counts = look(fills=False)
        assert set(counts) == at_each[before], f"going back to {before}"
        assert set(counts.values()) == {1}, f"going back to {before} lost rows"
    for step in steps[1:]:
        db.move(step)
        counts = look(fills=True)
        assert set(counts) == at_each[step]
        assert set(counts.values()) == {1}, f"{step}, the second time"


@pytest.mark.parametrize(
    "rule", ["status IN ('a', 'b')", "(status)::text = ANY ((ARRAY['a'::character varying])::text[])"]
)
def test_the_words_of_a_rule_are_found(rule: str) -> None:
    found = _ONE_OF.search(rule)
    assert found is not None
    assert found.groups() == ("status", "a")
