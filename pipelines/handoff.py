"""One agent hands a call over to another: who may, what the next one is told, and the moment at which it takes over.

The caller hears the first agent out while the second one's model is connected; only when it stands is the pipeline
changed. Until then nothing is lost: a handoff that fails leaves the call where it is, and its model is told why.
"""

import asyncio
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Protocol

from loguru import logger

from config.agent import AgentConfig
from config.pipeline import GeminiLive as GeminiLiveSettings
from pipelines.announcer import Announcer
from pipelines.guest import AnyBot, GuestBot
from pipelines.model_link import ModelLink
from pipelines.ringing import Ringing
from pipelines.scribe import Scribe
from pipelines.script import TakenOver
from pipelines.sentences import SentenceKind
from pipelines.tool_failures import RefusalKind, ToolRefused
from pipelines.tools import Bot
from telemetry.redaction import Kind
from transcripts.call import Call

_POLL_SECS = 0.05
_READY_SPARE_SECS = 0.5
_QUIET_MS = 500.0
"""An utterance of which nobody told that it was whole is over after so much quiet."""
_LAST_WORDS_SECS = 15.0
"""The most that the last words of the agent, or of the caller over them, may take."""
_TOLD_SECS = 0.5


class CannotSwitch(Exception):
    """The next agent's pipeline cannot be built on this line; `str()` says why."""


class Switch(Protocol):
    """How the call goes on with another agent."""

    def __call__(self, agent: AgentConfig, bot: Bot, taken_over: TakenOver) -> Callable[[], None]:
        """Build that agent's pipeline; what is returned leaves the present one for it. Raises `CannotSwitch`."""
        ...


@dataclass(frozen=True)
class Stage:
    """What a handoff needs of the agent that has the call now.

    Attributes:
        hush: Nothing that its model says is heard any more.
        is_answering: Whether its model's words are arriving now, and may not have reached the line yet.
        is_over: Whether the call is ending.
    """

    agent: AgentConfig
    announcer: Announcer
    hush: Callable[[], None]
    is_answering: Callable[[], bool]
    is_over: Callable[[], bool]


