"""Times that a call may be asked for, and a time that goes by without a server."""

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, cast

import pytest

from calling.dialler import Dialler
from calling.errors import BadValue, NoSuchCall
from calling.request import CallRequest
from calling.schedule import LONGEST, WORK, CallTimers, check_time
from config.agent import AgentConfig
from config.agents_folder import AgentCatalog
from storage.engine import Database
from storage.errors import DatabaseAway
from telephony.rest import TwilioRest
from tests.databases import database, database_url
from transcripts.outgoing import Outgoing, OutgoingStore, Room

__all__ = ["database", "database_url"]

NOW = datetime(2026, 3, 2, 15, tzinfo=UTC)
AGENT = AgentConfig.model_validate(
    {"name": "desk", "bot": "receptionist", "numbers": ("+15551230100",), "outbound": {"enabled": True, "hours": "any"}}
)


@pytest.mark.parametrize("secs", [0, -1, -86_400])
def test_a_time_that_is_over_is_none(secs: int) -> None:
    with pytest.raises(BadValue, match="at: this is in the past; give a moment to come"):
        check_time(NOW + timedelta(seconds=secs), NOW)


def test_ninety_days_are_the_most() -> None:
    check_time(NOW + LONGEST, NOW)
    check_time(NOW + timedelta(seconds=1), NOW)
    with pytest.raises(BadValue, match="more than 90 days away"):
        check_time(NOW + LONGEST + timedelta(seconds=1), NOW)


@dataclass
class FakeWorkflows:
    """Where timers are kept; `trouble` is raised instead."""

    trouble: Exception | None = None
    asked: list[tuple[Any, ...]] = field(default_factory=list)

    def add(self, work: str, steps: Any) -> None:
        self.asked.append(("add", work, len(steps)))
        [self.step] = steps

    async def schedule(self, work: str, key: str, *, delay_secs: float) -> None:
        if self.trouble:
            raise self.trouble
        self.asked.append(("schedule", work, key, delay_secs))

    async def cancel(self, work: str, key: str) -> None:
        if self.trouble:
            raise self.trouble
        self.asked.append(("cancel", work, key))


class Knows:
    """A dialler that knows one call."""

    async def place_now(self, call_id: str) -> Outgoing:
        raise NoSuchCall


async def test_a_timer_holds_an_id_and_an_absent_database_refuses_no_call() -> None:
    kept = FakeWorkflows()
    timers = CallTimers(cast(Any, kept), Knows())
    await timers.set("c1", NOW + timedelta(minutes=1), NOW)
    await timers.cancel("c1")
    assert kept.asked == [("add", WORK, 1), ("schedule", WORK, "c1", 60.0), ("cancel", WORK, "c1")]
    kept.trouble = DatabaseAway("away")
    await timers.set("c2", NOW + timedelta(minutes=1), NOW)
    await timers.cancel("c2")
    assert await kept.step("c3") == "unknown", "the database was restored from before it was asked for"


class NoLines:
    """No line is ever needed here."""

    async def keep(self, call: Any, agent: Any, secs: float) -> str:
        raise AssertionError("a call that is not to be dialled needs no line")

    def give_up(self, call_id: str) -> None:
        return None


async def test_a_call_whose_time_went_by_without_a_server_is_missed_and_the_sweep_leaves_timers_their_moment(
    database: Database,
) -> None:
    now = [NOW]

    async def agents() -> AgentCatalog:
        return AgentCatalog((AGENT,))

    async with TwilioRest("AC1", "AC1", "token", api_base="http://127.0.0.1:9") as rest:
        dialler = Dialler(
            OutgoingStore(database),
            rest,
            NoLines(),
            agents,
            base_url="https://voice.example.com",
            owner="me",
            room=Room(),
            now=lambda: now[0],
        )
        dialler.timers = CallTimers(cast(Any, FakeWorkflows()), dialler)
        request = CallRequest(agent="desk", to="+15551230177", at=NOW + timedelta(minutes=5))
        outgoing, is_new = await dialler.place(request)
        assert is_new
        call_id = outgoing.call.call_id
        now[0] = NOW + timedelta(minutes=5, seconds=10)
        await dialler.sweep()
        found = await dialler.find(call_id)
        assert found is not None
        assert (found.call.status, found.call.owner) == ("queued", None)
        now[0] = NOW + timedelta(minutes=16)
        missed = await dialler.place_now(call_id)
        assert (missed.call.status, missed.call.end_reason) == ("ended", "missed")
        assert missed.order.problem == "No server was there to place it when it was to be placed."
        assert missed.order.dialled_at is None
        await dialler.close()
