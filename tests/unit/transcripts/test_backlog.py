"""What could not be written before the end waits in a file, and is written once, in order, by whoever comes next."""

import asyncio
import math
import sqlite3
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path

import pytest

from storage.engine import Database
from storage.errors import DatabaseAway
from tests.databases import make_ring, start_postgres
from tests.unit.transcripts.calls import make_call
from transcripts.backlog import Backlog, WaitingEntry
from transcripts.call import CallEvent, EndReason, RecordingStatus, Speaker, Turn
from transcripts.entries import EventEntry, FinishEntry, NextStepEntry, RecordingEntry, TurnEntry
from transcripts.log import CallLog, LogWriter
from transcripts.store import CallStore

ENDED_AT = datetime(2026, 3, 1, 9, 10, 11, 123_456, tzinfo=UTC)
EVERYTHING = [
    TurnEntry("c1", 0, Turn(Speaker.CALLER, 'Grüß "dich"\n\x00 \ud800', 0, 10, interrupted=True, error="cut")),
    EventEntry("c1", 0, CallEvent("tool", 5, {"list": [1, 2.5, None], "nan": math.nan, "at": ENDED_AT})),
    RecordingEntry("c1", RecordingStatus.FAILED, "No space left on device"),
    NextStepEntry("c1", {"kind": "transfer", "to": "+15551230111"}),
    FinishEntry("c1", EndReason.BOT_ENDED, ENDED_AT),
]


async def test_every_kind_of_entry_comes_through_twice_with_one_effect(database: Database, tmp_path: Path) -> None:
    store = CallStore(database)
    await store.open_call(make_call())
    for name in ("one", "two"):
        kept = [WaitingEntry(entry, is_placed=True) for entry in EVERYTHING]
        assert await Backlog(tmp_path / "waiting", name, store).keep(kept) == 5
    assert await Backlog(tmp_path / "waiting", "next", store).take_in() == 10
    assert _files(tmp_path / "waiting") == []
    row = await store.get_call("c1")
    assert row is not None
    assert (row.end_reason, row.ended_at) == ("bot_ended", ENDED_AT)
    assert (row.recording_status, row.recording_error) == ("failed", "No space left on device")
    assert row.next_step == {"kind": "transfer", "to": "+15551230111"}
    (turn,) = await store.list_turns("c1")
    assert (turn.text, turn.interrupted, turn.error) == ('Grüß "dich"\n\ufffd ?', True, "cut")
    (event,) = await store.list_events("c1")
    assert event.data == {"list": [1, 2.5, None], "nan": None, "at": str(ENDED_AT)}


def _files(folder: Path) -> list[str]:
    return [path.name for path in folder.iterdir() if not path.name.startswith("trunkline.db")]


def _tell(log: CallLog, numbers: range) -> None:
    for number in numbers:
        log.turn(Turn(Speaker.CALLER, str(number), number, number + 1))


async def test_nothing_is_lost_when_postgresql_is_away_at_the_end(tmp_path: Path) -> None:
    server = await asyncio.to_thread(start_postgres)
    url = await asyncio.to_thread(server.create_database)
    async with _opened(url) as store:
        for number in (1, 2):
            await store.open_call(make_call(f"c{number}", f"CA{number}"))
        backlog = Backlog(tmp_path, "first", store)
        writer = LogWriter(store, backlog)
        await writer.start()
        _tell(writer.open("c1"), range(300))
        assert await writer.flush(10)
        await asyncio.to_thread(server.stop)
        _tell(writer.open("c1"), range(300, 600))
        _tell(writer.open("c2"), range(10))  # nothing of this call was written before
        writer.open("c2").finish(EndReason.CALLER_HUNG_UP, RecordingStatus.COMPLETE)
        writer.open("c1").finish(EndReason.DRAINED)
        assert await writer.close(0.5) == 600 + 20 + 3
    assert _files(tmp_path) == ["first.jsonl"]
    await asyncio.to_thread(server.start)
    async with _opened(url) as store:
        for times in range(2):
            assert await Backlog(tmp_path, "second", store).take_in() == (0 if times else 623)
        assert [row.text for row in await store.list_turns("c1")] == [str(number) for number in range(600)]
        assert [row.seq for row in await store.list_events("c1")] == list(range(600))
        assert [row.text for row in await store.list_turns("c2")] == [str(number) for number in range(10)]
        rows = [await store.get_call(call_id) for call_id in ("c1", "c2")]
        assert [row.end_reason for row in rows if row] == ["drained", "caller_hung_up"]
    assert _files(tmp_path) == []
    await asyncio.to_thread(server.stop)


