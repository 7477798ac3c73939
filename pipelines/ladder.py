"""The agent's ladder: what becomes of a call whose model failed for good, rung by rung."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace

from loguru import logger

from config.agent import AgentConfig
from config.on_failure import (
    HangUpRung,
    ModelRung,
    PipelineRung,
    Rung,
    SayRung,
    TakeMessageRung,
    TransferRung,
)
from config.pipeline import PipelineDefinition
from pipelines.announcer import Announcer
from pipelines.failure_step import failure_step
from pipelines.gemini_live import GeminiLive
from pipelines.message_taker import take_message
from pipelines.model_failures import FailureKind, ModelFailure
from pipelines.scribe import Scribe
from pipelines.sentence_choice import kind_of_say
from pipelines.sentences import SentenceKind
from telemetry import metrics
from telephony.next_step import NextStep, transfer_to
from transcripts.call import Call, EndReason

_POLL_SECS = 0.05
_READY_SPARE_SECS = 0.5
_HEARD_LATELY_MS = 1500.0


@dataclass(frozen=True)
class Means:
    """What the ladder may do with a call.

    Attributes:
        leave: End the call for a reason; Twilio then takes the step. A browser's call just ends.
        switch: Go on with other stages; False when this transport cannot.
        is_phone: Whether there is a Twilio that can take a next step.
    """

    call: Call
    agent: AgentConfig
    scribe: Scribe
    announcer: Announcer
    leave: Callable[[EndReason, NextStep], None]
    switch: Callable[[PipelineDefinition], Awaitable[bool]]
    is_phone: bool
    model: GeminiLive | None = None


class Ladder:
    """Climbs one call's ladder. When a rung has brought the conversation back, the next failure takes the next one."""

    def __init__(self, means: Means, *, on_recovered: Callable[[], None], start_at: int = 0) -> None:
        """Take the means, and whom to tell that the conversation goes on. `start_at`: rungs already used."""
        self._means = means
        self._on_recovered = on_recovered
        self._next = start_at
        self._task: asyncio.Task[None] | None = None

    def speak_as(self, agent: AgentConfig) -> None:
        """The agent has switched its language."""
        self._means = replace(self._means, agent=agent)

    @property
    def is_climbing(self) -> bool:
        """Whether somebody is on the ladder now; nobody else shall say or end anything then."""
        return self._task is not None and not self._task.done()

    @property
    def used(self) -> int:
        """How many rungs have been taken."""
        return self._next

    def begin(self, failure: ModelFailure) -> None:
        """The model failed for good. Does nothing while the ladder is being climbed."""
        if not self.is_climbing:
            self._task = asyncio.create_task(self._climb(failure), name=f"ladder {self._means.call.call_id}")

    def stop(self) -> None:
        """Come down without waiting for it: somebody else has the call now."""
        if self._task is not None:
            self._task.cancel()

    async def close(self) -> None:
        """Come down at once: the call is over."""
        task, self._task = self._task, None
        if task is not None and task is not asyncio.current_task():
            task.cancel()
            await asyncio.wait({task})

    async def _climb(self, failure: ModelFailure) -> None:
        means = self._means
        rungs = means.agent.on_failure
        if means.model is not None:
            means.model.hush()  # an answer that comes now would come between the words of the ladder
        try:
            while self._next < len(rungs):
                rung = rungs[self._next]
                self._next += 1
                means.scribe.event("ladder.step", step=name_of(rung), problem=failure.sentence)
                if await self._take(rung, failure):
                    return
            await self._run_out()
        except Exception:
            logger.exception("the ladder broke: the caller is handed to Twilio's voice")
            self._end(failure_step(means.agent, means.call.variables))

    async def _take(self, rung: Rung, failure: ModelFailure) -> bool:
        """Take one rung. True when nothing more is to be done: the conversation goes on, or the call is over."""
        match rung:
            case ModelRung():
                return await self._use_model(rung.model, failure)
            case PipelineRung():
                await self._fill(is_heard_out=True)  # this pipeline's sounds end with it
                is_switched = await self._means.switch(rung.pipeline)
                _count("other_pipeline", is_ok=is_switched)
                return is_switched
            case SayRung():
                return await self._say(rung)
            case TransferRung():
                return await self._transfer(rung)
            case TakeMessageRung():
                return await self._take_message(rung)
            case HangUpRung():
                self._end(NextStep("hang_up"))
                return True

    async def _run_out(self) -> None:
        """Nothing has helped, and no rung is left; whoever has been told nothing yet is told now."""
        means, rungs = self._means, self._means.agent.on_failure
        was_told = any(isinstance(rung, SayRung) for rung in rungs)
        if was_told or await means.announcer.say_out(SentenceKind.APOLOGY):
            self._end(NextStep("hang_up"))
        else:
            self._leave_to_twilio(len(rungs))

    async def _use_model(self, name: str, failure: ModelFailure) -> bool:
        model, means = self._means.model, self._means
        if model is None or failure.kind is FailureKind.GIVE_UP:
            return False  # another model of the same endpoint would refuse as well
        await self._fill()
        model.use_model(name)
        limit_secs = model.model_link.setup.settings.connection.ready_secs + _READY_SPARE_SECS
        is_up = False
        try:
            async with asyncio.timeout(limit_secs):
                while not (is_up := model.is_connected_to(name)) and model.model_link.failure is None:  # noqa: ASYNC110
                    await asyncio.sleep(_POLL_SECS)
        except TimeoutError:
            means.scribe.event("model.not_ready", model=name)
        if is_up:
            self._on_recovered()
        return is_up

    async def _fill(self, *, is_heard_out: bool = False) -> None:
        """The next rung may take a while: the caller shall know that somebody is there."""
        scribe, announcer = self._means.scribe, self._means.announcer
        if scribe.now_ms - scribe.line.playout.end_ms > _HEARD_LATELY_MS or not scribe.spoken_count:
            await announcer.announce(SentenceKind.FILLER)
        if is_heard_out:
            await announcer.wait_heard()

    async def _say(self, rung: SayRung) -> bool:
        means, position = self._means, self._next - 1
        kind = kind_of_say(means.agent.on_failure, position, may_transfer=means.is_phone)
        if kind is SentenceKind.FILLER:
            # What it leads to begins under it, and would not wait for a sentence that there is no sound for.
            await means.announcer.announce(kind, rung.say)
            return False
        if rung.say is None and kind is None:
            return False
        is_said = await means.announcer.say_out(kind, rung.say)
        _count("apology", is_ok=is_said)
        if is_said or kind is None or not means.is_phone:
            return False
        # No sound for it: Twilio's voice says it, and does what is left to do.
        self._leave_to_twilio(position)
        return True

    async def _transfer(self, rung: TransferRung) -> bool:
        means, position = self._means, self._next - 1
        if not means.is_phone:
            return False
        _count("transfer", is_ok=True)
        was_told = any(isinstance(earlier, SayRung) for earlier in means.agent.on_failure[:position])
        if was_told or await means.announcer.say_out(SentenceKind.CONNECTING):
            means.leave(EndReason.TRANSFERRED, transfer_to(rung.transfer))
        else:
            self._leave_to_twilio(position)
        return True

    def _leave_to_twilio(self, position: int) -> None:
        step = failure_step(self._means.agent, self._means.call.variables, start_at=position)
        reason = EndReason.TRANSFERRED if step.kind == "transfer" else EndReason.FAILED
        self._means.leave(reason, step)

    async def _take_message(self, rung: TakeMessageRung) -> bool:
        means, position = self._means, self._next - 1
        is_taken = await take_message(means.announcer, means.scribe, rung.take_message)
        _count("message", is_ok=is_taken)
        if is_taken:
            self._end(NextStep("hang_up"))
        else:
            self._leave_to_twilio(position)
        return True

    def _end(self, step: NextStep) -> None:
        self._means.leave(EndReason.FAILED, step)


def name_of(rung: Rung) -> str:
    """Return the rung as the agent's file names it."""
    return next(iter(type(rung).model_fields))


def _count(kind: str, *, is_ok: bool) -> None:
    metrics.RECOVERIES_TOTAL.labels(kind=kind, outcome="recovered" if is_ok else "failed").inc()
