"""One placed call: Twilio asked once, and what became of the request found out when nobody answers."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Protocol

from loguru import logger

from calling import rules
from calling.dial_parameters import dial_request
from calling.errors import NoSuchAgent, NotPlaced, NoTwilio, OverBudget, TwilioUnusable
from calling.reconciling import Finding, Verdict, judge
from config.agent import AgentConfig
from config.agents_folder import AgentCatalog
from config.overrides import with_overrides
from storage.errors import DatabaseAway
from telemetry import metrics
from telephony.dial_errors import explain
from telephony.rest import Repeat, TwilioFailed, TwilioRest
from transcripts.call import AttemptOutcome, Call, CallStatus, EndReason
from transcripts.models import CallRow, call_of
from transcripts.outcomes import count_end
from transcripts.outgoing import Lack, NoRoom, Outgoing, OutgoingStore, Room, Unwanted

RING_SPARE_SECS = 20.0
"""How much longer than it rings a call's slot is kept: Twilio takes a while to dial, and to ask us."""
_MOST_TRIES = 4
_FIRST_PAUSE_SECS = 1.0
_LONGEST_PAUSE_SECS = 20.0
_STALE_SECS = 600.0
"""A call that was to be placed so long ago, while no server ran, is not placed any more."""
_COMMIT_PAUSE_SECS = 0.5


class Lines(Protocol):
    """Who has room for a call, and a model to connect while it rings."""

    async def keep(self, call: Call, agent: AgentConfig, secs: float) -> str:
        """Keep a slot for so long; returns why there is none, empty when it is kept."""
        ...

    def give_up(self, call_id: str) -> None:
        """Give the slot back."""
        ...


@dataclass(frozen=True, slots=True)
class Patience:
    """How long is waited for what. `settle_secs`: Twilio lists a call that it took at most so long after the request.

    `looks_secs`: when its list is looked at, counted from each look to the next.
    """

    settle_secs: float = 15.0
    looks_secs: tuple[float, ...] = (0.0, 1.0, 2.0, 4.0, 8.0)
    sweep_secs: float = 2.0
    silent_secs: float = 60.0


class Spending(Protocol):
    """Who knows what an agent's calls may still cost; `aftercall.budgets.Budgets`."""

    async def problem_of(self, agent: AgentConfig, but: str = "") -> str | None:
        """Say in one sentence why none may be placed, the call `but` not counted. Raises `DatabaseAway`."""
        ...


