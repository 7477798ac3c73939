"""The tool `schedule_callback`: the person on the phone wants to be called back, and is."""

import functools
import re
from datetime import UTC, datetime, timedelta, tzinfo
from typing import Protocol

from pipecat.services.llm_service import FunctionCallParams

from config.agent import AgentConfig
from config.opening_hours import load_zone
from pipelines.tools import Tool, resources
from telemetry.moments import moment_text
from transcripts.call import Call, Direction

_MINUTES = re.compile(r"(?:in\s+)?(\d{1,6})\s*(?:m|min|mins|minute|minutes)?", re.IGNORECASE)
_HOURS = re.compile(r"(?:in\s+)?(\d{1,4})\s*(?:h|hour|hours)", re.IGNORECASE)
_DATE_ALONE = len("2026-03-01")


class CannotCallBack(Exception):
    """No call back can be arranged. The message says why, in a sentence for the model."""


class Callbacks(Protocol):
    """Who arranges calls back."""

    async def arrange(self, call: Call, agent: AgentConfig, number: str, at: datetime, reason: str) -> str:
        """Have `number` called at that time (aware) because of `reason`; returns the new call's id.

        A call has one call back: a later wish takes the place of an earlier one. Raises `CannotCallBack`.
        """
        ...


async def schedule_callback(params: FunctionCallParams, when: str, reason: str) -> None:
    """Have the person on the phone called back later on the number he is on now, when he asks for it.

    Ask him when, unless he has said so, and confirm the time that the result names. A later time takes the place of an
    earlier one.

    Args:
        params: Given by the pipeline.
        when: The local date and time, such as 2026-03-01T14:30, or a time from now, such as "in 20 minutes".
        reason: What the call back is about, in a few words; whoever calls is told.
    """
    desk = resources(params)
    zone = zone_of(desk.agent)
    number = desk.call.to_number if desk.call.direction is Direction.OUTBOUND else desk.call.from_number
    try:
        if desk.callbacks is None:
            raise CannotCallBack("Nobody can be called back from here.")
        if number is None:
            raise CannotCallBack("His number is withheld, so nobody can call him back.")
        at = read_when(when, zone, datetime.now(UTC))
        call_id = await desk.callbacks.arrange(desk.call, desk.agent, number, at, reason)
    except CannotCallBack as error:
        desk.scribe.event("callback.refused", problem=str(error))
        await params.result_callback({"scheduled": False, "why": str(error), "now": "Tell the caller, and go on."})
        return
    desk.scribe.event("callback.scheduled", call_id=call_id, at=moment_text(at))
    local = f"{at.astimezone(zone):%A %Y-%m-%d %H:%M} ({zone})"
    await params.result_callback({"scheduled": True, "at": local, "now": "Confirm the time to the caller."})


def schedule_callback_for(agent: AgentConfig) -> Tool:
    """Return the tool as this agent's model sees it: with today's date, and the zone that it has to count in."""

    @functools.wraps(schedule_callback)
    async def told(params: FunctionCallParams, when: str, reason: str) -> None:
        await schedule_callback(params, when, reason)

    zone = zone_of(agent)
    summary, rest = (schedule_callback.__doc__ or "").split("\n", 1)
    # The date and not the time: what is declared while the phone rings has to be the same when the call begins.
    told.__doc__ = f"{summary} Today is {datetime.now(zone):%A %Y-%m-%d} ({zone}).\n{rest}"
    return told


def zone_of(agent: AgentConfig) -> tzinfo:
    """Return the zone that an agent's times of day are meant in."""
    return load_zone(agent.outbound.zone)


def read_when(text: str, zone: tzinfo, now: datetime) -> datetime:
    """Read a time as a model says it, aware, by the minute. `zone` is that of times without one.

    Raises `CannotCallBack`.
    """
    said = " ".join(text.split())
    if (minutes := _MINUTES.fullmatch(said)) is not None:
        at = now + timedelta(minutes=int(minutes[1]))
    elif (hours := _HOURS.fullmatch(said)) is not None:
        at = now + timedelta(hours=int(hours[1]))
    else:
        try:
            at = datetime.fromisoformat(said)
        except ValueError as error:
            raise CannotCallBack(
                f"{said[:60]!r} is no time; give date and time like 2026-03-01T14:30, or 'in 20 minutes'."
            ) from error
        if len(said) <= _DATE_ALONE:
            raise CannotCallBack("The time of day is missing; ask for it.")
        at = at.replace(tzinfo=zone) if at.tzinfo is None else at
    at = at.replace(second=0, microsecond=0)
    if at <= now:
        raise CannotCallBack(f"That is over: it is {now.astimezone(zone):%Y-%m-%d %H:%M} now; give a later time.")
    return at
