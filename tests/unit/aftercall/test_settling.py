"""What follows from a call's beginning and its end: once, whoever looks, and after any crash."""

from datetime import datetime, timedelta
from pathlib import Path

from sqlmodel import select

from aftercall.analysis_store import Ticket
from aftercall.models import AnalysisRow, CostRow, DeliveryRow, Stage
from aftercall.receivers import SERVER, receivers_of
from aftercall.settling import Settling
from config.agent import AgentConfig
from config.agent_file import Checks, parse_agent
from config.prices import load_prices
from config.settings import Settings
from storage.engine import Database
from tests.unit.aftercall.calls import BEGAN, make_call, usage
from transcripts.call import CallEvent, EndReason
from transcripts.models import CallRow

AGENT = b"""
bot: receptionist
analysis: {summary: true}
webhooks:
  - {url: "https://a.example.com/", events: [call.started, call.ended]}
  - {url: "https://b.example.com/", include: []}
  - {url: "https://a.example.com/"}
"""
SETTINGS = Settings.model_validate({"webhook_url": "https://all.example.com/", "webhook_events": ["call.ended"]})


def agent() -> AgentConfig:
    found, problems = parse_agent(Path("front-desk.yaml"), AGENT, Checks({"receptionist": None}))
    assert found is not None, problems
    return found


class Process:
    """One of several processes that look; `begun` is what it set going."""

    def __init__(self, database: Database, *, agent: AgentConfig | None, now: datetime) -> None:
        self.begun: list[str] = []
        self.now, self.agent = now, agent
        self.settling = Settling(
            database,
            load_prices().prices,
            self._agent_of,
            lambda found: receivers_of(found, SETTINGS),
            self._deliver,
            self._analyse,
            now=lambda: self.now,
        )

    async def _agent_of(self, _row: CallRow) -> AgentConfig | None:
        return self.agent

    async def _deliver(self, delivery_id: str) -> None:
        self.begun.append(delivery_id)

    async def _analyse(self, ticket: Ticket) -> None:
        self.begun.append(ticket.key)


async def told(database: Database) -> list[tuple[str, str]]:
    async with database.reader() as session:
        rows = (await session.exec(select(DeliveryRow))).all()
    return sorted((row.message_id, row.url.removeprefix("https://").partition(".")[0]) for row in rows)


async def test_each_step_is_made_once_by_whoever_looks(database: Database) -> None:
    store = await make_call(database, lasts_secs=None, events=(CallEvent("model.usage", 5, usage(100, 0)),))
    one, two = (Process(database, agent=agent(), now=BEGAN) for _ in range(2))
    assert [await one.settling.sweep(), await two.settling.sweep()] == [1, 0]
    assert await told(database) == [("msg_c1_started", "a")]
    assert (len(one.begun), two.begun) == (1, [])
    await store.finish_call("c1", EndReason.BOT_ENDED, ended_at=BEGAN + timedelta(seconds=20))
    assert [await two.settling.sweep(), await one.settling.sweep()] == [1, 0]
    assert await told(database) == [
        ("msg_c1_ended", "a"),
        ("msg_c1_ended", "all"),
        ("msg_c1_ended", "b"),
        ("msg_c1_started", "a"),
    ]
    assert "c1:1:1" in two.begun
    async with database.reader() as session:
        assert (await session.exec(select(AnalysisRow))).one().status == "pending"
        assert sum(cost.micro_usd for cost in (await session.exec(select(CostRow))).all()) == 300 + 8500 + 4400
    # What comes late is in the sum a minute later, and then the call is left alone.
    await store.append_event("c1", CallEvent("model.usage", 19_000, usage(0, 10)))
    one.now = BEGAN + timedelta(seconds=81)
    assert [await one.settling.sweep(), await one.settling.sweep()] == [1, 0]
    async with database.reader() as session:
        assert sum(cost.micro_usd for cost in (await session.exec(select(CostRow))).all()) == 300 + 120 + 8500 + 4400
        assert (await session.exec(select(CallRow))).one().aftercall == Stage.SETTLED


async def test_a_call_whose_process_died_and_one_without_an_agent_are_told_of_too(database: Database) -> None:
    await make_call(database, "crashed", lasts_secs=5)
    process = Process(database, agent=agent(), now=BEGAN)
    await process.settling.sweep()
    assert [message for message, _url in await told(database)] == [
        *["msg_crashed_ended"] * 3,
        "msg_crashed_started",
    ]
    await make_call(database, "orphan", lasts_secs=5)
    process.agent = None
    await process.settling.sweep()
    assert [url for message, url in await told(database) if "orphan" in message] == ["all"]
    async with database.reader() as session:
        assert [row.call_id for row in (await session.exec(select(AnalysisRow))).all()] == ["crashed"]


def test_receivers_have_ids_of_their_own() -> None:
    found = receivers_of(agent(), SETTINGS)
    assert [receiver.endpoint_id for receiver in found][0] == SERVER
    assert len({receiver.endpoint_id for receiver in found}) == 3
    assert receivers_of(None, Settings.model_validate({})) == []
