"""One call, from its first frame to its last: assemble, run, conduct, hand over. The heart of the house."""

import asyncio

from loguru import logger

from config.agent import AgentConfig
from pipelines.absence import Absence
from pipelines.answering_machine import machine_of, watching
from pipelines.call_recording import CallRecording
from pipelines.call_services import CallServices
from pipelines.conductor import Conductor
from pipelines.consent import ConsentQuestion, ConsentRecords
from pipelines.course import Course
from pipelines.disclosure import discloses, open_when_heard
from pipelines.failure_step import failure_step
from pipelines.handing_on import handoffs_of, switch_stages
from pipelines.housekeeping import take_apart
from pipelines.keys import Keys
from pipelines.ladder import Ladder, Means
from pipelines.live import LiveCall
from pipelines.model_failures import ModelFailure
from pipelines.pipeline_run import PipelineRun
from pipelines.putting_through import transfers_of, warm_transfer_of
from pipelines.scribe import Scribe
from pipelines.script import announces
from pipelines.sentences import SentenceKind
from pipelines.stages import Assembly, CannotBuildPipeline, assemble
from pipelines.tool_filling import ToolFilling
from pipelines.tools import Bot, CallResources
from pipelines.transports import CallTransport
from pipelines.waiting import Waiting, patient_connection
from transcripts.call import Call, ConsentAnswer, ConsentGivenBy, EndReason
from transcripts.log import CallLog


async def run_call(
    call: Call,
    agent: AgentConfig,
    bot: Bot,
    voice: CallTransport,
    log: CallLog,
    services: CallServices,
    live: LiveCall,
) -> EndReason:
    """Run one call from first frame to last. Returns why it ended; raises only on our own bugs.

    The line's clock must have been started when the stream was. Turns, events, recording and the end of the call's row
    are written through `log`.
    """
    return await _CallRun(call, agent, bot, voice, log, services, live).run()


