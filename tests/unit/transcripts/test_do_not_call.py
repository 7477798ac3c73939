"""Numbers that nobody may call: entered, found, listed in pages, and dialled no more by whoever tries."""

import asyncio
from datetime import UTC, datetime, timedelta

import pytest

from storage.engine import Database
from storage.errors import DatabaseAway
from storage.keyset import Position
from transcripts.call import Call, Direction
from transcripts.do_not_call import DoNotCall, Source, forget_number
from transcripts.outgoing import Order, OutgoingStore, Room, Unwanted

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


async def test_a_promise_that_the_database_did_not_take_is_kept_when_it_is_back(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    listed = DoNotCall(database)
    monkeypatch.setattr("transcripts.do_not_call._AGAIN_SECS", 0.01)
    with monkeypatch.context() as away:

        def no_writer(_self: Database) -> None:
            raise DatabaseAway("away")

        away.setattr(Database, "writer", no_writer)
        assert not await listed.promise(NUMBER, "c1")
        await asyncio.sleep(0.05)
    async with asyncio.timeout(5):
        while await listed.find(NUMBER) is None:  # noqa: ASYNC110 - a database has no event to wait for
            await asyncio.sleep(0.01)
    assert await listed.promise(NUMBER, "c1")
    await listed.close()
