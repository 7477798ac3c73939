"""The two doors of a database, and a database that is away."""

import asyncio
import sqlite3
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy.exc import DBAPIError, IntegrityError
from sqlmodel import col, func, select, update

from storage.engine import Database, dump_json
from storage.errors import BadDatabaseUrl, DatabaseAway
from tests.databases import make_ring, shared_postgres
from transcripts.models import CallRow


def _row(call_id: str, **changes: Any) -> CallRow:
    fields: dict[str, Any] = {
        "call_id": call_id,
        "agent_name": "front-desk",
        "direction": "inbound",
        "status": "ringing",
        "variables": {"a": "1"},
        "created_at": datetime(2026, 3, 1, 9, tzinfo=UTC),
    }
    return CallRow(**(fields | changes))


async def test_what_a_writer_wrote_a_reader_reads(database: Database) -> None:
    async with database.writer() as session:
        session.add(_row("c1", next_step={"do": "transfer"}))
    async with database.reader() as session:
        row = await session.get(CallRow, "c1")
    assert row is not None
    assert (row.variables, row.next_step) == ({"a": "1"}, {"do": "transfer"})
    assert row.created_at == datetime(2026, 3, 1, 9, tzinfo=UTC)


async def test_a_block_that_raises_writes_nothing(database: Database) -> None:
    async def fail() -> None:
        async with database.writer() as session:
            session.add(_row("c1"))
            await session.flush()
            raise LookupError

    with pytest.raises(LookupError):
        await fail()
    async with database.reader() as session:
        assert await session.get(CallRow, "c1") is None


async def test_a_reader_may_not_write(database: Database) -> None:
    async def write() -> None:
        async with database.reader() as session:
            session.add(_row("c1"))
            await session.commit()

    with pytest.raises((DBAPIError, DatabaseAway), match="read-?only"):
        await write()
    async with database.writer() as session:
        session.add(_row("c1"))
    async with database.reader() as session:
        assert await session.get(CallRow, "c1") is not None


@pytest.mark.parametrize(
    "changes",
    [
        {"direction": "sideways"},
        {"status": "paused"},
        {"status": "ended", "end_reason": "boredom"},
        {"status": "ended"},
        {"end_reason": "silence"},
        {"recording_status": "lost"},
    ],
)
async def test_words_outside_the_set_are_refused(database: Database, changes: dict[str, object]) -> None:
    with pytest.raises(IntegrityError):
        async with database.writer() as session:
            session.add(_row("c1", **changes))


async def test_an_error_message_does_not_quote_the_row(database: Database) -> None:
    with pytest.raises(IntegrityError) as caught:
        async with database.writer() as session:
            session.add(_row("c1", direction="sideways", variables={"name": "a secret word"}))
    assert "parameters hidden" in str(caught.value).lower() or "hide_parameters" in str(caught.value)


async def test_fifty_writers_at_once(database: Database) -> None:
    async with database.writer() as session:
        session.add(_row("shared"))

    async def write(number: int) -> None:
        for turn in range(4):
            async with database.writer() as session:
                session.add(_row(f"c{number}-{turn}"))
                await session.flush()
                await session.exec(update(CallRow).where(col(CallRow.call_id) == "shared").values(owner=str(number)))

    async with asyncio.TaskGroup() as group:
        for number in range(50):
            group.create_task(write(number))
    async with database.reader() as session:
        assert (await session.exec(select(func.count()).select_from(CallRow))).one() == 201


async def test_fifty_writers_in_two_processes_worth_of_engines(tmp_path: Path) -> None:
    databases = [Database(f"sqlite+aiosqlite:///{tmp_path}/trunkline.db", make_ring()) for _ in range(2)]
    for database in databases:
        await database.connect(wait_secs=5)
        await database.migrate()

    async def write(number: int) -> None:
        for turn in range(4):
            async with databases[number % 2].writer() as session:
                session.add(_row(f"c{number}-{turn}"))

    async with asyncio.TaskGroup() as group:
        for number in range(50):
            group.create_task(write(number))
    async with databases[0].reader() as session:
        assert (await session.exec(select(func.count()).select_from(CallRow))).one() == 200
    for database in databases:
        await database.close()


