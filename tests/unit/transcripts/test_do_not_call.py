"""Numbers that nobody may call: entered, found, listed in pages, and dialled no more by whoever tries."""

import asyncio
import subprocess
import sys
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from storage.engine import Database
from storage.keyset import Position
from tests.databases import IS_POSTGRES
from transcripts.backlog import Backlog
from transcripts.call import Call, Direction
from transcripts.do_not_call import DoNotCall, Source, forget_number
from transcripts.entries import DoNotCallEntry
from transcripts.outgoing import Order, OutgoingStore, Room, Unwanted
from transcripts.store import CallStore

NOW = datetime(2026, 3, 1, 9, tzinfo=UTC)
NUMBER = "+15551230177"


async def test_a_number_is_entered_once_and_taken_off(database: Database) -> None:
    listed = DoNotCall(database)
    assert await listed.add(NUMBER, Source.AGENT, "c1", now=NOW)
    assert not await listed.add(NUMBER, Source.API, "k1", now=NOW + timedelta(days=1))
    row = await listed.find(NUMBER)
    assert row is not None
    assert (row.number, row.source, row.noted_by, row.created_at) == (NUMBER, "agent", "c1", NOW)
    assert row.number_index == listed.index(NUMBER)
    assert await listed.find("+15551230178") is None
    assert await listed.remove(NUMBER)
    assert not await listed.remove(NUMBER)
    assert await listed.find(NUMBER) is None


async def test_many_are_entered_at_once_and_listed_in_pages(database: Database) -> None:
    listed = DoNotCall(database)
    numbers = [f"+1555123{position:04}" for position in range(1200)]
    assert await listed.add_all([*numbers, *numbers[:5]], Source.FILE, now=NOW) == 1200
    assert await listed.add_all(numbers[:10], Source.FILE, now=NOW) == 0
    seen: list[str | None] = []
    behind = None
    while rows := await listed.list_entries(500, behind):
        seen += [row.number for row in rows]
        behind = Position(rows[-1].created_at, rows[-1].number_index)
    assert sorted(str(number) for number in seen) == numbers


async def test_of_an_erased_person_there_is_the_hash_and_it_still_counts(database: Database) -> None:
    listed = DoNotCall(database)
    await listed.add(NUMBER, Source.AGENT, "c1", now=NOW)
    async with database.writer() as session:
        assert await forget_number(session, listed.index(NUMBER))
        assert not await forget_number(session, listed.index("+15551230178"))
    row = await listed.find(NUMBER)
    assert row is not None
    assert (row.number, row.noted_by) == (None, "")
    assert await OutgoingStore(database).is_unwanted(NUMBER)


async def test_no_attempt_to_dial_begins_for_a_number_that_was_entered_a_moment_ago(database: Database) -> None:
    store, listed = OutgoingStore(database), DoNotCall(database)
    call = Call("c9", None, "front-desk", Direction.OUTBOUND, "+15551230100", NUMBER, {}, NOW)
    await store.open(Order(call, 30, "h"), Room(), owner="p1", now=NOW)
    await listed.add(NUMBER, Source.API, now=NOW)
    with pytest.raises(Unwanted):
        await store.begin_attempt("c9", "p1", Room(), now=NOW)
    outgoing = await store.find("c9")
    assert outgoing is not None
    assert list(outgoing.attempts) == []
    await listed.remove(NUMBER)
    assert await store.begin_attempt("c9", "p1", Room(), now=NOW) == 0


CHILD = """
import asyncio, os, signal, sys
from pathlib import Path
from storage.engine import Database
from tests.databases import make_ring
from transcripts.backlog import Backlog
from transcripts.do_not_call import DoNotCall
from transcripts.store import CallStore

async def promise():
    database = Database("postgresql://nobody@127.0.0.1:9/none", make_ring())
    listed = DoNotCall(database, Backlog(Path(sys.argv[1]), "p1", CallStore(database)).keep_now)
    try:
        await database.connect(0)
    except Exception:
        pass
    print(await listed.promise(sys.argv[2], "c1"), flush=True)
    os.kill(os.getpid(), signal.SIGKILL)

asyncio.run(promise())
"""


@pytest.mark.parametrize("database_url", ["postgresql" if IS_POSTGRES else "sqlite"], indirect=True)
async def test_a_promise_that_the_database_did_not_take_outlives_its_process(
    database: Database, tmp_path: Path
) -> None:
    folder = tmp_path / "log-backlog"
    command = [sys.executable, "-c", CHILD, str(folder), NUMBER]
    done = await asyncio.to_thread(subprocess.run, command, capture_output=True, text=True, cwd=Path.cwd(), check=False)
    assert (done.stdout, done.returncode) == ("False\n", -9), done.stderr
    [file] = folder.iterdir()
    assert NUMBER.encode() not in file.read_bytes()
    listed, next_one = DoNotCall(database), Backlog(folder, "p2", CallStore(database))
    assert await listed.find(NUMBER) is None
    assert await next_one.take_in() == 1
    row = await listed.find(NUMBER)
    assert row is not None
    assert (row.number, row.source, row.noted_by) == (NUMBER, "agent", "c1")
    assert list(folder.iterdir()) == []
    # Told twice, it is there once; and a database that hangs is not waited for.
    assert await DoNotCall(database, next_one.keep_now).promise(NUMBER, "c2")
    await next_one.keep_now(DoNotCallEntry("c2", NUMBER, NOW))
    assert await next_one.take_in() == 1
    assert await listed.find(NUMBER) == row


async def test_a_database_that_hangs_is_not_waited_for_and_a_full_disk_promises_nothing(
    database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("transcripts.do_not_call._PATIENCE_SECS", 0.05)
    backlog = Backlog(tmp_path / "log-backlog", "p1", CallStore(database))
    listed = DoNotCall(database, backlog.keep_now)
    with monkeypatch.context() as hung:

        @asynccontextmanager
        async def hang(_self: Database) -> AsyncGenerator[None]:
            await asyncio.Event().wait()
            yield

        hung.setattr(Database, "writer", hang)
        assert not await listed.promise(NUMBER, "c1")
        (tmp_path / "file").write_text("")
        nowhere = Backlog(tmp_path / "file" / "log-backlog", "p1", CallStore(database))
        with pytest.raises(OSError, match="Not a directory"):
            await DoNotCall(database, nowhere.keep_now).promise(NUMBER, "c1")
    assert await backlog.take_in() == 1
    assert await listed.find(NUMBER) is not None
