"""The migrations: complete, reversible, and run by one process at a time."""

import asyncio
import os
import sqlite3
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Connection
from sqlmodel import Column, Integer, MetaData, Table, text

import aftercall.models
import privacy.tables
import storage.audit
import storage.idempotency
import storage.keys
import storage.stored_agents
import transcripts.do_not_call
import transcripts.models as models
import transcripts.moves
import transcripts.word_index
from storage.engine import Database
from storage.errors import DatabaseAhead
from storage.rows import Row
from storage.schema import find_differences

ROOT = Path(__file__).parents[3]


async def _compare(database: Database, metadata: MetaData) -> list[Any]:
    def compare(connection: Connection) -> list[Any]:
        return find_differences(connection, metadata)

    async with database.reader() as session:
        return await (await session.connection()).run_sync(compare)


async def test_the_migrations_make_exactly_the_declared_tables(database: Database) -> None:
    declared = (
        storage.keys.KeyRow,
        storage.audit.AuditRow,
        storage.idempotency.RepeatableRow,
        transcripts.moves.CallMoveRow,
        storage.stored_agents.StoredAgentRow,
        transcripts.do_not_call.DoNotCallRow,
        privacy.tables.ReceiptRow,
        aftercall.models.CostRow,
        storage.stored_agents.StoredAgentRow,
        transcripts.word_index.WordHashRow,
    )
    assert {row.__tablename__ for row in declared} <= set(Row.metadata.tables)
    assert await _compare(database, Row.metadata) == []


async def test_a_missing_migration_would_be_noticed(database: Database) -> None:
    changed = MetaData(naming_convention=Row.metadata.naming_convention)
    for table in Row.metadata.sorted_tables:
        table.to_metadata(changed)
    Table("calls", changed, Column("colour", Integer), extend_existing=True)
    differences = await _compare(database, changed)
    assert [(difference[0], difference[3].name) for difference in differences] == [("add_column", "colour")]


def test_every_rule_has_a_name_so_that_a_later_migration_can_drop_it() -> None:
    names = {str(rule.name) for table in models.Row.metadata.sorted_tables for rule in table.constraints}
    assert {"pk_turns", "fk_turns_call_id_calls", "uq_turns_call_id_position", "ck_turns_speaker"} <= names
    assert "None" not in names


async def test_the_checks_are_those_the_models_declare(database: Database) -> None:
    """Alembic does not compare CHECK rules, so their names are compared here."""
    from sqlalchemy import CheckConstraint, inspect

    def read(connection: Connection) -> set[Any]:
        found = inspect(connection)
        return {check["name"] for table in Row.metadata.tables for check in found.get_check_constraints(table)}

    async with database.reader() as session:
        names = await (await session.connection()).run_sync(read)
    declared = {
        str(rule.name)
        for table in Row.metadata.sorted_tables
        for rule in table.constraints
        if isinstance(rule, CheckConstraint)
    }
    assert names == declared


async def test_migrating_again_changes_nothing(database: Database) -> None:
    await database.migrate()
    declared = (
        storage.keys.KeyRow,
        storage.audit.AuditRow,
        storage.idempotency.RepeatableRow,
        transcripts.moves.CallMoveRow,
        storage.stored_agents.StoredAgentRow,
        transcripts.do_not_call.DoNotCallRow,
        privacy.tables.ReceiptRow,
        aftercall.models.CostRow,
        transcripts.word_index.WordHashRow,
    )
    assert {row.__tablename__ for row in declared} <= set(Row.metadata.tables)
    assert await _compare(database, Row.metadata) == []


async def test_two_processes_start_at_once(database_url: str, tmp_path: Path) -> None:
    program = (
        "import asyncio, sys\n"
        "from storage.engine import Database\n"
        "async def main():\n"
        "    db = Database(sys.argv[1])\n"
        "    await db.connect(wait_secs=10)\n"
        "    await db.migrate()\n"
        "    await db.close()\n"
        "asyncio.run(main())\n"
    )

    def start() -> subprocess.Popen[bytes]:
        # Another working directory: the migrations are found by where the code is.
        return subprocess.Popen(
            [sys.executable, "-c", program, database_url],
            cwd=tmp_path,
            env=os.environ | {"PYTHONPATH": str(ROOT)},
            stderr=subprocess.PIPE,
        )

    processes = [start() for _ in range(2)]
    for process in processes:
        _out, problem = await asyncio.to_thread(process.communicate)
        assert process.returncode == 0, problem.decode()
    database = Database(database_url)
    await database.connect(wait_secs=5)
    declared = (
        storage.keys.KeyRow,
        storage.audit.AuditRow,
        storage.idempotency.RepeatableRow,
        transcripts.moves.CallMoveRow,
        storage.stored_agents.StoredAgentRow,
        transcripts.do_not_call.DoNotCallRow,
        privacy.tables.ReceiptRow,
        aftercall.models.CostRow,
        transcripts.word_index.WordHashRow,
    )
    assert {row.__tablename__ for row in declared} <= set(Row.metadata.tables)
    assert await _compare(database, Row.metadata) == []
    await database.close()


async def test_a_database_of_a_newer_version_is_refused(database: Database) -> None:
    async with database.writer() as session:
        await (await session.connection()).execute(text("UPDATE alembic_version SET version_num = '9999'"))
    with pytest.raises(DatabaseAhead, match="newer version"):
        await database.migrate()


async def test_a_failed_migration_leaves_nothing_behind(tmp_path: Path) -> None:
    file = tmp_path / "trunkline.db"
    connection = sqlite3.connect(file)
    connection.execute("CREATE TABLE turns (id INTEGER)")
    connection.commit()
    connection.close()
    database = Database(f"sqlite+aiosqlite:///{file}")
    await database.connect(wait_secs=5)
    with pytest.raises(Exception, match="already exists"):
        await database.migrate()
    async with database.reader() as session:
        rows = await (await session.connection()).execute(text("SELECT name FROM sqlite_master WHERE type = 'table'"))
        assert [name for (name,) in rows] == ["turns"]
    await database.close()
