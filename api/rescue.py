"""Callers on a dead line: our side of the call is over, and Twilio does not ask what comes next.

It normally asks within a second. A network path that died takes the close of our socket with it, and so may a process
that died; the caller then sits in silence. After some seconds Twilio is told by REST what to do with him.
"""

import asyncio
from collections import OrderedDict
from collections.abc import AsyncGenerator, Coroutine, Iterable
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Any, Protocol

from loguru import logger

from api.action_url import ActionUrl
from api.stranded import Stranded, stranded_in
from api.transfer_desk import TransferDesk
from config.agents_folder import AgentWatch
from config.settings import Settings
from config.twilio_credentials import twilio_credentials
from pipelines.failure_step import step_after
from storage.errors import DatabaseAway
from telemetry import metrics
from telemetry.moments import moment_text
from telephony.next_step import NextStep
from telephony.rest import Repeat, TwilioFailed, TwilioRest, open_rest
from transcripts.call import EndReason
from transcripts.log import LogWriter
from transcripts.models import CallRow
from transcripts.store import CallStore

_AFTER_SECS = 5.0
_AFTER_LOST_SECS = 0.3
"""When the connection was lost there has been silence for long enough, and Twilio asks at once or not at all."""
_LIMIT_SECS = 30.0
_CLOSING_SECS = 3.0
"""What is left for the last rescues of a server that stops."""
_PATIENCE_SECS = 120.0
"""A call that broke off longer ago has no caller any more."""
_FIRST_RETRY_SECS = 0.4
_DATABASE_SECS = 2.0
_MOST_HEARD = 1000
_REQUEST_SECS = 1.5
"""Twilio answers within a second or not at all, and the caller hears nothing meanwhile."""


class People(Protocol):
    """Who is rung for callers, or talks with them in a room at Twilio."""

    async def is_with_a_person(self, call_id: str) -> bool:
        """Whether the caller is in a room with somebody."""
        ...

    async def let_go(self, call_id: str) -> None:
        """Whoever is rung for the caller is rung no more."""
        ...


