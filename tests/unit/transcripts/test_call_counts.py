"""Calls by day and agent, counted by both databases alike, across midnight."""

from datetime import UTC, date, datetime, timedelta

from storage.engine import Database
from transcripts.call import Call, Direction, EndReason
from transcripts.call_counts import count_by_day
from transcripts.store import CallStore

BEGAN = datetime(2026, 3, 1, 23, 59, 30, tzinfo=UTC)


async def test_calls_are_counted_by_day_and_agent(database: Database) -> None:
    store = CallStore(database)
    for call_id, agent, began in (
        ("c0", "front-desk", BEGAN),
        ("c1", "front-desk", BEGAN + timedelta(minutes=1)),
        ("c2", "survey", BEGAN),
    ):
        await store.open_call(Call(call_id, None, agent, Direction.BROWSER, None, None, {}, began))
    for call_id, secs in (("c0", 90.0), ("c1", 30.0)):
        await store.go_live(call_id)
        await store.finish_call(call_id, EndReason.SILENCE, ended_at=datetime.now(UTC) + timedelta(seconds=secs))
    await store.finish_call("c2", EndReason.NO_ANSWER)
    found = await count_by_day(database, date(2026, 3, 1), date(2026, 3, 2))
    assert [(one.day, one.agent_name, one.calls, one.answered) for one in found] == [
        (date(2026, 3, 1), "front-desk", 1, 1),
        (date(2026, 3, 1), "survey", 1, 0),
        (date(2026, 3, 2), "front-desk", 1, 1),
    ]
    assert [round(one.secs) for one in found] == [90, 0, 30]
    assert await count_by_day(database, date(2026, 3, 2), date(2026, 3, 2), {"survey"}) == []
