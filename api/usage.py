"""`/v1/usage`: what was used by day and agent, and what that cost."""

from collections.abc import Iterable
from datetime import UTC, date, datetime, timedelta
from typing import Annotated

from fastapi import APIRouter, Depends, Query, Request
from pydantic import Field

from aftercall.ledger import DaySum
from api.api_keys import needs
from api.asking import agents_of
from api.deps import ServicesDep
from api.errors import BadPeriod
from api.patience import database_in_time
from api.shapes import Day, Shown
from transcripts.call_counts import DayCount, count_by_day

router = APIRouter(prefix="/v1/usage", tags=["usage"])

_LONGEST_DAYS = 366
_USUAL_DAYS = 30


class UsedItem(Shown):
    """So much of one thing."""

    item: str = Field(description="What was used, as in a call's costs.", examples=["audio_out"])
    unit: str = Field(examples=["token"])
    quantity: int
    micro_usd: int = Field(description="What it cost, in millionths of a US dollar.")


class DayOfAgent(Shown):
    """What the calls of an agent that began on a day (UTC) used, and the sentences read aloud for it that day."""

    day: date
    agent: str
    calls: int = Field(description="Calls that rang here or were asked for; erased ones are not counted.")
    answered: int = Field(description="Calls on which somebody was on the line.")
    minutes: float = Field(description="How long those that are over lasted, together.")
    tokens: int = Field(description="Tokens of every model and kind together; `items` has them apart.")
    micro_usd: int = Field(description="What all of it cost, in millionths of a US dollar, by config/prices.yaml.")
    items: list[UsedItem]


class Usage(Shown):
    """Days and agents on which there was anything, and their sum."""

    since: date
    until: date
    days: list[DayOfAgent]
    calls: int
    minutes: float
    tokens: int
    micro_usd: int


@router.get("")
async def show_usage(
    request: Request,
    services: ServicesDep,
    _asked_by: Annotated[str, Depends(needs("usage:read", names_agent=True))],
    since: Annotated[Day | None, Query(description="First day (UTC); left out: 30 days before the last one.")] = None,
    until: Annotated[Day | None, Query(description="Last day (UTC); left out: today.")] = None,
    agent: Annotated[str | None, Query(min_length=1, max_length=100, description="Only this agent.")] = None,
) -> Usage:
    """Sum up calls, minutes, tokens and cost by day and agent. Calls are settled some minutes after their end."""
    last = until or datetime.now(UTC).date()
    first = since or last - timedelta(days=_USUAL_DAYS - 1)
    if not first <= last < first + timedelta(days=_LONGEST_DAYS):
        raise BadPeriod
    seen = agents_of(request)
    wanted = seen if agent is None else frozenset({agent}) & (frozenset({agent}) if seen is None else seen)
    async with database_in_time():
        counts = await count_by_day(services.database, first, last, wanted)
        sums = await services.after_call.ledger.by_day(first, last, agent)
    days = _merge(counts, [one for one in sums if wanted is None or one.agent_name in wanted])
    return Usage(
        since=first,
        until=last,
        days=days,
        calls=sum(day.calls for day in days),
        minutes=round(sum(day.minutes for day in days), 2),
        tokens=sum(day.tokens for day in days),
        micro_usd=sum(day.micro_usd for day in days),
    )


def _merge(counts: Iterable[DayCount], sums: Iterable[DaySum]) -> list[DayOfAgent]:
    counted = {(count.day, count.agent_name): count for count in counts}
    items: dict[tuple[date, str], list[UsedItem]] = {}
    for one in sums:
        used = UsedItem(item=one.item, unit=one.unit, quantity=one.quantity, micro_usd=one.micro_usd)
        items.setdefault((one.day, one.agent_name), []).append(used)
    return [_day(*key, counted.get(key), items.get(key, [])) for key in sorted(counted.keys() | items.keys())]


def _day(day: date, agent: str, count: DayCount | None, items: list[UsedItem]) -> DayOfAgent:
    return DayOfAgent(
        day=day,
        agent=agent,
        calls=0 if count is None else count.calls,
        answered=0 if count is None else count.answered,
        minutes=0.0 if count is None else round(count.secs / 60, 2),
        tokens=sum(item.quantity for item in items if item.unit == "token"),
        micro_usd=sum(item.micro_usd for item in items),
        items=items,
    )
