"""Calls for a later time: how late that may be, and the timer that outlives this process."""

from datetime import datetime, timedelta
from typing import Protocol

from loguru import logger

from calling.errors import BadValue, NoSuchCall
from storage.errors import DatabaseAway
from storage.workflows import Workflows, WorkflowsElsewhere
from transcripts.outgoing import Outgoing

WORK = "place a call"
"""What the timers are called where they are kept; calls of earlier versions wait under this name."""
LONGEST = timedelta(days=90)


def check_time(at: datetime, now: datetime) -> None:
    """Check a time that a call is asked for; both aware. Raises `BadValue`."""
    if at <= now:
        raise BadValue("at: this is in the past; give a moment to come, or leave it out to call now.")
    if at - now > LONGEST:
        raise BadValue(f"at: this is more than {LONGEST.days} days away; ask again nearer to it.")


class Timers(Protocol):
    """What has calls placed at their time."""

    async def set(self, call_id: str, at: datetime, now: datetime) -> None:
        """Have a call placed at that time; both aware."""
        ...

    async def cancel(self, call_id: str) -> None:
        """Forget a timer, if there is one."""
        ...


class Places(Protocol):
    """Who places calls that are written down; `calling.dialler.Dialler`."""

    async def place_now(self, call_id: str) -> Outgoing:
        """Place it, if it is still to be placed. Any number of times, from any process."""
        ...


class CallTimers:
    """Timers that outlive their process. Implements `Timers`.

    What is kept is the call's id; all else is read when its time has come.
    """

    def __init__(self, workflows: Workflows, dialler: Places) -> None:
        """Take where timers are kept, not yet started, and who places the calls."""
        self._workflows = workflows
        self._dialler = dialler
        workflows.add(WORK, (self._place,))

    async def set(self, call_id: str, at: datetime, now: datetime) -> None:
        """Have a call placed at that time. Without a timer it is placed too, a little later: a sweep finds it."""
        try:
            await self._workflows.schedule(WORK, call_id, delay_secs=(at - now).total_seconds())
        except (DatabaseAway, WorkflowsElsewhere) as error:
            logger.bind(call_id=call_id, problem=str(error)).warning("a scheduled call has no timer of its own")

    async def cancel(self, call_id: str) -> None:
        """Forget a timer. One that goes off all the same finds that nothing is to be done."""
        try:
            await self._workflows.cancel(WORK, call_id)
        except (DatabaseAway, WorkflowsElsewhere) as error:
            logger.bind(call_id=call_id, problem=str(error)).warning("the timer of a call that was called off is left")

    async def _place(self, call_id: str) -> str:
        try:
            outgoing = await self._dialler.place_now(call_id)
        except NoSuchCall:
            logger.bind(call_id=call_id).warning("a timer went off for a call that the database does not know")
            return "unknown"
        return outgoing.call.status
