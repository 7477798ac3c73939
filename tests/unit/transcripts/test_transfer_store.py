"""Warm transfers in the database: one of many who move wins, and a call without a process keeps its order of events."""

import asyncio
from collections.abc import AsyncGenerator
from datetime import UTC, datetime

import pytest

from storage.engine import Database
from tests.unit.transcripts.calls import make_call
from transcripts.call import CallEvent, EndReason
from transcripts.log import LogWriter
from transcripts.models import TransferRow
from transcripts.store import CallStore
from transcripts.transfer import TransferEvent, TransferStatus
from transcripts.transfer_store import TransferStore

NOW = datetime(2026, 3, 1, 9, 0, 5, tzinfo=UTC)


def attempt(transfer_id: str = "t1", status: TransferStatus = TransferStatus.CALLING) -> TransferRow:
    return TransferRow(
        transfer_id=transfer_id,
        call_id="c1",
        call_sid="CA1",
        agent_name="front-desk",
        destination="owner",
        address="+15551230198",
        language="en-US",
        status=status.value,
        created_at=NOW,
    )


@pytest.fixture
async def store(database: Database) -> CallStore:
    store = CallStore(database)
    await store.open_call(make_call())
    await store.go_live("c1", owner="p1")
    return store


@pytest.fixture
async def log(store: CallStore) -> AsyncGenerator[LogWriter]:
    writer = LogWriter(store)
    await writer.start()
    yield writer
    await writer.close()


async def test_of_many_who_tell_of_an_event_one_makes_the_move(database: Database, store: CallStore) -> None:
    transfers = TransferStore(database)
    await transfers.open(attempt(status=TransferStatus.JOINED))
    moves = await asyncio.gather(*(transfers.tell("t1", TransferEvent.LEG_OVER) for _ in range(4)))
    assert [move.is_change for move in moves if move is not None].count(True) == 1
    row = await transfers.get("t1")
    assert row is not None
    assert row.status == "ended"
    assert row.ended_at is not None
    late = await transfers.tell("t1", TransferEvent.ACCEPT)
    assert late is not None
    assert not late.is_change
    assert await transfers.tell("no such", TransferEvent.ACCEPT) is None


async def test_the_attempt_under_way_is_found_and_an_end_stays(database: Database, store: CallStore) -> None:
    transfers = TransferStore(database)
    await transfers.open(attempt())
    await transfers.open(attempt())
    await transfers.keep("t1", TransferStatus.RINGING, "CA2")
    found = await transfers.find_open("c1")
    assert found is not None
    assert (found.transfer_id, found.leg_sid, found.status) == ("t1", "CA2", "ringing")
    await transfers.keep("t1", TransferStatus.BUSY, "CA2")
    await transfers.keep("t1", TransferStatus.BRIEFING, "CA2")
    assert await transfers.find_open("c1") is None
    assert [row.status for row in await transfers.list_of("c1")] == ["busy"]


async def test_who_joined_when_is_written_once(database: Database, store: CallStore) -> None:
    transfers = TransferStore(database)
    await transfers.open(attempt(status=TransferStatus.JOINED))
    assert await transfers.join("t1", "person", NOW)
    assert not await transfers.join("t1", "person", datetime.now(UTC))
    row = await transfers.get("t1")
    assert row is not None
    assert (row.person_joined_at, row.caller_joined_at) == (NOW, None)


async def test_a_call_that_was_handed_over_is_live_and_nobodys_and_others_go_on_with_its_events(
    store: CallStore, log: LogWriter
) -> None:
    held = log.open("c1")
    held.event("call.live", 0)
    held.event("transfer.accepted", 900)
    held.hand_over()
    assert await log.flush(5)
    row = await store.get_call("c1")
    assert row is not None
    assert (row.status, row.owner, row.end_reason) == ("live", None, None)
    await asyncio.gather(*(store.append_event("c1", CallEvent("transfer.joined", 1000 + n)) for n in range(4)))
    events = sorted(await store.list_events("c1"), key=lambda event: event.seq)
    assert [event.seq for event in events] == list(range(6))
    assert {event.at_ms for event in events[2:]} == {1000, 1001, 1002, 1003}
    assert await store.finish_call("c1", EndReason.TRANSFERRED, ended_at=NOW)
