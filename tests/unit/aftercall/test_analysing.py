"""Analyses: made by a real SDK against the stand-in's text model, or ended as a failure that has a name."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, cast

from sqlmodel import select

from aftercall.analysing import WORK, Analysing, Quota
from aftercall.analysis_store import AnalysisStore, Ticket, ask_for
from aftercall.ledger import Ledger, Usage
from aftercall.models import AnalysisRow, CostRow, DeliveryRow
from aftercall.receivers import receivers_of
from aftercall.text_model import TextModel
from config.agent import AgentConfig
from config.agent_file import Checks, parse_agent
from config.prices import load_prices
from config.settings import Settings
from simulators.gemini_live import GeminiEmulator
from simulators.text_troubles import Trouble
from storage.engine import Database
from tests.databases import make_ring
from tests.unit.aftercall.calls import BEGAN, make_call
from transcripts.call import ConsentAnswer, ConsentGivenBy, EndReason
from transcripts.consents import Consents
from transcripts.models import CallRow, ConsentRow
from transcripts.store import CallStore

AGENT = b"""
bot: receptionist
webhooks: [{url: "https://a.example.com/", events: [call.analyzed]}]
analysis:
  summary: true
  sentiment: true
  goal: The caller has an appointment.
  fields:
    wants_appointment: {type: boolean, description: "Did the caller want an appointment?", required: true}
    day: {type: date, description: "For which day?"}
    hour: {type: integer, description: "At what hour?"}
"""
PRICES = load_prices().prices


def agent_of(text: bytes = AGENT) -> AgentConfig:
    found, problems = parse_agent(Path("front-desk.yaml"), text, Checks({"receptionist": None}))
    assert found is not None, problems
    return found


class Office:
    """Analyses on a clock of the test's, with what waits for it."""

    def __init__(self, database: Database, gemini: GeminiEmulator, quota: Quota, deadline_secs: float) -> None:
        settings = Settings.model_validate({"gemini_base_url": gemini.base_url, "gemini_ca_file": gemini.ca_file})
        self.gemini, self.database, self.store = gemini, database, AnalysisStore(database, PRICES)
        self.model = TextModel(settings, deadline_secs=deadline_secs)
        self.now = BEGAN + timedelta(seconds=90)
        self.due: list[tuple[str, datetime]] = []
        self.delivered: list[str] = []
        self.agent: AgentConfig | None = agent_of()
        self.analysing = Analysing(
            self.store,
            cast(Any, self.model),
            self._agent_of,
            lambda agent: receivers_of(agent, settings),
            self._schedule,
            self._deliver,
            quota,
            now=lambda: self.now,
        )

    async def _agent_of(self, _row: CallRow) -> AgentConfig | None:
        return self.agent

    async def _schedule(self, work: str, key: str, delay_secs: float) -> None:
        assert work == WORK
        self.due.append((key, self.now + timedelta(seconds=delay_secs)))

    async def _deliver(self, delivery_id: str) -> None:
        self.delivered.append(delivery_id)

    async def begin(self, call_id: str = "c1") -> None:
        async with self.database.writer() as session:
            assert await ask_for(session, call_id, self.now)
        await self.analysing.begin(Ticket(call_id, 1, 1))

    async def pass_time(self, secs: float) -> list[str]:
        """Let time go by; returns what came of each attempt in it."""
        until, outcomes = self.now + timedelta(seconds=secs), list[str]()
        while due := [entry for entry in self.due if entry[1] <= until]:
            entry = min(due, key=lambda one: one[1])
            self.due.remove(entry)
            self.now = max(self.now, entry[1])
            outcomes.append(await self.analysing.attempt(entry[0]))
        self.now = until
        return outcomes

    async def row(self, call_id: str = "c1") -> AnalysisRow:
        row = await self.store.get(call_id)
        assert row is not None
        return row


@asynccontextmanager
async def office(
    database: Database, quota: Quota | None = None, *, deadline_secs: float = 20
) -> AsyncGenerator[Office]:
    async with GeminiEmulator(scripts=[]) as gemini:
        opened = Office(database, gemini, quota or Quota(), deadline_secs)
        yield opened
        await opened.model.close()


