"""Calls by what is known of them, and pages that stay what they are while calls come in."""

from datetime import UTC, datetime, timedelta

from storage.engine import Database
from storage.keyset import Position
from transcripts.call import Call, CallEvent, CallStatus, Direction, EndReason, RecordingStatus, Speaker, Turn
from transcripts.call_list import CallFilter, CallList
from transcripts.piecewise import read_events, read_turns
from transcripts.store import CallStore

BEGAN = datetime(2026, 3, 1, 9, 0, tzinfo=UTC)
NUMBERS = ("+15551230100", "+15557654321", "+15557654322")


async def fill(database: Database, count: int = 9) -> CallStore:
    """Calls c0 to c8: three of each second, one agent after the other."""
    store = CallStore(database)
    for i in range(count):
        call = Call(
            call_id=f"c{i}",
            call_sid=f"CA{i}",
            agent_name=("front-desk", "survey")[i % 2],
            direction=(Direction.INBOUND, Direction.OUTBOUND)[i % 2],
            from_number=NUMBERS[i % 3],
            to_number=NUMBERS[0],
            variables={"name": "Zoë"},
            started_at=BEGAN + timedelta(seconds=i // 3),
        )
        await store.open_call(call)
    await store.go_live("c1")
    await store.finish_call("c2", EndReason.SILENCE, recording_status=RecordingStatus.COMPLETE)
    await store.note_answered_by("c3", "human")
    return store


async def found(database: Database, wanted: CallFilter, limit: int = 50, behind: Position | None = None) -> list[str]:
    return [row.call_id for row, _order in await CallList(database).page(wanted, limit, behind)]


async def test_pages_neither_lose_nor_repeat_a_call_while_others_come_in(database: Database) -> None:
    store = await fill(database)
    seen: list[str] = []
    behind: Position | None = None
    while page := await CallList(database).page(CallFilter(), 2, behind):
        seen += [row.call_id for row, _order in page]
        behind = Position(page[-1][0].created_at, page[-1][0].call_id)
        new = Call(f"new{len(seen)}", None, "survey", Direction.BROWSER, None, None, {}, BEGAN + timedelta(days=1))
        await store.open_call(new)
    assert seen == ["c8", "c7", "c6", "c5", "c4", "c3", "c2", "c1", "c0"]


async def test_each_filter_alone_and_together(database: Database) -> None:
    await fill(database)
    second = BEGAN + timedelta(seconds=1)
    expected = [
        (CallFilter(agent="survey"), "c7 c5 c3 c1"),
        (CallFilter(direction=Direction.INBOUND, since=second), "c8 c6 c4"),
        (CallFilter(status=CallStatus.LIVE), "c1"),
        (CallFilter(end_reason=EndReason.SILENCE), "c2"),
        (CallFilter(number=NUMBERS[1]), "c7 c4 c1"),
        (CallFilter(number=NUMBERS[0]), "c8 c7 c6 c5 c4 c3 c2 c1 c0"),
        (CallFilter(number="+15550000000"), ""),
        (CallFilter(answered_by="human"), "c3"),
        (CallFilter(has_recording=True), "c2"),
        (CallFilter(has_recording=False, until=second), "c1 c0"),
        (CallFilter(since=second, until=second + timedelta(seconds=1)), "c5 c4 c3"),
        (CallFilter(agents=frozenset({"survey"}), number=NUMBERS[1]), "c7 c1"),
        (CallFilter(agents=frozenset()), ""),
        (CallFilter(agent="' OR 1=1 --"), ""),
        (CallFilter(agent="%"), ""),
    ]
    for wanted, call_ids in expected:
        assert await found(database, wanted) == call_ids.split(), wanted


async def test_a_long_call_is_read_in_pieces(database: Database) -> None:
    store = await fill(database, 1)
    await store.add_events("c0", 0, [CallEvent("tick", number) for number in range(250)])
    pieces = [piece async for piece in read_events(database, "c0")]
    assert [len(piece) for piece in pieces] == [100, 100, 50]
    assert [event.seq for piece in pieces for event in piece] == list(range(250))
    assert [event.seq async for piece in read_events(database, "c0", 247) for event in piece] == [248, 249]
    assert [piece async for piece in read_events(database, "nobody")] == []
    for position in range(3):
        await store.add_turn("c0", position, Turn(Speaker.CALLER, f"Word {position}.", position, position + 1))
    assert [turn.text async for piece in read_turns(database, "c0") for turn in piece] == [
        "Word 0.",
        "Word 1.",
        "Word 2.",
    ]
