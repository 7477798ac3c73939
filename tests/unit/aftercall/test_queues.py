"""What waits, read from the database."""

from datetime import UTC, datetime, timedelta
from typing import Any

from aftercall.models import AnalysisRow, DeliveryRow
from aftercall.queues import Queue, measure_queues, read_queues
from storage.engine import Database
from storage.rows import insert_new
from telemetry import metrics
from tests.unit.transcripts.calls import make_call
from transcripts.call import CallStatus
from transcripts.models import OutgoingRow
from transcripts.store import CallStore

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)


def delivery(name: str, status: str, next_at: datetime | None) -> dict[str, Any]:
    return {
        "delivery_id": name,
        "message_id": name,
        "endpoint_id": "e",
        "call_id": "c0",
        "agent_name": "front-desk",
        "event": "call.ended",
        "url": "https://example.com",
        "payload": "{}",
        "status": status,
        "attempt": 1,
        "first_attempt": 1,
        "created_at": NOW,
        "next_at": next_at,
    }


async def fill(database: Database) -> None:
    store = CallStore(database)
    for number in range(3):
        await store.open_call(make_call(f"c{number}", None), status=CallStatus.QUEUED)
    orders = [("c0", None), ("c1", NOW - timedelta(seconds=30)), ("c2", NOW + timedelta(hours=1))]
    analyses = [("c0", NOW - timedelta(seconds=10)), ("c1", NOW + timedelta(seconds=10))]
    async with database.writer() as session:
        await insert_new(
            session,
            OutgoingRow,
            [
                {"call_id": call_id, "requested_by": "", "request_hash": "h", "ring_secs": 20, "due_at": due_at}
                for call_id, due_at in orders
            ],
        )
        await insert_new(
            session,
            AnalysisRow,
            [
                {"call_id": call_id, "run": 1, "attempt": 1, "ticket": 1, "status": "pending"}
                | {"requested_at": NOW, "next_at": at}
                for call_id, at in analyses
            ],
        )
        pending = delivery("d1", "pending", NOW - timedelta(seconds=90))
        over = [delivery("d2", "dead", None), delivery("d3", "delivered", None)]
        await insert_new(session, DeliveryRow, [pending, *over])


async def test_queues_and_what_is_due_of_them(database: Database) -> None:
    assert await read_queues(database, NOW) == ([Queue(n, 0, 0.0) for n in ("dials", "analyses", "webhooks")], 0)
    await fill(database)
    # A call without a time is due since it was asked for, three hours ago; one for later does not wait.
    expected = [Queue("dials", 2, 10_800.0), Queue("analyses", 2, 10.0), Queue("webhooks", 1, 90.0)]
    assert await read_queues(database, NOW) == (expected, 1)
    await measure_queues(database, NOW)
    assert metrics.SHARED.get_sample_value("trunkline_queue_length", {"queue": "dials"}) == 2
    assert metrics.SHARED.get_sample_value("trunkline_webhooks_dead") == 1


async def test_a_database_that_is_away_leaves_nothing_stale(database: Database) -> None:
    await measure_queues(database, NOW)
    await measure_queues(database, NOW, timeout_secs=0)
    assert metrics.SHARED.get_sample_value("trunkline_queue_length", {"queue": "dials"}) is None
