"""Analyses made, one attempt after the other, by whichever process lives; conversations go first."""

import random
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Protocol

from loguru import logger

from aftercall.analysis_schema import BadResult, read_result, response_schema
from aftercall.analysis_store import AnalysisStore, Matter, Ticket
from aftercall.ledger import Usage
from aftercall.models import AnalysisProblem, AnalysisRow, AnalysisStatus
from aftercall.receivers import Receiver
from aftercall.text_model import TextAnswer
from aftercall.transcript_prompt import Question, question_about
from config.agent import AgentConfig
from telemetry import metrics
from telemetry.request_note import note_call
from transcripts.call import CallStatus
from transcripts.models import CallRow

WORK = "analyse a call"
"""What the work is called where it is kept; that of earlier versions waits under this name."""
_ASK_AGAIN = frozenset({AnalysisProblem.EMPTY, AnalysisProblem.MALFORMED, AnalysisProblem.TRUNCATED})
"""An answer came that is of no use: another one may be."""
_WAIT = frozenset({AnalysisProblem.BUSY, AnalysisProblem.UNAVAILABLE})
"""No answer came: one may come later."""
_MOST_ANSWERS = 3
_PAUSES_SECS = (5, 15, 60, 300, 900, 3600)
_MOST_TOKENS = 8192
_NEAR = 0.9
"""Of the sessions that may be: with more than this, the rest is left to callers."""
_SESSION_WAIT_SECS = 10.0
_LATE = timedelta(seconds=60)
"""What is due for so long has lost the work that was to do it."""
_SWEPT_AT_ONCE = 100


class AsksModel(Protocol):
    """Who asks the text model; `aftercall.text_model.TextModel`."""

    is_there: bool

    async def ask(self, model: str, question: Question, schema: dict[str, Any], most_tokens: int) -> TextAnswer:
        """Ask once."""
        ...


@dataclass(frozen=True, slots=True)
class Quota:
    """What a key allows, in all processes together: sessions at once, text requests a minute. None: any number."""

    most_sessions: int | None = None
    requests_per_minute: int | None = None


AgentOf = Callable[[CallRow], Awaitable[AgentConfig | None]]
"""Returns the agent of a call as it is now."""
ReceiversOf = Callable[[AgentConfig | None], list[Receiver]]
Schedule = Callable[[str, str, float], Awaitable[None]]
"""`schedule(work, key, delay_secs)`: have durable work done."""


