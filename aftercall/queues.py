"""What waits in the database to be done: how much, and for how long the oldest of it has been due."""

import asyncio
from dataclasses import dataclass
from datetime import datetime
from typing import Any, cast

from sqlmodel import case, col, func, or_, select

from aftercall.models import AnalysisRow, AnalysisStatus, DeliveryRow, DeliveryStatus
from storage.engine import Database
from storage.errors import DatabaseAway
from telemetry import metrics
from transcripts.call import CallStatus
from transcripts.models import CallRow, OutgoingRow


@dataclass(frozen=True, slots=True)
class Queue:
    """A queue of work: its name, how long it is, and for how long its oldest piece has been due, in seconds."""

    name: str
    length: int
    oldest_secs: float


async def read_queues(db: Database, now: datetime) -> tuple[list[Queue], int]:
    """Return the queues, and how many deliveries of webhooks are dead. `now` is aware. Raises `DatabaseAway`."""
    due_at = func.coalesce(col(OutgoingRow.due_at), col(CallRow.created_at))
    dials = (
        select(func.count(), func.min(due_at))
        .select_from(CallRow)
        .join(OutgoingRow, col(OutgoingRow.call_id) == col(CallRow.call_id))
        .where(col(CallRow.status) == CallStatus.QUEUED.value, due_at <= now)
    )
    queries: dict[str, Any] = {
        "dials": dials,
        "analyses": _pending(AnalysisRow, col(AnalysisRow.status) == AnalysisStatus.PENDING.value, now),
        "webhooks": _pending(DeliveryRow, col(DeliveryRow.status) == DeliveryStatus.PENDING.value, now),
    }
    found: list[Queue] = []
    async with db.reader() as session:
        for name, query in queries.items():
            length, oldest = cast(tuple[int, datetime | None], (await session.exec(query)).one())
            found.append(Queue(name, length, 0.0 if oldest is None else max(0.0, (now - oldest).total_seconds())))
        dead = select(func.count()).where(col(DeliveryRow.status) == DeliveryStatus.DEAD.value)
        return found, (await session.exec(dead)).one()


async def measure_queues(db: Database, now: datetime, timeout_secs: float = 2.0) -> None:
    """Put what waits into the metrics; when the database does not answer in time they say nothing of it."""
    try:
        async with asyncio.timeout(timeout_secs):
            queues, dead = await read_queues(db, now)
    except (DatabaseAway, TimeoutError):
        metrics.QUEUE_LENGTH.clear()
        metrics.QUEUE_OLDEST_SECONDS.clear()
        return
    for queue in queues:
        metrics.QUEUE_LENGTH.labels(queue=queue.name).set(queue.length)
        metrics.QUEUE_OLDEST_SECONDS.labels(queue=queue.name).set(queue.oldest_secs)
    metrics.WEBHOOKS_DEAD.set(dead)


def _pending(row: type[AnalysisRow | DeliveryRow], is_pending: Any, now: datetime) -> Any:
    next_at: Any = col(row.next_at)
    is_due = or_(next_at.is_(None), next_at <= now)
    return select(func.count(), func.min(case((is_due, next_at)))).where(is_pending)
