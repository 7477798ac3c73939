"""What happens to all calls, read in an order in which nothing is missed and nothing comes twice."""

from datetime import UTC, datetime

from sqlmodel import text

from storage.engine import Database
from transcripts.call import Call, CallStatus, Direction, EndReason
from transcripts.moves import Move, Moves, Place, read_place
from transcripts.store import CallStore

NOW = datetime(2026, 3, 1, 9, tzinfo=UTC)


def call(call_id: str, agent: str = "front-desk") -> Call:
    return Call(call_id, None, agent, Direction.BROWSER, None, None, {}, NOW)


def told(moves: list[Move]) -> list[tuple[str, str, str | None]]:
    return [(move.call_id, move.status, move.end_reason) for move in moves]


async def test_every_move_is_told_once_whoever_makes_it(database: Database) -> None:
    store, moves = CallStore(database), Moves(database)
    start = await moves.last()
    assert start == Place()
    await store.open_call(call("a"))
    await store.open_call(call("a"))  # Twilio repeats itself
    await store.open_call(call("b", "survey"), status=CallStatus.QUEUED)
    await store.go_live("a")
    await store.go_live("a")
    middle = await moves.last()
    await store.finish_call("a", EndReason.SILENCE)
    await store.finish_call("a", EndReason.BOT_ENDED)
    first = await moves.after(start)
    assert told(first) == [
        ("a", "ringing", None),
        ("b", "queued", None),
        ("a", "live", None),
        ("a", "ended", "silence"),
    ]
    assert told(await moves.after(middle)) == [("a", "ended", "silence")]
    assert told(await moves.after(start, {"survey"})) == [("b", "queued", None)]
    assert await moves.after(first[-1].place) == []
    assert abs((first[0].at - datetime.now(UTC)).total_seconds()) < 5
    assert read_place(str(middle)) == middle
    assert [read_place(odd) for odd in ("", "1", "1-", "-1-2", "1-2-3", "1-" + "9" * 19, "0-2147483648", "٣-1")] == [
        None
    ] * 8
    # Whoever is erased takes his moves with him, and no place is given out again.
    async with database.writer() as session:
        await (await session.connection()).execute(text("DELETE FROM calls WHERE call_id = 'a'"))
    assert told(await moves.after(start)) == [("b", "queued", None)]
    assert await moves.is_possible(first[-1].place)
    await store.open_call(call("c"))
    assert told(await moves.after(first[-1].place)) == [("c", "ringing", None)]
    assert not await moves.is_possible(Place(2**60, 1))


async def test_what_is_committed_late_is_not_missed(database: Database) -> None:
    if database.kind == "sqlite":
        return  # one writer at a time: nothing is committed in another order than it was written
    store, moves = CallStore(database), Moves(database)
    async with database.writer() as slow:
        connection = await slow.connection()
        insert = "INSERT INTO calls (call_id, agent_name, direction, status, variables, created_at, recording_status)"
        await connection.execute(text(f"{insert} VALUES ('slow', 'a', 'browser', 'ringing', '{{}}', now(), 'none')"))
        await store.open_call(call("quick"))
        assert await moves.after(Place()) == [], "somebody earlier may still come"
    found = await moves.after(Place())
    assert [move.call_id for move in found] == ["slow", "quick"]