class _CallRun:
    """One call while it runs: one conductor and one record of it, over as many pipelines as it takes."""

    def __init__(
        self,
        call: Call,
        agent: AgentConfig,
        bot: Bot,
        voice: CallTransport,
        log: CallLog,
        services: CallServices,
        live: LiveCall,
    ) -> None:
        self._call, self._voice = call, voice
        self._log, self._services = log, services
        self._scribe = Scribe(voice.line, log, agent.name)
        voice.line.listeners.append(self._scribe)
        log.belong_to(agent.name, is_searched=agent.search, started_at=call.started_at)
        self._recording = CallRecording(agent.recording, services.recordings, call.call_id, self._scribe)
        self._course = course = Course(
            call, agent, bot, voice, services, live, self._scribe, self._recording, self._model_failed
        )
        course.assembly = course.plan(agent, bot, voice)
        course.conductor = self._conductor = Conductor(
            agent.limits,
            course.assembly.phrases,
            self._scribe,
            say=self._say,
            announce=self._announce,
            idle=course.assembly.idle,
        )
        course.attention = course.attend_as(agent)
        self._conductor.needs_sound = voice.is_phone
        self._conductor.is_held = self._is_held
        self._conductor.watch_model = self._watch_model
        self._handoffs = handoffs_of(course)
        self._consent: ConsentQuestion | None = None
        self._noting: asyncio.Task[None] | None = None
        self._waiting: Waiting | None = None
        self._filling: ToolFilling | None = None
        self._detail: str | None = None
        self._opening_ears: asyncio.Task[None] | None = None
        self._pipelines: list[PipelineRun] = []
        self._absence = Absence(course)
        away = self._absence.away
        self._warm = warm_transfer_of(course)
        self._transfers = transfers_of(course, away, self._warm, self._absence.rest_model)
        self._keys = Keys(
            lambda: course.agent.digits,
            self._scribe,
            away,
            lambda: course.assembly.announcer,
            is_phone=voice.is_phone,
        )
        self._failed_on_hold: ModelFailure | None = None
        self._machine = machine_of(call, agent, self._scribe, services.sentences, lambda: course.assembly, course.leave)
        if self._machine is not None:
            live.on_answered(self._machine.told)

    async def run(self) -> EndReason:
        """Run it; returns why it ended."""
        scribe, conductor = self._scribe, self._conductor
        scribe.event("call.live", at_ms=0, agent=self._course.agent.name, direction=self._call.direction.value)
        if self._call.is_announced:
            scribe.event("agent.announced", at_ms=0, kind=SentenceKind.CONSENT.value, by="twilio")
        try:
            self._tell_missing_tools()
            async with watching(self._machine):
                await self._run_pipelines()
        except CannotBuildPipeline as error:
            logger.error("agent {}: {}", self._course.agent.name, error)
            self._course.leave(EndReason.FAILED, failure_step(self._course.agent, self._call.variables))
            self._detail = str(error)
        except asyncio.CancelledError:
            conductor.end(EndReason.DRAINED)
            raise
        except Exception as error:
            conductor.end(EndReason.FAILED)
            self._detail = f"{type(error).__name__}: {error}"
            raise
        finally:
            if self._opening_ears is not None:
                self._opening_ears.cancel()
                await asyncio.wait({self._opening_ears})
            await self._handoffs.close()
            if self._course.ladder is not None:
                await self._course.ladder.close()
            await self._transfers.close()
            await self._absence.close()
            await self._end_consent()
            # However it ended: what was said and recorded until then is kept.
            reason = await self._finish()
            self._take_apart()
        return reason

    def _tell_missing_tools(self) -> None:
        for name, reason in self._services.toolbox.missing(self._course.agent):
            self._scribe.event("tool.unavailable", name=name, reason=reason)

    async def _run_pipelines(self) -> None:
        """Run one pipeline after the other, until the conductor ends the call."""
        assembly: Assembly | None = self._course.assembly
        desk = self._desk()
        while assembly is not None:
            self._course.assembly = assembly
            if assembly.taken_over is None:
                assemble(assembly)
            else:
                desk = self._desk()  # it was assembled before the agent that had the call left it
            self._course.attention.take_up(assembly)
            self._conductor.may_judge_silence = assembly.has_voice_activity
            self._attend(assembly)
            if not assembly.goes_on:
                self._ask_for_consent(assembly)
            before = None if self._consent is None or assembly.goes_on else self._consent.settle
            self._course.pipeline = PipelineRun(assembly, self._conductor, desk, before=before)
            self._pipelines.append(self._course.pipeline)
            if not assembly.goes_on:
                await self._disclose(assembly)
            if not assembly.goes_on and announces(self._course.agent) and not self._call.is_announced:
                await assembly.announcer.announce(SentenceKind.CONSENT)
            assembly = await self._course.pipeline.run()
            self._detail = self._course.pipeline.detail

    async def _disclose(self, assembly: Assembly) -> None:
        """Say who calls, before anything else."""
        if self._call.is_disclosed:
            self._scribe.event("agent.announced", at_ms=0, kind=SentenceKind.DISCLOSURE.value, by="twilio")
        if not discloses(self._course.agent, self._call):
            return
        is_sound = await assembly.announcer.announce(SentenceKind.DISCLOSURE)
        if assembly.closed_ears is not None:
            opening = open_when_heard(assembly.closed_ears, assembly.announcer, self._scribe, by_model=not is_sound)
            self._opening_ears = asyncio.create_task(opening, name=f"ears of {self._call.call_id}")

    def _desk(self) -> CallResources:
        agent, bot = self._course.agent, self._course.bot
        settings = bot.settings.model_validate(agent.settings) if bot.settings else None
        records = self._services.records_of(agent.name)
        desk = CallResources(self._call, agent, settings, records, self._scribe, self._conductor)
        desk.handing_over, desk.recording = self._handoffs, self._recording
        self._course.attention.belong_to(desk)
        desk.attending, desk.transfers, desk.keys = self._course.attention, self._transfers, self._keys
        desk.callbacks = self._services.callbacks if agent.outbound.enabled else None
        desk.do_not_call = self._services.do_not_call
        desk.texting = self._services.toolbox.texting
        return desk

    def _ask_for_consent(self, assembly: Assembly) -> None:
        """Have the other side asked before anything else, or have it noted when he has been told."""
        records = ConsentRecords(assembly)
        self._recording.on_withdrawn = lambda: records.add(ConsentAnswer.WITHDRAWN, ConsentGivenBy.VOICE)
        if self._course.agent.recording.asks:
            self._consent = ConsentQuestion(assembly, records, self._is_nobody_to_ask, self._model_failed)
        elif self._course.agent.recording.announces:
            noting = records.note_announcement()
            self._noting = asyncio.create_task(noting, name=f"announcement {self._call.call_id}")

    def _is_nobody_to_ask(self) -> bool:
        conductor = self._conductor
        is_climbing = self._course.ladder is not None and self._course.ladder.is_climbing
        return is_climbing or conductor.reason is not None or conductor.is_saying_goodbye

    async def _end_consent(self) -> None:
        if self._noting is not None:
            self._noting.cancel()
            await asyncio.wait({self._noting})
        if self._consent is not None:
            await self._consent.close()

    def _attend(self, assembly: Assembly) -> None:
        """Have somebody see to a caller who waits for this pipeline's model."""
        model = assembly.model
        used = 0 if self._course.ladder is None else self._course.ladder.used
        means = Means(
            call=self._call,
            agent=assembly.agent,
            scribe=self._scribe,
            announcer=assembly.announcer,
            leave=self._course.leave,
            switch=lambda definition: switch_stages(self._course, definition),
            is_phone=self._voice.is_phone,
            model=model,
        )
        self._course.ladder = Ladder(means, on_recovered=self._recovered, start_at=used)
        self._waiting = None
        self._filling = ToolFilling(self._scribe, self._course.agent.limits, self._fill_tool_time)
        if model is not None:
            connection = patient_connection(model.model_link.setup.settings)
            self._waiting = Waiting(self._scribe, assembly.announcer, model, connection, self._course.agent.limits)

    # ---- what the conductor, the model and the ladder ask for ----

    async def _say(self, sentence: str) -> bool:
        return await self._course.assembly.say(sentence)

    async def _announce(self, kind: SentenceKind) -> bool:
        return await self._course.assembly.announcer.announce(kind)

    async def _fill_tool_time(self, sentence: str | None) -> None:
        """Speak while a tool runs, in a pipeline whose voice does not need the model for that."""
        text = self._course.agent.phrases.tool_filler if sentence is None else sentence
        await self._course.assembly.say(self._course.agent.render(text, self._call.variables))

    async def _watch_model(self) -> None:
        if self._waiting is None and self._filling is not None:
            await self._filling.tick()
        failure = None if self._waiting is None else await self._waiting.tick()
        if failure is not None:
            self._model_failed(failure)

    def _is_held(self) -> bool:
        is_on_hold = self._warm is not None and self._warm.is_holding
        if not is_on_hold and self._failed_on_hold is not None:
            failure, self._failed_on_hold = self._failed_on_hold, None
            self._model_failed(failure)
        is_asked = self._consent is not None and self._consent.is_asking and not self._is_nobody_to_ask()
        is_climbing = self._course.ladder is not None and self._course.ladder.is_climbing
        has_machine = self._machine is not None and self._machine.has_machine
        return is_on_hold or has_machine or is_asked or is_climbing or self._transfers.is_taking_message

    def _model_failed(self, failure: ModelFailure) -> None:
        if self._absence.postpones(failure):
            return
        if self._conductor.is_saying_goodbye or self._conductor.reason is not None or self._course.ladder is None:
            return  # the call is ending in any case
        if self._machine is not None and self._machine.has_machine:
            return  # nobody talks with the model any more
        if self._warm is not None and self._warm.is_holding:
            self._failed_on_hold = failure  # he may be with somebody else in a moment
            return
        self._course.ladder.begin(failure)

    def _recovered(self) -> None:
        if self._waiting is not None:
            self._waiting.begin_anew()

    def _take_apart(self) -> None:
        """Let go of what knew each other; of nothing that a pipeline which still runs could ask for."""
        pipelines = self._pipelines
        take_apart(leftover for pipeline in pipelines for leftover in pipeline.leftovers)
        if all(pipeline.leftovers for pipeline in pipelines):
            self._voice.line.listeners.clear()
            take_apart([self._recording, self._consent, self._absence, self._course, self])

    async def _finish(self) -> EndReason:
        scribe, conductor = self._scribe, self._conductor
        reason = conductor.reason or EndReason.FAILED
        if self._warm is not None:
            reason = await self._warm.settle(reason)
        # The call was over then; winding up takes a moment that belongs neither to its turns nor to its recording.
        ended_ms = scribe.now_ms if conductor.ended_ms is None else conductor.ended_ms
        scribe.close(ended_ms)
        result = await self._recording.close(ended_ms)
        if result is not None:
            self._log.recording(result.status, result.error)
        if self._warm is not None and self._warm.is_handed_over:
            self._log.hand_over()
            self._warm.hand_over()
            return reason
        scribe.event("call.ended", at_ms=ended_ms, reason=reason.value, detail=self._detail)
        self._log.finish(reason)
        return reason
