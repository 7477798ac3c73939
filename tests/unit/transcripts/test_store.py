"""A call's row, turns and events."""

import asyncio
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy.exc import IntegrityError

from storage.engine import Database
from tests.unit.transcripts.calls import make_call
from transcripts.call import NEXT, CallEvent, CallStatus, EndReason, RecordingStatus, Speaker, Turn
from transcripts.store import CallIdTaken, CallStore


@pytest.fixture
def store(database: Database) -> CallStore:
    return CallStore(database)


async def test_a_call_is_opened(store: CallStore) -> None:
    row = await store.open_call(make_call())
    assert (row.call_id, row.status, row.recording_status) == ("c1", "ringing", "none")
    assert (row.agent_name, row.direction, row.from_number) == ("front-desk", "inbound", "+15551230199")
    assert row.variables == {"business": "Blue Door Dental"}
    assert row.created_at == datetime(2026, 3, 1, 9, tzinfo=UTC)
    assert await store.get_call("c1") == row
    assert await store.find_call("CA1") == row
    assert await store.get_call("c2") is None
    assert await store.find_call("CA2") is None


async def test_a_repeated_call_sid_finds_the_first_row(store: CallStore) -> None:
    async with asyncio.TaskGroup() as group:
        opened = [group.create_task(store.open_call(make_call(f"c{number}"))) for number in range(20)]
    ids = {task.result().call_id for task in opened}
    assert len(ids) == 1
    assert [row.call_id for row in await store.list_calls(100)] == list(ids)


async def test_a_repeated_call_without_sid_finds_the_first_row(store: CallStore) -> None:
    first = await store.open_call(make_call("c1", None))
    assert await store.open_call(make_call("c1", None, agent_name="other")) == first


async def test_a_call_id_belongs_to_one_call(store: CallStore) -> None:
    await store.open_call(make_call("c1", "CA1"))
    with pytest.raises(CallIdTaken):
        await store.open_call(make_call("c1", "CA2"))


async def test_of_twenty_exactly_one_goes_live(store: CallStore) -> None:
    await store.open_call(make_call())
    async with asyncio.TaskGroup() as group:
        tries = [group.create_task(store.go_live("c1", owner=f"p{number}")) for number in range(20)]
    winners = [number for number, task in enumerate(tries) if task.result()]
    assert len(winners) == 1
    row = await store.get_call("c1")
    assert row is not None
    assert (row.status, row.owner) == ("live", f"p{winners[0]}")
    assert row.live_at is not None


@pytest.mark.parametrize("status", list(CallStatus))
async def test_only_a_ringing_call_goes_live(store: CallStore, status: CallStatus) -> None:
    await store.open_call(make_call(), status=CallStatus.QUEUED if status is CallStatus.QUEUED else CallStatus.RINGING)
    if status is CallStatus.LIVE:
        await store.go_live("c1")
    if status is CallStatus.ENDED:
        await store.finish_call("c1", EndReason.NEVER_CONNECTED)
    assert await store.go_live("c1") is (CallStatus.LIVE in NEXT[status])
    assert await store.go_live("unknown") is False


async def test_the_first_end_stands(store: CallStore) -> None:
    await store.open_call(make_call())
    await store.go_live("c1")
    at = datetime(2026, 3, 1, 9, 5, tzinfo=UTC)
    assert await store.finish_call("c1", EndReason.SILENCE, ended_at=at)
    assert not await store.finish_call("c1", EndReason.FAILED, ended_at=at + timedelta(seconds=9))
    assert not await store.finish_call("unknown", EndReason.FAILED)
    row = await store.get_call("c1")
    assert row is not None
    assert (row.status, row.end_reason, row.ended_at) == ("ended", "silence", at)


