"""The log's way into the database, also when the database is away."""

import asyncio
import sqlite3
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from storage.engine import Database
from tests.databases import make_ring, start_postgres
from tests.unit.transcripts.calls import make_call
from transcripts.call import EndReason, RecordingStatus, Speaker, Turn
from transcripts.log import CallLog, LogWriter
from transcripts.store import CallStore


@pytest.fixture
async def store(database: Database) -> CallStore:
    store = CallStore(database)
    await store.open_call(make_call())
    return store


@pytest.fixture
async def writer(store: CallStore) -> AsyncIterator[LogWriter]:
    writer = LogWriter(store)
    await writer.start()
    yield writer
    await writer.close()


async def test_turns_and_events_arrive_as_they_are_told(store: CallStore, writer: LogWriter) -> None:
    log = writer.open("c1")
    log.event("call.started", 0, agent="front-desk")
    log.turn(Turn(Speaker.AGENT, "Good morning.", 200, 1400))
    log.event("tool.called", 2600, name="opening_hours")
    log.turn(Turn(Speaker.CALLER, "When are you open?", 1800, 2500, interrupted=True))
    assert await log.flush()
    assert [(row.position, row.text) for row in await store.list_turns("c1")] == [
        (0, "Good morning."),
        (1, "When are you open?"),
    ]
    events = await store.list_events("c1")
    assert [(row.seq, row.kind, row.at_ms) for row in events] == [
        (0, "call.started", 0),
        (1, "turn.agent", 200),
        (3, "turn.caller", 1800),
        (2, "tool.called", 2600),
    ]
    assert events[2].data == {"text": "When are you open?", "end_ms": 2500, "interrupted": True}


async def test_a_turn_is_written_within_a_second_without_being_asked_for(store: CallStore, writer: LogWriter) -> None:
    writer.open("c1").turn(Turn(Speaker.CALLER, "Hi", 0, 1))
    await asyncio.sleep(1)
    assert [row.text for row in await store.list_turns("c1")] == ["Hi"]


async def test_the_end(store: CallStore, writer: LogWriter) -> None:
    log = writer.open("c1")
    log.recording(RecordingStatus.RECORDING)
    assert await log.flush()
    row = await store.get_call("c1")
    assert row is not None
    assert row.recording_status == "recording"
    log.finish(EndReason.BOT_ENDED, RecordingStatus.FAILED, "No space left on device")
    log.finish(EndReason.FAILED)
    assert await log.flush()
    row = await store.get_call("c1")
    assert row is not None
    assert (row.status, row.end_reason) == ("ended", "bot_ended")
    assert (row.recording_status, row.recording_error) == ("failed", "No space left on device")
    assert row.ended_at is not None


async def test_the_next_step_is_there_with_the_end(store: CallStore, writer: LogWriter) -> None:
    log = writer.open("c1")
    log.next_step({"kind": "apology"})
    log.next_step({"kind": "transfer", "to": "+15551230111"})
    log.finish(EndReason.FAILED)
    assert await log.flush()
    row = await store.get_call("c1")
    assert row is not None
    assert (row.next_step, row.end_reason) == ({"kind": "transfer", "to": "+15551230111"}, "failed")


async def test_a_log_opened_again_goes_on(store: CallStore, writer: LogWriter) -> None:
    first = writer.open("c1")
    assert writer.open("c1") is first
    first.event("a", 0)
    first.turn(Turn(Speaker.CALLER, "one", 1, 2))
    first.finish(EndReason.BOT_ENDED)
    assert await first.flush()
    again = writer.open("c1")
    assert again is not first
    again.event("b", 5)
    again.turn(Turn(Speaker.CALLER, "two", 6, 7))
    assert await again.flush()
    assert [row.kind for row in await store.list_events("c1")] == ["a", "turn.caller", "b", "turn.caller"]
    assert [row.text for row in await store.list_turns("c1")] == ["one", "two"]


async def _collect(log: CallLog) -> list[str]:
    return [event.kind async for event in log.subscribe()]


async def test_subscribers_hear_everything_whenever_they_come(writer: LogWriter) -> None:
    log = writer.open("c1")
    early = asyncio.create_task(_collect(log), name="early")
    await asyncio.sleep(0)
    log.event("a", 0)
    log.event("b", 1)
    await asyncio.sleep(0)
    late = asyncio.create_task(_collect(log), name="late")
    await asyncio.sleep(0)
    log.event("c", 2)
    log.finish(EndReason.BOT_ENDED)
    assert await early == ["a", "b", "c"]
    assert await late == ["a", "b", "c"]
    assert await _collect(log) == ["a", "b", "c"]