class Analysing:
    """Makes analyses. What is to be made, and how it stands, is in the table; durable work only says when."""

    def __init__(
        self,
        store: AnalysisStore,
        model: AsksModel,
        agent_of: AgentOf,
        receivers_of: ReceiversOf,
        schedule: Schedule,
        deliver: Callable[[str], Awaitable[None]],
        quota: Quota,
        *,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        """Take where they are kept, who is asked, whose call it is, who is told, who keeps the time, and the limits."""
        self._store, self._model, self._agent_of, self._receivers_of = store, model, agent_of, receivers_of
        self._schedule, self._deliver, self._quota, self._now = schedule, deliver, quota, now

    async def begin(self, ticket: Ticket, delay_secs: float = 0.0) -> None:
        """Have an analysis made in so many seconds. When that cannot be written down now, a sweep finds it later."""
        await self._schedule(WORK, ticket.key, delay_secs)

    async def ask_again(self, call_id: str) -> AnalysisRow:
        """Have a call that is over analysed anew; returns how the analysis stands. Raises `DatabaseAway`."""
        row = await self._store.ask_again(call_id, self._now())
        await self.begin(Ticket.of_row(row))
        return row

    async def attempt(self, key: str) -> str:
        """Make the attempt that the key names: a step of durable work. Made twice, it counts once.

        Raises:
            DatabaseAway: it is to be repeated.
        """
        ticket = Ticket.of(key)
        row, matter = await self._store.get(ticket.call_id), await self._store.read(ticket.call_id)
        if row is None or matter is None or Ticket.of_row(row) != ticket or row.status != AnalysisStatus.PENDING:
            return "old news"
        note_call(ticket.call_id)
        agent = await self._agent_of(matter.call)
        problem = self._why_not(agent, matter)
        if agent is None or problem is not None:
            await self._store.skip(ticket, problem or AnalysisProblem.NOT_CONFIGURED, self._now())
            return "skipped"
        if (wait_secs := await self._wait_secs()) is not None:
            return await self._put_off(ticket, wait_secs, None)
        return await self._ask(ticket, row, agent, matter)

    async def sweep(self) -> None:
        """Have made what is due and has been for a while. Raises `DatabaseAway`."""
        for row in await self._store.list_due(self._now() - _LATE, _SWEPT_AT_ONCE):
            # Another ticket: the work of this one may have ended by a fault, and would not be begun again.
            await self._put_off(Ticket.of_row(row), 0.0, None)

    def _why_not(self, agent: AgentConfig | None, matter: Matter) -> AnalysisProblem | None:
        if agent is None or not agent.analysis.is_on or matter.call.status != CallStatus.ENDED:
            return AnalysisProblem.NOT_CONFIGURED
        if not matter.may_be_read:
            return AnalysisProblem.NO_CONSENT
        if not matter.turns:
            return AnalysisProblem.NO_WORDS
        return None if self._model.is_there else AnalysisProblem.NO_MODEL

    async def _wait_secs(self) -> float | None:
        """Return how long to wait for a place; None when there is one, which is then taken."""
        quota, now = self._quota, self._now()
        if quota.most_sessions is not None and await self._store.count_sessions() >= quota.most_sessions * _NEAR:
            return _SESSION_WAIT_SECS * random.uniform(0.8, 1.2)
        per_minute = quota.requests_per_minute
        if per_minute is not None and not await self._store.take_request(per_minute, now):
            # All that wait would otherwise come at the same moment of the next minute.
            return 60 - now.timestamp() % 60 + random.uniform(0, 10)
        return None

    async def _ask(self, ticket: Ticket, row: AnalysisRow, agent: AgentConfig, matter: Matter) -> str:
        wanted = agent.analysis
        language = wanted.language or agent.language
        question = question_about(wanted, matter.turns, matter.call.created_at, language)
        most_tokens = _MOST_TOKENS * 2 ** min(row.attempt, _MOST_ANSWERS - 1)
        answer = await self._model.ask(wanted.model, question, response_schema(wanted), most_tokens)
        usage = Usage(matter.call.agent_name, "analysis", wanted.model, answer.usage, ticket.call_id)
        problem, result = answer.problem, None
        if problem is None:
            try:
                result = read_result(wanted, answer.text)
            except BadResult as error:
                # The text of it names a place of the schema, and no value.
                logger.bind(call_id=ticket.call_id, problem=str(error)).warning("an analysis is not what was asked for")
                problem = AnalysisProblem.MALFORMED
        if problem is not None and (wait_secs := _pause_secs(problem, row.attempt, answer.wait_secs)) is not None:
            return await self._put_off(ticket, wait_secs, usage)
        receivers = self._receivers_of(agent)
        told = await self._store.finish(ticket, receivers, usage, self._now(), result=result, problem=problem)
        if told is None:
            return "old news"
        outcome = "done" if problem is None else problem.value
        metrics.ANALYSES_TOTAL.labels(outcome=outcome).inc()
        if problem is not None:
            logger.bind(call_id=ticket.call_id, problem=problem.value).error("a call could not be analysed")
        for delivery_id in told:
            await self._deliver(delivery_id)
        return outcome

    async def _put_off(self, ticket: Ticket, wait_secs: float, usage: Usage | None) -> str:
        now = self._now()
        later = await self._store.put_off(ticket, now + timedelta(seconds=wait_secs), usage, now)
        if later is None:
            return "old news"
        await self.begin(later, wait_secs)
        return "later"


def _pause_secs(problem: AnalysisProblem, asked_before: int, asked_secs: float | None) -> float | None:
    """Return how long to wait before the model is asked again; None: it is not."""
    if problem in _ASK_AGAIN:
        return 1.0 if asked_before + 1 < _MOST_ANSWERS else None
    if problem in _WAIT and asked_before < len(_PAUSES_SECS):
        return max(_PAUSES_SECS[asked_before] * random.uniform(0.8, 1.2), asked_secs or 0.0)
    return None