@dataclass
class Handoffs:
    """The handoffs of one call. Implements `HandingOver` for its tools."""

    call: Call
    scribe: Scribe
    ringing: Ringing
    find_agent: Callable[[str], AgentConfig | None]
    stage: Callable[[], Stage]
    switch: Switch
    is_possible: bool
    """Whether this line can go on through another pipeline."""
    _visits: Counter[str] = field(default_factory=Counter[str])
    _task: asyncio.Task[None] | None = None
    _told: asyncio.Event = field(default_factory=asyncio.Event)

    def began_with(self, agent_name: str) -> None:
        """Note who has the call first."""
        self._visits[agent_name] += 1

    async def hand_over(self, agent_name: str, summary: str) -> Callable[[], None]:
        """Prepare to give the call to that agent; returns when it is about to be switched.

        What is returned is to be called when the model was told: the switch waits for it, but not for long. A tool
        that is cancelled meanwhile, because the caller says "all right", leaves the handoff on its way.

        Raises:
            ToolRefused: why not. The call stays where it is.
        """
        if self._task is not None:
            raise _refused("The caller is being handed over already. Say nothing more.")
        stage = self.stage()
        agent, bot = self._find(stage.agent, agent_name)
        taken_over = TakenOver(stage.agent.name, " ".join(summary.split()))
        prepared: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._told.clear()
        self._task = asyncio.create_task(
            self._carry_out(stage, agent, bot, taken_over, prepared), name=f"handoff {self.call.call_id}"
        )
        self._task.add_done_callback(lambda _task: self._forget_task())
        try:
            await asyncio.shield(prepared)
        finally:
            del prepared  # a refusal in it refers to this frame, and so each would keep the other
        return self._told.set

    async def close(self) -> None:
        """The call is over."""
        task = self._task
        if task is not None and task is not asyncio.current_task():
            task.cancel()
            await asyncio.wait({task})
        self.ringing.forget(self.call.call_id)

    def _forget_task(self) -> None:
        self._task = None

    def _find(self, current: AgentConfig, name: str) -> tuple[AgentConfig, Bot]:
        allowed = ", ".join(current.handoff.to)
        if name not in current.handoff.to:
            raise _refused(f"There is no agent {name!r} to hand over to. There are: {allowed}.", is_bad=True)
        if not self.is_possible:
            raise _refused("A call on this line cannot be handed over. Help the caller yourself.")
        agent = self.find_agent(name)
        bot: AnyBot | None = None if agent is None else self.ringing.bots.get(agent.bot)
        if agent is None or bot is None or isinstance(bot, GuestBot):
            raise _refused(f"{name} cannot take calls over at the moment. Help the caller yourself.")
        if self._visits[name] >= agent.handoff.most_visits:
            raise _refused(f"{name} has had this call {self._visits[name]} times already. Help the caller yourself.")
        return agent, bot

    async def _carry_out(
        self, stage: Stage, agent: AgentConfig, bot: Bot, taken_over: TakenOver, prepared: asyncio.Future[None]
    ) -> None:
        scribe, is_switched = self.scribe, False
        scribe.event("agent.handing_over", to=agent.name)
        scribe.log.leave_out([Kind(kind) for kind in agent.privacy.redact])
        link = self.ringing.expect(self.call, agent, taken_over=taken_over)
        try:
            await self._bridge(stage)  # the model is being connected meanwhile
            if link is not None and not await _stands(link):
                raise _refused(f"{agent.name} cannot be reached at the moment. Say so, and help the caller yourself.")
            await self._hear_out(stage)
            if stage.is_over():
                raise _refused("The call is ending.")
            go_on = self._build(agent, bot, taken_over)
            stage.hush()
            _set(prepared)
            try:
                async with asyncio.timeout(_TOLD_SECS):
                    await self._told.wait()
            except TimeoutError:
                pass  # the tool was cancelled
            go_on()
            is_switched = True
            self._visits[agent.name] += 1
        except ToolRefused as refusal:
            scribe.event("agent.handoff_failed", to=agent.name, reason=refusal.reason)
            if not prepared.done():
                prepared.set_exception(refusal.with_traceback(None))
                prepared.exception()  # seen, also when the tool is no longer there to be told
        finally:
            prepared.cancel()
            if not is_switched:
                self.ringing.forget(self.call.call_id)

    def _build(self, agent: AgentConfig, bot: Bot, taken_over: TakenOver) -> Callable[[], None]:
        try:
            return self.switch(agent, bot, taken_over)
        except CannotSwitch as error:
            logger.error("agent {} cannot take a call over: {}", agent.name, error)
            raise _refused(f"{agent.name} cannot take calls over at the moment. Help the caller yourself.") from error

    async def _bridge(self, stage: Stage) -> None:
        """Say that it takes a moment, unless the agent has said something since the caller spoke."""
        scribe = self.scribe
        is_free = not (self._has_answered or scribe.agent.is_open or scribe.caller.is_speaking or stage.is_answering())
        if is_free and await stage.announcer.announce(SentenceKind.FILLER):
            await stage.announcer.wait_heard()

    @property
    def _has_answered(self) -> bool:
        """Whether the agent was heard since the caller spoke."""
        began_ms = self.scribe.agent_began_ms
        return began_ms is not None and began_ms >= self.scribe.last_caller_ms

    def _is_heard_out(self, stage: Stage) -> bool:
        if stage.is_answering() and not self._has_answered:
            return False  # on its way to the line
        return self.scribe.is_agent_idle or self.scribe.agent_quiet_ms > _QUIET_MS

    async def _hear_out(self, stage: Stage) -> None:
        """Wait until the agent's last words were heard, and until a caller who speaks has come to an end."""
        scribe = self.scribe
        try:
            async with asyncio.timeout(_LAST_WORDS_SECS):
                while scribe.caller.is_speaking or not self._is_heard_out(stage):  # noqa: ASYNC110 - the line tells nobody
                    await asyncio.sleep(_POLL_SECS)
        except TimeoutError:
            scribe.event("agent.handoff_hurried")


async def _stands(link: ModelLink) -> bool:
    """Wait until the next agent's model is connected; False when it does not come in its time."""
    settings: GeminiLiveSettings = link.setup.settings
    try:
        async with asyncio.timeout(settings.connection.ready_secs + _READY_SPARE_SECS):
            while not link.stands:  # noqa: ASYNC110 - it may fail meanwhile
                if link.failure is not None:
                    return False
                await asyncio.sleep(_POLL_SECS)
    except TimeoutError:
        return False
    return True


def _set(prepared: asyncio.Future[None]) -> None:
    if not prepared.done():
        prepared.set_result(None)


def _refused(reason: str, *, is_bad: bool = False) -> ToolRefused:
    return ToolRefused(RefusalKind.BAD_ARGUMENTS if is_bad else RefusalKind.NOT_POSSIBLE, reason)
