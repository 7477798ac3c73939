"""Placed calls in the database: once each, within their limits, and nobody's when their process is gone."""

import asyncio
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from storage.engine import Database
from tests.unit.transcripts.calls import make_call
from transcripts.call import AttemptOutcome, Call, Direction, EndReason
from transcripts.outgoing import NoRoom, Order, OtherRequest, Outgoing, OutgoingStore, Room
from transcripts.owners import Owners
from transcripts.store import CallStore

NOW = datetime(2026, 3, 1, 9, tzinfo=UTC)
ANY = Room()


@pytest.fixture
def store(database: Database) -> OutgoingStore:
    return OutgoingStore(database)


def placed(call_id: str = "c1", **changes: Any) -> Call:
    return make_call(call_id, None, direction=Direction.OUTBOUND, **changes)


def order(call_id: str = "c1", key: str | None = None, request_hash: str = "h", **changes: Any) -> Order:
    return Order(placed(call_id), 30, request_hash, "k1", key, **changes)


async def opened(store: OutgoingStore, call_id: str = "c1", **changes: Any) -> Outgoing:
    return (await store.open(order(call_id, **changes), ANY, owner="me", now=NOW))[0]


async def test_a_call_is_written_down_with_all_that_it_takes(store: OutgoingStore) -> None:
    call = placed(overrides={"greeting": "Hi."})
    found, is_new = await store.open(Order(call, 20, "h", "k1", "key"), ANY, owner="me", now=NOW)
    assert is_new
    assert (found.call.status, found.call.direction, found.call.owner) == ("queued", "outbound", "me")
    assert (found.call.overrides, found.order.ring_secs, found.order.due_at) == ({"greeting": "Hi."}, 20, None)
    assert await store.find("c2") is None


async def test_of_twins_one_is_a_call_and_another_request_is_told(store: OutgoingStore) -> None:
    async with asyncio.TaskGroup() as group:
        twins = [
            group.create_task(store.open(order(f"c{number}", "key"), ANY, owner="me", now=NOW)) for number in range(8)
        ]
    results = [twin.result() for twin in twins]
    assert len({found.call.call_id for found, _ in results}) == 1
    assert [is_new for _, is_new in results].count(True) == 1
    with pytest.raises(OtherRequest):
        await store.open(order("c9", "key", "another"), ANY, owner="me", now=NOW)
    other_caller = Order(placed("c10"), 30, "another", "k2", "key")
    assert (await store.open(other_caller, ANY, owner="me", now=NOW))[1], "keys of others are others"
    assert await store.find("c9") is None


async def test_one_attempt_at_a_time_and_none_once_it_is_placed(store: OutgoingStore) -> None:
    await opened(store)
    async with asyncio.TaskGroup() as group:
        tries = [group.create_task(store.begin_attempt("c1", "me", ANY, now=NOW)) for _ in range(8)]
    assert sorted(task.result() is not None for task in tries) == [False] * 7 + [True]
    assert await store.begin_attempt("c1", "other", ANY, now=NOW) is None
    await store.end_attempts("c1", AttemptOutcome.NOT_SENT, 20429)
    assert await store.begin_attempt("c1", "other", ANY, now=NOW) is None, "it is another process's"
    assert await store.begin_attempt("c1", "me", ANY, now=NOW, agent_version=3) == 1
    dialled = await store.find("c1")
    assert dialled is not None
    assert dialled.call.agent_version == 3, "the version that is dialled speaks when somebody answers"
    assert await store.bind("c1", "CA1")
    assert await store.bind("c1", "CA1"), "twice is once"
    assert not await store.bind("c1", "CA2"), "a second phone call for one request"
    assert await store.begin_attempt("c1", "me", ANY, now=NOW) is None
    found = await store.find("c1")
    assert found is not None
    assert [(attempt.outcome, attempt.error_code) for attempt in found.attempts] == [
        ("not_sent", 20429),
        ("placed", None),
    ]
    await opened(store, "c2")
    assert not await store.bind("c2", "CA1"), "it is the other call's"
    assert await store.find_known(["CA1", "CA2"]) == {"CA1"}


