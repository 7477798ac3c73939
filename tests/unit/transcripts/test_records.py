"""A bot's own rows."""

import asyncio

import pytest

from storage.engine import Database
from tests.unit.transcripts.calls import make_call
from transcripts.records import Records
from transcripts.store import CallStore


@pytest.fixture
def records(database: Database) -> Records:
    return Records(database, "front-desk")


async def test_a_record_is_found_again(database: Database, records: Records) -> None:
    await CallStore(database).open_call(make_call())
    assert await records.put("appointment", "2026-03-02T09:00", {"name": "Alex"}, call_id="c1")
    found = await Records(database, "front-desk").get("appointment", "2026-03-02T09:00")
    assert found is not None
    assert (found.data, found.call_id) == ({"name": "Alex"}, "c1")
    assert await records.get("appointment", "2026-03-02T10:00") is None
    assert await records.get("answer", "2026-03-02T09:00") is None
    assert await Records(database, "other").get("appointment", "2026-03-02T09:00") is None


async def test_of_twenty_exactly_one_books_the_slot(records: Records) -> None:
    async with asyncio.TaskGroup() as group:
        tries = [group.create_task(records.put("appointment", "09:00", {"n": number})) for number in range(20)]
    winners = [number for number, task in enumerate(tries) if task.result()]
    assert len(winners) == 1
    kept = await records.get("appointment", "09:00")
    assert kept is not None
    assert kept.data == {"n": winners[0]}


async def test_one_namespace_takes_no_key_from_another(database: Database, records: Records) -> None:
    assert await records.put("appointment", "09:00", {})
    assert await Records(database, "other").put("appointment", "09:00", {})
    assert await records.put("answer", "09:00", {})


async def test_records_are_listed_by_key_and_prefix(records: Records) -> None:
    for key in ("b_2", "B_1", "b%3", "b_1", "a"):
        await records.put("x", key, {})
    assert [record.key for record in await records.list("x")] == ["B_1", "a", "b%3", "b_1", "b_2"]
    assert [record.key for record in await records.list("x", "b_")] == ["b_1", "b_2"]
    assert await records.list("y") == []


async def test_a_record_is_deleted_once(records: Records) -> None:
    await records.put("appointment", "09:00", {})
    async with asyncio.TaskGroup() as group:
        tries = [group.create_task(records.delete("appointment", "09:00")) for _ in range(5)]
    assert sorted(task.result() for task in tries) == [False] * 4 + [True]
    assert await records.put("appointment", "09:00", {})