async def test_an_entry_that_no_database_takes_holds_up_no_other(store: CallStore, writer: LogWriter) -> None:
    await store.open_call(make_call("c2", "CA2"))
    writer.open("unknown").turn(Turn(Speaker.CALLER, "whose?", 0, 1))
    writer.open("c1").turn(Turn(Speaker.CALLER, "too late", 0, 2**70))
    loop: dict[str, object] = {}
    loop["loop"] = loop
    writer.open("c1").event("tool", 0, data=loop)
    writer.open("c1").turn(Turn(Speaker.CALLER, "mine", 0, 1))
    writer.open("c2").turn(Turn(Speaker.CALLER, "also mine", 0, 1))
    assert await writer.flush(5)
    assert [row.text for row in await store.list_turns("c1")] == ["mine"]
    assert [row.text for row in await store.list_turns("c2")] == ["also mine"]


async def test_a_hundred_calls_do_not_mix(store: CallStore, writer: LogWriter) -> None:
    for number in range(100):
        await store.open_call(make_call(f"n{number}", f"CAn{number}"))
    for turn in range(20):
        for number in range(100):
            writer.open(f"n{number}").turn(Turn(Speaker.CALLER, f"{number}/{turn}", turn, turn + 1))
        await asyncio.sleep(0)
    assert await writer.flush(30)
    for number in (0, 37, 99):
        assert [row.text for row in await store.list_turns(f"n{number}")] == [f"{number}/{turn}" for turn in range(20)]
        assert [row.seq for row in await store.list_events(f"n{number}")] == list(range(20))


async def test_telling_is_immediate(writer: LogWriter) -> None:
    log = writer.open("c1")
    began = time.thread_time()
    for number in range(1000):
        log.event("e", number, text="some words")
    assert (time.thread_time() - began) / 1000 < 0.0005


async def _tell(log: CallLog, numbers: range) -> None:
    for number in numbers:
        log.turn(Turn(Speaker.CALLER, str(number), number, number + 1))
        await asyncio.sleep(0.01)


async def test_nothing_is_lost_while_postgresql_is_away() -> None:
    server = await asyncio.to_thread(start_postgres)
    database = Database(await asyncio.to_thread(server.create_database), make_ring())
    await database.connect(wait_secs=10)
    await database.migrate()
    store = CallStore(database)
    await store.open_call(make_call())
    writer = LogWriter(store)
    await writer.start()
    log = writer.open("c1")
    await _tell(log, range(20))
    await asyncio.to_thread(server.stop)
    await _tell(log, range(20, 60))
    assert not await log.flush(0.5)
    assert writer.backlog >= 80
    log.finish(EndReason.CALLER_HUNG_UP)
    await asyncio.to_thread(server.start)
    await _tell(log, range(60, 70))
    assert await log.flush(15)
    turns = await store.list_turns("c1")
    assert [row.text for row in turns] == [str(number) for number in range(70)]
    assert [row.position for row in turns] == list(range(70))
    assert [row.seq for row in await store.list_events("c1")] == list(range(70))
    row = await store.get_call("c1")
    assert row is not None
    assert row.end_reason == "caller_hung_up"
    assert await writer.close() == 0
    await database.close()
    await asyncio.to_thread(server.stop)


async def test_nothing_is_lost_while_sqlite_is_locked(tmp_path: Path) -> None:
    database = Database(f"sqlite+aiosqlite:///{tmp_path}/trunkline.db?timeout=0.2", make_ring())
    await database.connect(wait_secs=10)
    await database.migrate()
    store = CallStore(database)
    await store.open_call(make_call())
    writer = LogWriter(store)
    await writer.start()
    log = writer.open("c1")
    await _tell(log, range(10))
    other = sqlite3.connect(tmp_path / "trunkline.db", isolation_level=None)
    other.execute("BEGIN EXCLUSIVE")
    await _tell(log, range(10, 40))
    assert not await log.flush(0.7)
    other.execute("ROLLBACK")
    other.close()
    await _tell(log, range(40, 50))
    assert await log.flush(10)
    assert [row.text for row in await store.list_turns("c1")] == [str(number) for number in range(50)]
    assert await writer.close() == 0
    await database.close()


async def test_what_cannot_be_written_before_the_end_is_counted(tmp_path: Path) -> None:
    database = Database(f"sqlite+aiosqlite:///{tmp_path}/trunkline.db?timeout=0.1", make_ring())
    await database.connect(wait_secs=10)
    await database.migrate()
    store = CallStore(database)
    await store.open_call(make_call())
    other = sqlite3.connect(tmp_path / "trunkline.db", isolation_level=None)
    other.execute("BEGIN EXCLUSIVE")
    writer = LogWriter(store)
    await writer.start()
    writer.open("c1").event("a", 0)
    assert await writer.close(timeout_secs=0.3) == 1
    other.close()
    await database.close()