async def test_a_reader_does_not_wait_for_a_writer(database: Database) -> None:
    async with database.writer() as writing:
        writing.add(_row("c1"))
        await writing.flush()
        async with asyncio.timeout(2), database.reader() as reading:
            assert await reading.get(CallRow, "c1") is None


async def test_ping(database: Database) -> None:
    await database.ping()


async def test_a_server_that_never_comes_is_named_without_its_password() -> None:
    database = Database("postgresql+psycopg://trunk:hunter2@127.0.0.1:1/calls?sslpassword=hunter3")
    began = time.monotonic()
    with pytest.raises(DatabaseAway) as caught:
        await database.connect(wait_secs=1.2)
    assert 1.0 < time.monotonic() - began < 4
    message = str(caught.value)
    assert "hunter" not in message
    assert "trunk:***@127.0.0.1:1/calls" in message
    assert "TRUNKLINE_DATABASE_URL" in message
    with pytest.raises(DatabaseAway):
        await database.ping()
    await database.close()


async def test_a_database_that_comes_late_is_waited_for() -> None:
    server = shared_postgres()
    url = server.create_database()
    name = url.split("/")[3].split("?")[0]
    database = Database(url.replace(name, f"{name}_late"))
    waiting = asyncio.create_task(database.connect(wait_secs=20), name="connect")
    await asyncio.sleep(0.7)
    assert not waiting.done()
    await asyncio.to_thread(server.copy_database, name, f"{name}_late")
    await waiting
    await database.ping()
    await database.close()


async def test_a_folder_that_cannot_be_made(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    database = Database(f"sqlite+aiosqlite:///{tmp_path}/file/trunkline.db")
    with pytest.raises(DatabaseAway, match=r"file/trunkline\.db did not answer"):
        await database.connect(wait_secs=0)
    await database.close()


async def test_a_locked_file_is_a_database_that_is_away(tmp_path: Path) -> None:
    database = Database(f"sqlite+aiosqlite:///{tmp_path}/new/folder/trunkline.db?timeout=0.3", make_ring())
    await database.connect(wait_secs=5)
    await database.migrate()
    other = sqlite3.connect(tmp_path / "new/folder/trunkline.db", isolation_level=None)
    other.execute("BEGIN EXCLUSIVE")
    with pytest.raises(DatabaseAway, match="locked"):
        async with database.writer() as session:
            session.add(_row("c1"))
    other.execute("ROLLBACK")
    other.close()
    async with database.writer() as session:
        session.add(_row("c1"))
    await database.close()


@pytest.mark.parametrize(
    "url", ["", "calls.db", "mysql://u:secret@h/d", "sqlite+aiosqlite://", "sqlite+aiosqlite:///:memory:"]
)
def test_urls_that_are_refused(url: str) -> None:
    with pytest.raises(BadDatabaseUrl) as caught:
        Database(url)
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize(
    ("url", "kind"),
    [
        ("sqlite:///calls.db", "sqlite"),
        ("postgres://u@h/d", "postgresql"),
        ("postgresql://u@h/d", "postgresql"),
        ("postgresql+psycopg://u@h/d", "postgresql"),
    ],
)
def test_urls_that_are_understood(url: str, kind: str) -> None:
    assert Database(url).kind == kind


def test_json_that_both_databases_take() -> None:
    at = datetime(2026, 3, 1, tzinfo=UTC)
    assert dump_json({"a": float("nan"), "b": [1.5, float("inf")], "at": at}) == (
        '{"a": null, "b": [1.5, null], "at": "2026-03-01 00:00:00+00:00"}'
    )