async def test_the_recordings_fate_may_come_after_the_end_and_stands(store: CallStore) -> None:
    await store.open_call(make_call())
    await store.finish_call("c1", EndReason.SILENCE)
    await store.finish_call(
        "c1", EndReason.FAILED, recording_status=RecordingStatus.FAILED, recording_error="No space left on device"
    )
    await store.finish_call("c1", EndReason.FAILED, recording_status=RecordingStatus.COMPLETE)
    row = await store.get_call("c1")
    assert row is not None
    assert (row.end_reason, row.recording_status) == ("silence", "failed")
    assert row.recording_error == "No space left on device"


async def test_the_next_step(store: CallStore) -> None:
    await store.open_call(make_call())
    assert await store.set_next_step("c1", {"do": "transfer", "to": "+15551230111"})
    assert not await store.set_next_step("unknown", {"do": "hang_up"})
    row = await store.get_call("c1")
    assert row is not None
    assert row.next_step == {"do": "transfer", "to": "+15551230111"}


async def test_calls_are_listed_newest_first(store: CallStore) -> None:
    for number in range(5):
        at = datetime(2026, 3, 1, 9, number, tzinfo=UTC)
        agent = "survey" if number == 3 else "front-desk"
        await store.open_call(make_call(f"c{number}", f"CA{number}", started_at=at, agent_name=agent))
    assert [row.call_id for row in await store.list_calls(3)] == ["c4", "c3", "c2"]
    assert [row.call_id for row in await store.list_calls(3, agent="front-desk")] == ["c4", "c2", "c1"]


async def test_turns_are_listed_as_spoken_not_as_they_ended(store: CallStore) -> None:
    await store.open_call(make_call())
    agent = Turn(Speaker.AGENT, "Hello", 3000, 4000)
    caller = Turn(Speaker.CALLER, "Hi", 1000, 2500, interrupted=True)
    await store.add_turn("c1", 0, agent)
    await store.add_turn("c1", 1, caller)
    await store.add_turn("c1", 1, Turn(Speaker.CALLER, "again", 0, 0))
    turns = await store.list_turns("c1")
    assert [(row.speaker, row.text, row.start_ms, row.end_ms, row.interrupted) for row in turns] == [
        ("caller", "Hi", 1000, 2500, True),
        ("agent", "Hello", 3000, 4000, False),
    ]


async def test_events_are_listed_in_call_time(store: CallStore) -> None:
    await store.open_call(make_call())
    events = [CallEvent("b", 20, {"n": 1}), CallEvent("a", 10), CallEvent("c", 20)]
    await store.add_events("c1", 0, events)
    await store.add_events("c1", 0, events)
    assert [(row.kind, row.at_ms, row.data) for row in await store.list_events("c1")] == [
        ("a", 10, {}),
        ("b", 20, {"n": 1}),
        ("c", 20, {}),
    ]


async def test_text_that_no_database_can_hold_is_mended(store: CallStore) -> None:
    await store.open_call(make_call())
    await store.add_turn("c1", 0, Turn(Speaker.CALLER, "a\x00b\ud800c \U0001f600", 0, 1))
    await store.add_events("c1", 0, [CallEvent("tool", 0, {"text": "a\x00b\ud800", "ratio": float("nan")})])
    assert [row.text for row in await store.list_turns("c1")] == ["a\ufffdb?c \U0001f600"]
    assert (await store.list_events("c1"))[0].data["ratio"] is None


async def test_a_turn_needs_its_call(store: CallStore) -> None:
    with pytest.raises(IntegrityError):
        await store.add_turn("unknown", 0, Turn(Speaker.CALLER, "Hi", 0, 1))


async def test_who_took_a_call_stands_but_for_the_end_of_a_machines_greeting(store: CallStore) -> None:
    await store.open_call(make_call("c9", "CA9"))
    for word, kept in (
        ("machine_start", "machine_start"),
        ("human", "machine_start"),
        ("machine_end_beep", "machine_end_beep"),
        ("machine_end_other", "machine_end_beep"),
        ("unknown", "machine_end_beep"),
    ):
        await store.note_answered_by("c9", word)
        row = await store.get_call("c9")
        assert row is not None
        assert row.answered_by == kept