@asynccontextmanager
async def _opened(url: str) -> AsyncGenerator[CallStore]:
    database = Database(url, make_ring())
    await database.connect(wait_secs=10)
    await database.migrate()
    try:
        yield CallStore(database)
    finally:
        await database.close()


async def test_places_are_settled_once_though_the_taking_in_is_cut_short(tmp_path: Path) -> None:
    """The first attempt writes the places into the file, then finds the database locked."""
    url = f"sqlite+aiosqlite:///{tmp_path}/trunkline.db?timeout=0.1"
    async with _opened(url) as store:
        await store.open_call(make_call())
        await store.add_events("c1", 0, [CallEvent("before", 0)])
        unplaced = [WaitingEntry(EventEntry("c1", seq, CallEvent(f"late-{seq}", seq + 1)), False) for seq in range(3)]
        backlog = Backlog(tmp_path / "waiting", "me", store)
        await backlog.keep(unplaced)
        other = sqlite3.connect(tmp_path / "trunkline.db", isolation_level=None)
        other.execute("BEGIN IMMEDIATE")  # readers may, writers may not
        with pytest.raises(DatabaseAway, match="locked"):
            await backlog.take_in()
        other.execute("ROLLBACK")
        other.close()
        kept = (tmp_path / "waiting" / "me.jsonl").read_bytes()
        assert await backlog.take_in() == 3
        (tmp_path / "waiting" / "me.jsonl").write_bytes(kept)  # as if the process had died before removing it
        assert await backlog.take_in() == 3
        assert [row.kind for row in await store.list_events("c1")] == ["before", "late-0", "late-1", "late-2"]


async def test_two_processes_that_take_in_at_once_write_everything_once(database: Database, tmp_path: Path) -> None:
    store = CallStore(database)
    await store.open_call(make_call())
    await Backlog(tmp_path, "dead", store).keep(
        [WaitingEntry(EventEntry("c1", seq, CallEvent("e", seq)), is_placed=False) for seq in range(500)]
    )
    taken = await asyncio.gather(*(Backlog(tmp_path, f"p{number}", store).take_in() for number in range(5)))
    assert sorted(taken) == [0, 0, 0, 0, 500]
    assert len(await store.list_events("c1")) == 500


async def test_a_line_that_cannot_be_read_costs_only_itself(database: Database, tmp_path: Path) -> None:
    store = CallStore(database)
    await store.open_call(make_call())
    await Backlog(tmp_path, "dead", store).keep(
        [WaitingEntry(EventEntry("c1", seq, CallEvent("e", seq)), is_placed=True) for seq in range(3)]
    )
    file = tmp_path / "dead.jsonl"
    lines = file.read_text().splitlines()
    file.write_text("\n".join([lines[0], "{", '{"kind": "dance"}', lines[1][:-20], lines[2]]))
    assert await Backlog(tmp_path, "next", store).take_in() == 2
    assert [row.seq for row in await store.list_events("c1")] == [0, 2]
    assert _files(tmp_path) == ["dead.unreadable"]


async def test_an_entry_that_no_file_and_no_database_takes_holds_up_no_other(
    database: Database, tmp_path: Path
) -> None:
    store = CallStore(database)
    await store.open_call(make_call())
    loop: dict[str, object] = {}
    loop["loop"] = loop
    endless = WaitingEntry(EventEntry("c1", 0, CallEvent("e", 0, loop)), is_placed=True)
    unknown = WaitingEntry(EventEntry("unknown", 0, CallEvent("e", 0)), is_placed=True)
    good = WaitingEntry(EventEntry("c1", 1, CallEvent("e", 1)), is_placed=True)
    assert await Backlog(tmp_path, "dead", store).keep([endless, unknown, good]) == 2
    assert await Backlog(tmp_path, "next", store).take_in() == 2
    assert [row.seq for row in await store.list_events("c1")] == [1]
    assert _files(tmp_path) == []


async def test_a_folder_that_cannot_be_written_loses_entries_and_says_so(tmp_path: Path) -> None:
    async with _opened(f"sqlite+aiosqlite:///{tmp_path}/trunkline.db?timeout=0.1") as store:
        await store.open_call(make_call())
        (tmp_path / "waiting").write_text("a file where the folder should be")
        writer = LogWriter(store, Backlog(tmp_path / "waiting", "me", store))
        await writer.start()
        other = sqlite3.connect(tmp_path / "trunkline.db", isolation_level=None)
        other.execute("BEGIN EXCLUSIVE")
        writer.open("c1").event("a", 0)
        assert await writer.close(timeout_secs=0.3) == 1
        other.close()