class Placing:
    """Places calls that are written down, for one server process."""

    def __init__(
        self,
        store: OutgoingStore,
        rest: TwilioRest | None,
        lines: Lines,
        agents: Callable[[], Awaitable[AgentCatalog]],
        *,
        base_url: str,
        owner: str,
        room: Room,
        patience: Patience,
        now: Callable[[], datetime],
    ) -> None:
        """Take what `Dialler` takes."""
        self._store, self._rest, self._lines, self._agents = store, rest, lines, agents
        self._base_url, self._owner, self._room = base_url, owner, room
        self._patience, self._now = patience, now
        self.errands: set[asyncio.Task[None]] = set()
        self.spending: Spending | None = None

    async def place(self, call_id: str) -> None:
        """Place a call that is queued, or find out whether it was placed; its row tells what came of it."""
        rest = self._rest
        if rest is None:
            return
        pause_secs, tries_left = _FIRST_PAUSE_SECS, _MOST_TRIES
        failure: TwilioFailed | None = None
        while True:
            outgoing = await self._store.find(call_id)
            if outgoing is None or not await self._is_to_be_dialled(outgoing, rest):
                return
            if failure is not None and tries_left == 0:
                await self.give_up(call_id, EndReason.FAILED_TO_DIAL, explain(failure), failure.code)
                return
            agent = await self._allowed(outgoing)
            if agent is None:
                return
            failure = await self._dial(outgoing, agent, rest)
            if failure is None:
                return
            tries_left -= 1
            await asyncio.sleep(min(max(failure.retry_after_secs or 0.0, pause_secs), _LONGEST_PAUSE_SECS))
            pause_secs *= 2

    async def _is_to_be_dialled(self, outgoing: Outgoing, rest: TwilioRest) -> bool:
        """Whether Twilio may be asked; first of all nobody may wonder what became of an earlier request."""
        call, attempt = outgoing.call, outgoing.open_attempt
        if attempt is not None and call.owner not in (None, self._owner):
            return False  # another process is at it
        if attempt is not None:
            finding = await self._reconcile(outgoing.call, attempt.started_at, rest)
            if finding.verdict is Verdict.UNCLEAR:
                await self._leave(outgoing, attempt.started_at)
                return False
            if finding.verdict is Verdict.PLACED:
                await self._found_placed(call.call_id, finding.call_sid)
                return False
            await self._store.end_attempts(call.call_id, AttemptOutcome.NOT_SENT)
        if call.status != CallStatus.QUEUED or call.call_sid is not None:
            return False
        due_at = outgoing.order.due_at or call.created_at
        if (self._now() - due_at).total_seconds() > _STALE_SECS:
            problem = "No server was there to place it when it was to be placed."
            await self.give_up(call.call_id, EndReason.MISSED, problem)
            return False
        return True

    async def _allowed(self, outgoing: Outgoing) -> AgentConfig | None:
        """Return the agent, if the call may still be placed at this moment; else the row has ended."""
        row = outgoing.call
        catalog = await self._agents()
        agent = catalog.by_name(row.agent_name)
        try:
            if agent is None:
                raise NoSuchAgent
            agent = with_overrides(agent, row.overrides or {})
            variables = {name: str(value) for name, value in row.variables.items()}
            is_unwanted = await self._store.is_unwanted(row.to_number or "")
            wish = rules.Wish(row.to_number or "", row.from_number, variables, self._now(), is_unwanted)
            await asyncio.to_thread(rules.check, agent, wish, catalog.numbers())
            if self.spending is not None and (problem := await self.spending.problem_of(agent, row.call_id)):
                raise OverBudget(problem)
        except NotPlaced as error:
            await self.give_up(row.call_id, EndReason.REFUSED, str(error))
            return None
        return agent

    async def _dial(self, outgoing: Outgoing, agent: AgentConfig, rest: TwilioRest) -> TwilioFailed | None:
        """Ask Twilio once. Returns why it may be asked again; None when the matter is settled."""
        call_id = outgoing.call.call_id
        call = replace(call_of(outgoing.call), agent_version=agent.origin.version)
        refusal = await self._lines.keep(call, agent, outgoing.order.ring_secs + RING_SPARE_SECS)
        if refusal:
            problem = "Every line of this server is taken at the moment; try again in a minute."
            await self.give_up(call_id, EndReason.REFUSED_BUSY, problem)
            return None
        try:
            number = await self._store.begin_attempt(
                call_id, self._owner, self._room, now=self._now(), agent_version=call.agent_version
            )
        except NoRoom as error:
            await self.give_up(call_id, EndReason.REFUSED, lacking(error.lack))
            return None
        except Unwanted:
            await self.give_up(call_id, EndReason.REFUSED, rules.UNWANTED)
            return None
        if number is None:
            self._lines.give_up(call_id)
            return None
        try:
            call_sid = await rest.place(dial_request(outgoing, agent, self._base_url))
        except TwilioFailed as error:
            metrics.DIALS_TOTAL.labels(outcome=error.repeat.value).inc()
            logger.bind(call_id=call_id, attempt=number, code=error.code, repeat=error.repeat.value).warning(
                "Twilio did not say that it places the call"
            )
            if error.repeat is Repeat.NEVER:
                await self._store.end_attempts(call_id, AttemptOutcome.REFUSED, error.code)
                await self.give_up(call_id, EndReason.FAILED_TO_DIAL, explain(error), error.code)
                return None
            if error.repeat is Repeat.SAFELY:
                await self._store.end_attempts(call_id, AttemptOutcome.NOT_SENT, error.code)
            return error
        metrics.DIALS_TOTAL.labels(outcome="placed").inc()
        logger.bind(call_id=call_id, call_sid=call_sid, attempt=number).info("Twilio places the call")
        await self._found_placed(call_id, call_sid)
        return None

    async def _found_placed(self, call_id: str, call_sid: str) -> None:
        """Keep Twilio's id, for as long as it takes; a call that was called off meanwhile is ended there too."""
        while True:
            try:
                row = await self.take_webhook(call_id, call_sid)
                break
            except DatabaseAway as error:
                logger.bind(call_id=call_id, problem=str(error)).warning("Twilio's id of a call cannot be written down")
                await asyncio.sleep(_COMMIT_PAUSE_SECS)
        if row is not None and row.status == CallStatus.ENDED:
            await self._end_stray(call_sid, call_id)

    async def _reconcile(self, row: CallRow, started_at: datetime, rest: TwilioRest) -> Finding:
        """Find out whether Twilio took a request that it gave no answer to."""
        from_number, to_number = row.from_number or "", row.to_number or ""
        settled_at = started_at + timedelta(seconds=self._patience.settle_secs)
        finding = Finding(Verdict.UNCLEAR)
        for pause_secs in self._patience.looks_secs:
            await asyncio.sleep(pause_secs)
            found = await self._store.find(row.call_id)
            if found is not None and found.call.call_sid is not None:
                finding = Finding(Verdict.PLACED, found.call.call_sid)  # Twilio has told meanwhile
                break
            try:
                calls = await rest.list_between(from_number, to_number)
            except TwilioFailed as error:
                logger.bind(call_id=row.call_id, problem=str(error)).warning("Twilio does not list its calls")
                finding = Finding(Verdict.UNCLEAR)
                continue
            known = await self._store.find_known([call.call_sid for call in calls])
            rivals = await self._store.count_open_attempts(from_number, to_number)
            finding = judge(calls, known=known, started_at=started_at, open_attempts=rivals)
            if finding.verdict is Verdict.PLACED:
                break
            if finding.verdict is Verdict.NOT_PLACED:
                if self._now() >= settled_at:
                    break
                finding = Finding(Verdict.UNCLEAR)  # the request may yet be on its way
        logger.bind(call_id=row.call_id, verdict=finding.verdict.value).warning(
            "a request without an answer was looked into"
        )
        return finding

    async def _leave(self, outgoing: Outgoing, started_at: datetime) -> None:
        """Nobody knows whether the phone rang: never dial again; look once more at the next sweep, but not for ever."""
        call_id = outgoing.call.call_id
        if (self._now() - started_at).total_seconds() > _STALE_SECS:
            problem = "Nobody can tell whether Twilio placed it, so it was not placed again."
            await self.give_up(call_id, EndReason.FAILED_TO_DIAL, problem)
            await self._store.end_attempts(call_id, AttemptOutcome.REFUSED)
            return
        await self._store.release(call_id, self._owner)

    async def give_up(self, call_id: str, reason: EndReason, problem: str, code: int | None = None) -> None:
        """End a call that nobody answered, with one sentence on why."""
        self._lines.give_up(call_id)
        if await self._store.end_unplaced(call_id, reason, problem, code):
            ended = await self._store.find(call_id)
            count_end(reason, ended.call.agent_name if ended else "")
            logger.bind(call_id=call_id, reason=reason.value, code=code).warning("call not placed")

    async def take_webhook(self, call_id: str, call_sid: str) -> CallRow | None:
        """Return the row of the call that a request of Twilio's is about, which thereby is known to be placed.

        None when there is no such call, or when it is another of Twilio's calls than ours: that one is ended.
        """
        if await self._store.bind(call_id, call_sid):
            found = await self._store.find(call_id)
            return None if found is None else found.call
        found = await self._store.find(call_id)
        if found is not None:
            logger.bind(call_id=call_id, call_sid=call_sid).error("a second phone call was made for one; it is ended")
            self._hold(self._end_stray(call_sid, call_id), f"end a stray call {call_sid}")
        return None

    async def hang_up(self, call_sid: str, call_id: str) -> None:
        """Have Twilio end a call. Raises `TwilioUnusable`."""
        if self._rest is None:
            raise NoTwilio
        try:
            await self._rest.hang_up(call_sid)
        except TwilioFailed:
            try:
                await self._rest.hang_up(call_sid)
            except TwilioFailed as error:
                raise TwilioUnusable(explain(error), call_id=call_id, code=error.code) from error

    async def _end_stray(self, call_sid: str, call_id: str) -> None:
        try:
            await self.hang_up(call_sid, call_id)
        except NotPlaced as error:
            logger.bind(call_id=call_id, call_sid=call_sid, problem=str(error)).error("a call could not be ended")

    def _hold(self, work: Awaitable[None], name: str) -> None:
        async def run() -> None:
            await work

        task = asyncio.create_task(run(), name=name)
        self.errands.add(task)
        task.add_done_callback(self.errands.discard)


def lacking(lack: Lack) -> str:
    """Return one sentence on what there is no room for, and the cure."""
    if lack is Lack.CALLS:
        return "As many outgoing calls are under way as may be (TRUNKLINE_MAX_OUTGOING_CALLS); try again later."
    return (
        "Today's outgoing calls have cost what they may (TRUNKLINE_MAX_SPEND_PER_DAY_USD); try again tomorrow (UTC), "
        "or raise it."
    )