class Rescue:
    """Watches the ends of phone calls. Without a client of Twilio's REST API it does nothing."""

    def __init__(
        self,
        rest: TwilioRest | None,
        store: CallStore,
        log_writer: LogWriter,
        agents: AgentWatch,
        base_url: str,
        *,
        people: People | None = None,
        after_secs: float = _AFTER_SECS,
        after_lost_secs: float = _AFTER_LOST_SECS,
        limit_secs: float = _LIMIT_SECS,
    ) -> None:
        """Take what it needs; `base_url` is our public address, for what Twilio shall ask after a transfer.

        `people` are those who are rung for callers, or talk with them.

        Twilio has `after_secs` to ask by itself (`after_lost_secs` when the connection was lost); after that its REST
        API is tried for `limit_secs`.
        """
        self._rest = rest
        self._store = store
        self._log_writer = log_writer
        self._agents = agents
        self._base_url = base_url
        self._people = people
        self._after_secs = after_secs
        self._after_lost_secs = after_lost_secs
        self._limit_secs = limit_secs
        self._watched: dict[str, Stranded] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._heard: OrderedDict[str, None] = OrderedDict()

    @property
    def watched_count(self) -> int:
        """How many callers are watched or being rescued."""
        return len(self._watched)

    def watch(self, stranded: Stranded) -> None:
        """Begin to watch a call that ended on our side. One that Twilio asked about already needs it not."""
        if self._rest is None or stranded.call_sid in self._heard or stranded.call_sid in self._watched:
            return
        self._watched[stranded.call_sid] = stranded
        self._keep(self._save(stranded, self._rest), f"rescue of {stranded.call_id}")

    async def watch_rows(self, rows: Iterable[CallRow]) -> None:
        """Begin to watch phone calls that were closed for a process that died."""
        # Whoever heard nothing for longer has left.
        oldest = datetime.now(UTC) - timedelta(seconds=_PATIENCE_SECS)
        for row in rows:
            if row.call_sid is not None and row.end_reason is not None and row.live_at is not None:
                if row.ended_at is None or row.ended_at > oldest:
                    self.watch(stranded_in(row, row.call_sid))
                if self._people is not None:
                    self._keep(self._people.let_go(row.call_id), f"lets go who is rung for {row.call_id}")

    def heard_from(self, call_sid: str) -> None:
        """Twilio asked what comes next, or told that the call is over: the caller is in its hands."""
        self._heard[call_sid] = None
        if len(self._heard) > _MOST_HEARD:
            self._heard.popitem(last=False)
        if (stranded := self._watched.get(call_sid)) is not None:
            stranded.was_heard_of = True
            stranded.news.set()

    async def tell(self, call_sid: str, twiml: str) -> bool:
        """Have Twilio go on with `twiml` now; False when it will certainly not."""
        if self._rest is None:
            return False
        try:
            return await self._rest.redirect(call_sid, twiml)
        except TwilioFailed as error:
            logger.bind(problem=str(error)).warning("Twilio could not be told how a call goes on")
            return error.repeat is Repeat.PERHAPS

    async def close(self) -> None:
        """Try those that are left at once and for a moment only."""
        self._limit_secs = _CLOSING_SECS
        for stranded in self._watched.values():
            stranded.news.set()
        if self._tasks:
            _done, late = await asyncio.wait(self._tasks, timeout=_CLOSING_SECS)
            for task in late:
                task.cancel()
            await asyncio.gather(*late, return_exceptions=True)

    def _keep(self, work: Coroutine[Any, Any, None], name: str) -> None:
        task = asyncio.create_task(work, name=name)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _save(self, stranded: Stranded, rest: TwilioRest) -> None:
        try:
            is_lost = stranded.reason == EndReason.CONNECTION_LOST
            await _wait(stranded.news, self._after_lost_secs if is_lost else self._after_secs)
            stranded.news.clear()
            if not stranded.was_heard_of and not await self._was_told(stranded):
                if self._people is not None and await self._people.is_with_a_person(stranded.call_id):
                    self._note(stranded, "elsewhere", 0)
                    return
                await self._redirect(stranded, rest)
        finally:
            del self._watched[stranded.call_sid]

    async def _was_told(self, stranded: Stranded) -> bool:
        """Whether another process answered Twilio's question. While nobody can say, the caller goes first."""
        try:
            async with asyncio.timeout(_DATABASE_SECS):
                row = await self._store.get_call(stranded.call_id)
        except (DatabaseAway, TimeoutError):
            return False
        return row is not None and bool((row.next_step or {}).get("told_at"))

    async def _redirect(self, stranded: Stranded, rest: TwilioRest) -> None:
        agent = self._agents.held(stranded.agent_name, stranded.agent_version)
        step = stranded.step or step_after(stranded.reason, agent, stranded.variables)
        language = agent.language if agent else "en-US"
        twiml = step.as_twiml(language=language, action_url=ActionUrl.of(agent).at(self._base_url))
        began_secs = asyncio.get_running_loop().time()
        attempts, doubts, wait_secs = 0, 0, _FIRST_RETRY_SECS
        while not stranded.was_heard_of:
            attempts += 1
            asked_secs = asyncio.get_running_loop().time()
            try:
                if await rest.has_other_leg(stranded.call_sid):
                    # Static TwiML at the number's fallback URL has put the caller through: nothing may cut that off.
                    self._note(stranded, "elsewhere", attempts)
                    return
                is_there = await rest.redirect(stranded.call_sid, twiml)
            except TwilioFailed as error:
                doubts += error.repeat is Repeat.PERHAPS
                now_secs = asyncio.get_running_loop().time()
                # Counted from the request: while it had no answer the caller has waited already.
                pause_secs = max(wait_secs - (now_secs - asked_secs), error.retry_after_secs or 0.0)
                left_secs = self._limit_secs - (now_secs - began_secs)
                # A request that may have been carried out is repeated once: the sentence then begins again, no more.
                if error.repeat is Repeat.NEVER or doubts > 1 or pause_secs > left_secs:
                    self._note(stranded, "failed", attempts, problem=str(error))
                    return
                await _wait(stranded.news, pause_secs)
                stranded.news.clear()
                wait_secs *= 2
            else:
                self._note(stranded, "redirected" if is_there else "over", attempts, step=step)
                return

    def _note(
        self,
        stranded: Stranded,
        outcome: str,
        attempts: int,
        *,
        step: NextStep | None = None,
        problem: str | None = None,
    ) -> None:
        metrics.RECOVERIES_TOTAL.labels(kind="rescue", outcome=outcome).inc()
        told = logger.bind(call_id=stranded.call_id, outcome=outcome, attempts=attempts, problem=problem)
        log = self._log_writer.open(stranded.call_id)
        if outcome in ("over", "elsewhere"):
            told.info("the caller needs no rescue: the call is over at Twilio, or he talks with somebody else")
        elif step is not None:
            told.warning("Twilio did not ask what comes next and was told by REST")
            log.event("rescue.redirected", stranded.now_ms, attempts=attempts, step=step.kind)
            log.next_step({**step.as_json(), "told_at": moment_text(datetime.now(UTC))})
        else:
            told.error("a caller may sit on a dead line: Twilio did not ask what comes next and could not be told")
            log.event("rescue.failed", stranded.now_ms, attempts=attempts, problem=problem)
        log.finish(stranded.reason)  # a log opened again is held until it is finished; the first reason stands


@asynccontextmanager
async def open_rescue(
    settings: Settings, store: CallStore, log_writer: LogWriter, agents: AgentWatch, desk: TransferDesk
) -> AsyncGenerator[Rescue]:
    """Yield the rescue of a server, with a client of Twilio's REST API where the settings have credentials."""
    async with open_rest(twilio_credentials(settings), settings.twilio_api_base, timeout_secs=_REQUEST_SECS) as rest:
        base_url = settings.effective_public_base_url
        rescue = Rescue(rest, store, log_writer, agents, base_url, people=desk)
        try:
            yield rescue
        finally:
            await rescue.close()


async def _wait(news: asyncio.Event, timeout_secs: float) -> None:
    """Wait for news, but not for longer."""
    try:
        async with asyncio.timeout(timeout_secs):
            await news.wait()
    except TimeoutError:
        return
