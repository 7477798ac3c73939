"""How many calls there were and how long they lasted, by day and agent."""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from typing import Any

from sqlalchemy import select
from sqlmodel import col, func

from storage.engine import Database
from transcripts.models import CallRow


@dataclass(frozen=True, slots=True)
class DayCount:
    """The calls of an agent that were asked for or rang on a day (UTC); `answered`: so many of them were live.

    `secs`: how long those that are over were live, together.
    """

    day: date
    agent_name: str
    calls: int
    answered: int
    secs: float


async def count_by_day(db: Database, first: date, last: date, agents: Collection[str] | None = None) -> list[DayCount]:
    """Count calls by day and agent, from the day `first` to the day `last`. Raises `storage.errors.DatabaseAway`.

    `agents`: of these only.
    """
    began, live, ended = col(CallRow.created_at), col(CallRow.live_at), col(CallRow.ended_at)
    # Both know `date`: SQLite of the text that it keeps, PostgreSQL of a moment in the session's zone, which is UTC.
    day: Any = func.date(began)
    if db.kind == "sqlite":
        secs: Any = (func.julianday(ended) - func.julianday(live)) * 86_400.0
    else:
        secs = func.extract("epoch", ended - live)
    query = (
        select(day, col(CallRow.agent_name), func.count(), func.count(live), func.sum(secs))
        .where(began >= _midnight(first), began < _midnight(last) + timedelta(days=1))
        .group_by(day, col(CallRow.agent_name))
        .order_by(day, col(CallRow.agent_name))
    )
    if agents is not None:
        query = query.where(col(CallRow.agent_name).in_(list(agents)))
    async with db.reader() as session:
        rows: Any = (await (await session.connection()).execute(query)).all()
    return [
        DayCount(
            day=date.fromisoformat(found) if isinstance(found, str) else found,
            agent_name=agent,
            calls=int(calls),
            answered=int(answered),
            secs=float(lasted or 0),
        )
        for found, agent, calls, answered, lasted in rows
    ]


def _midnight(day: date) -> datetime:
    return datetime.combine(day, time(), UTC)