async def test_a_call_is_analysed_told_of_and_charged_once(database: Database) -> None:
    await make_call(database)
    async with office(database) as desk:
        await desk.begin()
        [(key, _at)] = desk.due
        assert await desk.pass_time(1) == ["done"]
        # The process died after its answer was written, and before that was known: nothing is done again.
        assert await desk.analysing.attempt(key) == "old news"
        assert len(desk.gemini.text_model.requests) == 1
        # Another process asked at the same time and was slower: of no use, but paid for.
        used = {"prompt_token_count": 1000, "candidates_token_count": 100}
        slower = Usage("front-desk", "analysis", "gemini-2.5-flash", used, "c1")
        before = sum(cost.micro_usd for cost in await Ledger(database, PRICES).of_call("c1"))
        assert await desk.store.finish(Ticket.of(key), [], slower, desk.now, result={}) is None
        assert sum(cost.micro_usd for cost in await Ledger(database, PRICES).of_call("c1")) == before + 300 + 250
    row = await desk.row()
    assert (row.status, row.problem, row.attempt, row.model) == ("done", None, 1, "gemini-2.5-flash")
    assert row.result is not None
    assert row.result["fields"] == {"wants_appointment": True, "day": "2026-03-02", "hour": None}
    assert row.result["goal"]["success"] == "unclear"
    assert "I would like to book an appointment" in row.result["summary"]
    async with database.reader() as session:
        [delivery] = (await session.exec(select(DeliveryRow))).all()
        costs = {row.item: row.quantity for row in (await session.exec(select(CostRow))).all()}
    assert (delivery.message_id, delivery.delivery_id) == ("msg_c1_analyzed", desk.delivered[0])
    assert '"success":"unclear"' in delivery.payload
    assert costs["text_in"] > 100
    assert costs["text_out"] > 10
    [event] = [event for event in await CallStore(database).list_events("c1") if event.kind == "call.analyzed"]
    assert event.data == {"run": 1, "status": "done", "problem": None}
    [body] = desk.gemini.text_model.requests
    assert body["generationConfig"]["responseMimeType"] == "application/json"
    assert "book an appointment" not in str(body["systemInstruction"])


TROUBLES: list[tuple[list[Trouble], str, int]] = [
    (["blocked"], "blocked", 1),
    (["blocked-answer"], "blocked", 1),
    (["http-400"], "refused", 1),
    (["http-403"], "refused", 1),
    (["empty", "malformed", "truncated"], "truncated", 3),
    (["malformed", "other-shape", "malformed"], "malformed", 3),
    (["empty", "truncated"], "done", 3),
    (["http-429", "http-500", "http-503", "garbage", "slow"], "done", 6),
    (["http-429"] * 7, "busy", 7),
    (["http-500"] * 7, "unavailable", 7),
]


async def test_whatever_the_model_does_ends_well_or_has_a_name(tmp_path: Path) -> None:
    database = Database(f"sqlite+aiosqlite:///{tmp_path}/trunkline.db", make_ring())
    await database.connect(wait_secs=5)
    await database.migrate()
    async with office(database, deadline_secs=0.5) as desk:
        for number, (troubles, outcome, asked) in enumerate(TROUBLES):
            await make_call(database, call_id := f"c{number}")
            desk.gemini.text_troubles.arm(*troubles)
            await desk.begin(call_id)
            outcomes = await desk.pass_time(24 * 3600)
            assert outcomes == [*["later"] * (asked - 1), outcome]
            assert not desk.due
            row, is_done = await desk.row(call_id), outcome == "done"
            found = (row.status, row.problem, row.attempt)
            assert found == ("done" if is_done else "failed", None if is_done else outcome, asked)
            assert (row.result is not None) is is_done
        assert len(desk.delivered) == len(TROUBLES)
    await database.close()


