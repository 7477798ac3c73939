"""`/v1/usage` and the cost of one call, worked out by hand."""

from datetime import UTC, date, datetime, timedelta
from typing import Any

from sqlmodel import col, update

from aftercall.models import AnalysisRow, CostRow, Stage
from storage.engine import Database
from storage.rows import insert_new
from tests.unit.api.wire import Line
from transcripts.call import Call, Direction, EndReason
from transcripts.models import CallRow
from transcripts.store import CallStore

BEGAN = datetime(2026, 3, 1, 23, 59, 30, tzinfo=UTC)


async def fill(database: Database) -> None:
    """Three calls: two of the front desk on two days, one of the survey that nobody answered."""
    store = CallStore(database)
    for call_id, agent, began, secs in (
        ("c0", "front-desk", BEGAN, 90.0),
        ("c1", "front-desk", BEGAN + timedelta(minutes=1), 30.0),
        ("c2", "survey", BEGAN, 0.0),
    ):
        # Begun and ended at once: no sweep finds it open.
        await store.open_call(Call(call_id, None, agent, Direction.BROWSER, None, None, {}, datetime.now(UTC)))
        if secs:
            await store.go_live(call_id)
        ended_at = datetime.now(UTC) + timedelta(seconds=secs)
        await store.finish_call(call_id, EndReason.SILENCE, ended_at=ended_at)
        async with database.writer() as session:
            of_call = update(CallRow).where(col(CallRow.call_id) == call_id)
            await session.exec(of_call.values(created_at=began, aftercall=int(Stage.SETTLED)))
    common = {"source": "conversation", "model": "m", "price_usd": "12.0", "price_per": "million tokens"}
    costs: list[dict[str, Any]] = [
        common | {"call_id": "c0", "agent_name": "front-desk", "day": date(2026, 3, 1), "item": "gemini_audio_out",
                  "quantity": 1500, "unit": "token", "price_date": date(2026, 1, 1), "micro_usd": 18_000},
        common | {"call_id": "c0", "agent_name": "front-desk", "day": date(2026, 3, 1), "item": "twilio_incoming_call",
                  "quantity": 2, "unit": "minute", "price_date": date(2026, 1, 1), "micro_usd": 17_000},
        common | {"call_id": None, "agent_name": "survey", "day": date(2026, 3, 1), "item": "gemini_text_in",
                  "quantity": 100, "unit": "token", "price_date": date(2026, 1, 1), "micro_usd": 75},
    ]  # fmt: skip
    async with database.writer() as session:
        await insert_new(session, CostRow, costs)


async def test_usage_is_the_sum_of_its_days_and_shown_to_whom_it_concerns(line: Line) -> None:
    services = line.server.services
    await fill(services.database)

    async def ask(path: str, *scopes: str, agents: list[str] | None = None) -> Any:
        key = await services.keys.create("test", scopes, now=datetime.now(UTC), agents=agents)
        answer = await line.http.get(path, headers={"Authorization": f"Bearer {key.text}"})
        return answer.json() | {"http": answer.status_code}

    period = "/v1/usage?since=2026-03-01&until=2026-03-02"
    used = await ask(period, "usage:read")
    assert (used["calls"], used["minutes"], used["tokens"], used["micro_usd"]) == (3, 2.0, 1600, 35_075)
    first = used["days"][0]
    assert (first["day"], first["agent"], first["calls"], first["answered"]) == ("2026-03-01", "front-desk", 1, 1)
    assert (first["minutes"], first["tokens"], first["micro_usd"]) == (1.5, 1500, 35_000)
    assert {item["item"] for item in first["items"]} == {"gemini_audio_out", "twilio_incoming_call"}
    bound = await ask(period, "usage:read", agents=["survey"])
    assert (bound["calls"], bound["micro_usd"]) == (1, 75)
    assert (await ask(f"{period}&agent=front-desk", "usage:read", agents=["survey"]))["days"] == []
    assert (await ask(f"{period}&agent=survey", "usage:read"))["micro_usd"] == 75
    assert (await ask("/v1/usage", "usage:read"))["days"] == []
    assert (await ask(period, "calls:read"))["http"] == 403
    for odd in ("since=2026-03-02&until=2026-03-01", "since=2024-01-01&until=2026-01-01", "since=1", "since=0001-01-01",
                "until=9999-12-31", "until=2026-02-30", "since=2026-03-01T00:00:00Z"):  # fmt: skip
        assert (await ask(f"/v1/usage?{odd}", "usage:read"))["http"] == 422, odd

    row = {
        "call_id": "c0",
        "ticket": 1,
        "run": 1,
        "attempt": 1,
        "status": "done",
        "requested_at": BEGAN,
        "finished_at": BEGAN,
        "model": "m",
        "result": {"summary": "He asked for Zoë."},
    }
    async with services.database.writer() as session:
        await insert_new(session, AnalysisRow, [row])
    plain = await ask("/v1/calls/c0", "calls:read")
    assert (plain["cost"], plain["analysis"]) == (None, None)
    whole = await ask("/v1/calls/c0?include=cost,analysis", "calls:read", "usage:read", "analysis:read")
    assert (whole["cost"]["micro_usd"], len(whole["cost"]["items"])) == (35_000, 2)
    assert whole["analysis"]["result"] == {"summary": "He asked for Zoë."}
    assert whole["turns"] is None