async def test_a_call_that_was_called_off_is_not_dialled(store: OutgoingStore) -> None:
    await opened(store)
    assert await store.end_unplaced("c1", EndReason.CANCELLED)
    assert not await store.end_unplaced("c1", EndReason.BUSY)
    assert not await store.note_ringing("c1")
    assert await store.begin_attempt("c1", "me", ANY, now=NOW) is None
    found = await store.find("c1")
    assert found is not None
    assert (found.call.end_reason, found.order.problem) == ("cancelled", None)


async def test_calls_at_once_are_counted_over_all_processes(store: OutgoingStore) -> None:
    room = Room(most_calls=2)
    later = order("c3", due_at=NOW + timedelta(hours=1))
    await store.open(later, room, owner=None, now=NOW)
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(_open(store, f"a{number}", room)) for number in range(5)]
    assert sorted(task.result() for task in tasks) == [False, False, False, True, True]
    with pytest.raises(NoRoom):
        await store.begin_attempt("c3", "me", room, now=NOW)
    for call_id in ("a0", "a1", "a2", "a3", "a4"):
        await store.end_unplaced(call_id, EndReason.BUSY)
    assert await store.begin_attempt("c3", "me", room, now=NOW) == 0


async def _open(store: OutgoingStore, call_id: str, room: Room) -> bool:
    try:
        await store.open(order(call_id), room, owner="me", now=NOW)
    except NoRoom:
        return False
    return True


async def test_a_days_minutes_are_those_that_were_started(store: OutgoingStore, database: Database) -> None:
    calls = CallStore(database)
    await _dialled(store, "told", NOW)
    await store.note_answered_secs("told", 61)  # two minutes
    await store.end_unplaced("told", EndReason.NEVER_CONNECTED)
    await _dialled(store, "busy", NOW)
    await store.end_unplaced("busy", EndReason.BUSY)  # none
    await _dialled(store, "rings", NOW)  # one, should it be answered
    await _dialled(store, "live", NOW)
    await store.note_ringing("live")
    assert await calls.go_live("live", owner="me")  # at the clock's own time, which is later than NOW: one
    await _dialled(store, "yesterday", NOW - timedelta(days=1))
    await store.note_answered_secs("yesterday", 6000)
    for most, is_room in ((4, False), (5, True)):
        assert await _open(store, f"new{most}", Room(most_minutes=most)) is is_room


async def _dialled(store: OutgoingStore, call_id: str, moment: datetime) -> None:
    await opened(store, call_id)
    assert await store.begin_attempt(call_id, "me", ANY, now=moment) == 0
    await store.bind(call_id, f"CA-{call_id}")


async def test_what_a_dead_process_was_about_to_place_is_found_by_others(
    store: OutgoingStore, database: Database
) -> None:
    for call_id in ("queued", "asked", "called-off", "placed", "theirs"):
        await opened(store, call_id)
    for call_id in ("asked", "called-off", "placed"):
        await store.begin_attempt(call_id, "me", ANY, now=NOW)
    await store.end_unplaced("called-off", EndReason.CANCELLED)
    await store.bind("placed", "CA1")
    await store.open(order("later", due_at=NOW + timedelta(hours=1)), ANY, owner=None, now=NOW)
    owners = Owners(database)
    assert await owners.list_owners() == {"me"}
    assert await store.list_orphans(NOW) == []
    assert await owners.close_calls_of("me") == []
    assert sorted(await store.list_orphans(NOW)) == ["asked", "called-off", "queued", "theirs"]
    assert "later" in await store.list_orphans(NOW + timedelta(hours=2))
    assert await store.adopt("asked", "other")
    assert not await store.adopt("asked", "third")
    assert await store.count_open_attempts("+15551230199", "+15551230100") == 2


async def test_a_placed_call_that_rings_is_asked_about_and_not_closed(store: OutgoingStore, database: Database) -> None:
    await _dialled(store, "c1", NOW)
    await store.note_ringing("c1")
    assert await Owners(database).close_abandoned(NOW + timedelta(days=1), 300) == []
    assert _ids(await store.list_silent(NOW + timedelta(seconds=29))) == []
    assert _ids(await store.list_silent(NOW + timedelta(seconds=31))) == ["c1"]


def _ids(rows: Sequence[Any]) -> list[str]:
    return [row.call_id for row in rows]