async def test_what_a_busy_provider_asks_for_is_kept_to(database: Database) -> None:
    await make_call(database)
    async with office(database) as desk:
        desk.gemini.text_troubles.arm("http-429")
        desk.gemini.text_troubles.retry_secs = 120
        await desk.begin()
        assert await desk.pass_time(119) == ["later"]
        assert await desk.pass_time(2) == ["done"]


async def test_what_is_not_analysed(database: Database) -> None:
    async with office(database) as desk:
        await make_call(database, "wordless", words=False)
        await make_call(database, "refused")
        await make_call(database, "withdrawn")
        await make_call(database, "told")
        answers = {
            "refused": (ConsentAnswer.NO, ConsentGivenBy.VOICE),
            "withdrawn": (ConsentAnswer.WITHDRAWN, ConsentGivenBy.VOICE),
            "told": (ConsentAnswer.NONE, ConsentGivenBy.ANNOUNCEMENT),
        }
        async with database.writer() as session:
            for call_id, (answer, given_by) in answers.items():
                words = {"wording": "May we?", "language": "en-US", "agent_name": "front-desk"}
                row = ConsentRow(call_id=call_id, answer=answer, given_by=given_by, at=BEGAN, **words)
                session.add(row)
        assert len(await Consents(database).of_call("told")) == 1
        for call_id in ("wordless", "refused", "withdrawn", "told"):
            await desk.begin(call_id)
        assert sorted(await desk.pass_time(1)) == ["done", "skipped", "skipped", "skipped"]
        assert (await desk.row("wordless")).problem == "no_words"
        assert {(await desk.row(call_id)).problem for call_id in ("refused", "withdrawn")} == {"no_consent"}
        await make_call(database, "changed")
        desk.agent = agent_of(b"bot: receptionist")
        await desk.begin("changed")
        assert await desk.pass_time(1) == ["skipped"]
        assert (await desk.row("changed")).problem == "not_configured"
        assert len(desk.gemini.text_model.requests) == 1


async def test_conversations_go_first_and_a_minute_has_so_many_requests(database: Database) -> None:
    for number in range(3):
        await make_call(database, f"c{number}")
    store = await make_call(database, "live", lasts_secs=None)
    async with office(database, Quota(most_sessions=1, requests_per_minute=2)) as desk:
        desk.now = datetime(2026, 3, 1, 10, 0, tzinfo=UTC)
        for number in range(3):
            await desk.begin(f"c{number}")
        assert set(await desk.pass_time(60)) == {"later"}
        assert desk.gemini.text_model.requests == []
        await store.finish_call("live", EndReason.CALLER_HUNG_UP)
        assert [outcome for outcome in await desk.pass_time(40) if outcome == "done"] == ["done", "done"]
        assert [(await desk.row(f"c{number}")).status for number in range(3)].count("pending") == 1
        assert (await desk.pass_time(60))[-1] == "done"
        assert {(await desk.row(f"c{number}")).attempt for number in range(3)} == {1}


async def test_it_can_be_made_again_and_is_found_when_its_work_is_lost(database: Database) -> None:
    await make_call(database)
    async with office(database) as desk:
        await desk.begin()
        desk.due.clear()
        desk.now += timedelta(seconds=61)
        await desk.analysing.sweep()
        assert [key for key, _at in desk.due] == ["c1:1:2"]
        again = await desk.analysing.ask_again("c1")
        assert (again.run, again.status) == (1, "pending")  # it has yet to be made
        assert sorted(await desk.pass_time(1)) == ["done", "old news"]
        again = await desk.analysing.ask_again("c1")
        assert (again.run, again.status, again.attempt) == (2, "pending", 0)
        desk.gemini.text_troubles.arm("blocked")
        assert await desk.pass_time(1) == ["blocked"]
        row = await desk.row()
        assert (row.run, row.status, row.result) == (2, "failed", None)
        async with database.reader() as session:
            told = (await session.exec(select(DeliveryRow.message_id))).all()
        assert sorted(told) == ["msg_c1_analyzed", "msg_c1_analyzed_2"]
