"""One call, from its first frame to its last: assemble, run, conduct, hand over. The heart of the house."""

import asyncio
from collections.abc import Callable
from dataclasses import replace

from loguru import logger

from config.agent import AgentConfig
from config.pipeline import PipelineDefinition
from pipelines.answering_machine import machine_of, watching
from pipelines.attention import Attention
from pipelines.away import Away
from pipelines.call_recording import CallRecording
from pipelines.call_services import CallServices
from pipelines.conductor import Conductor
from pipelines.consent import ConsentQuestion, ConsentRecords
from pipelines.disclosure import discloses, open_when_heard
from pipelines.failure_step import failure_step
from pipelines.handoff import CannotSwitch, Handoffs, Stage
from pipelines.housekeeping import take_apart
from pipelines.keys import Keys
from pipelines.ladder import Ladder, Means
from pipelines.live import LiveCall
from pipelines.model_failures import ModelFailure
from pipelines.pipeline_run import PipelineRun
from pipelines.scribe import Scribe
from pipelines.script import TakenOver, announces
from pipelines.sentences import SentenceKind
from pipelines.stages import Assembly, CannotBuildPipeline, assemble
from pipelines.tool_filling import ToolFilling
from pipelines.tools import Bot, CallResources
from pipelines.transfers import TransferMeans, Transfers
from pipelines.transports import CallTransport
from pipelines.waiting import Waiting, patient_connection
from pipelines.warm_transfer import WarmMeans, WarmTransfer
from telephony.next_step import NextStep
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
        self._call, self._agent, self._bot, self._voice = call, agent, bot, voice
        self._log, self._services = log, services
        self._scribe = Scribe(voice.line, log, agent.name)
        voice.line.listeners.append(self._scribe)
        self._recording = CallRecording(agent.recording, services.recordings_dir, call.call_id, self._scribe)
        self._assembly = self._plan(agent, voice)
        self._conductor = Conductor(
            agent.limits,
            self._assembly.phrases,
            self._scribe,
            say=self._say,
            announce=self._announce,
            idle=self._assembly.idle,
        )
        self._attention = self._attention_of(agent)
        self._conductor.needs_sound = voice.is_phone
        self._conductor.is_held = self._is_held
        self._conductor.watch_model = self._watch_model
        self._handoffs = Handoffs(
            call,
            self._scribe,
            services.ringing,
            lambda name: None if services.agents is None else services.agents.catalog.by_name(name),
            stage=self._stage,
            switch=self._hand_over,
            is_possible=voice.renew is not None,
        )
        self._handoffs.began_with(agent.name)
        self._live = live
        self._ladder: Ladder | None = None
        self._consent: ConsentQuestion | None = None
        self._noting: asyncio.Task[None] | None = None
        self._waiting: Waiting | None = None
        self._filling: ToolFilling | None = None
        self._pipeline: PipelineRun | None = None
        self._detail: str | None = None
        self._opening_ears: asyncio.Task[None] | None = None
        self._pipelines: list[PipelineRun] = []
        self._away: Away | None = None
        if voice.wire is not None:
            self._away = live.away = Away(voice.wire, self._scribe, self._end_away)
            self._away.tell_twilio, self._away.on_change = live.tell_twilio, self._went_or_came
            self._conductor.is_away = lambda: voice.line.is_away
        self._warm = self._make_warm()
        self._transfers = Transfers(self._transfer_means())
        self._keys = Keys(
            lambda: self._agent.digits,
            self._scribe,
            self._away,
            lambda: self._assembly.announcer,
            is_phone=voice.is_phone,
        )
        self._failed_away: ModelFailure | None = None
        self._failed_on_hold: ModelFailure | None = None
        self._resting: asyncio.Task[None] | None = None
        live.on_end(self._asked_to_end)
        self._machine = machine_of(call, agent, self._scribe, services.sentences, lambda: self._assembly, self._leave)
        if self._machine is not None:
            live.on_answered(self._machine.told)

    async def run(self) -> EndReason:
        """Run it; returns why it ended."""
        scribe, conductor = self._scribe, self._conductor
        scribe.event("call.live", at_ms=0, agent=self._agent.name, direction=self._call.direction.value)
        if self._call.is_announced:
            scribe.event("agent.announced", at_ms=0, kind=SentenceKind.CONSENT.value, by="twilio")
        try:
            self._tell_missing_tools()
            async with watching(self._machine):
                await self._run_pipelines()
        except CannotBuildPipeline as error:
            logger.error("agent {}: {}", self._agent.name, error)
            self._leave(EndReason.FAILED, failure_step(self._agent, self._call.variables))
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
            if self._ladder is not None:
                await self._ladder.close()
            await self._transfers.close()
            if self._away is not None:
                await self._away.close()
            await self._end_consent()
            # However it ended: what was said and recorded until then is kept.
            reason = await self._finish()
            self._take_apart()
        return reason

    def _tell_missing_tools(self) -> None:
        for name, reason in self._services.toolbox.missing(self._agent):
            self._scribe.event("tool.unavailable", name=name, reason=reason)

    async def _run_pipelines(self) -> None:
        """Run one pipeline after the other, until the conductor ends the call."""
        assembly: Assembly | None = self._assembly
        desk = self._desk()
        while assembly is not None:
            self._assembly = assembly
            if assembly.taken_over is None:
                assemble(assembly)
            else:
                desk = self._desk()  # it was assembled before the agent that had the call left it
            self._attention.take_up(assembly)
            self._conductor.may_judge_silence = assembly.has_voice_activity
            self._attend(assembly)
            if not assembly.goes_on:
                self._ask_for_consent(assembly)
            before = None if self._consent is None or assembly.goes_on else self._consent.settle
            self._pipeline = PipelineRun(assembly, self._conductor, desk, before=before)
            self._pipelines.append(self._pipeline)
            if not assembly.goes_on:
                await self._disclose(assembly)
            if not assembly.goes_on and announces(self._agent) and not self._call.is_announced:
                await assembly.announcer.announce(SentenceKind.CONSENT)
            assembly = await self._pipeline.run()
            self._detail = self._pipeline.detail

    async def _disclose(self, assembly: Assembly) -> None:
        """Say who calls, before anything else."""
        if self._call.is_disclosed:
            self._scribe.event("agent.announced", at_ms=0, kind=SentenceKind.DISCLOSURE.value, by="twilio")
        if not discloses(self._agent, self._call):
            return
        is_sound = await assembly.announcer.announce(SentenceKind.DISCLOSURE)
        if assembly.closed_ears is not None:
            opening = open_when_heard(assembly.closed_ears, assembly.announcer, self._scribe, by_model=not is_sound)
            self._opening_ears = asyncio.create_task(opening, name=f"ears of {self._call.call_id}")

    def _desk(self) -> CallResources:
        agent, bot = self._agent, self._bot
        settings = bot.settings.model_validate(agent.settings) if bot.settings else None
        records = self._services.records_of(agent.name)
        desk = CallResources(self._call, agent, settings, records, self._scribe, self._conductor)
        desk.handing_over, desk.recording = self._handoffs, self._recording
        self._attention.belong_to(desk)
        desk.attending, desk.transfers, desk.keys = self._attention, self._transfers, self._keys
        desk.callbacks = self._services.callbacks if agent.outbound.enabled else None
        desk.texting = self._services.toolbox.texting
        return desk

    def _attention_of(self, agent: AgentConfig) -> Attention:
        return Attention(
            agent, self._scribe, self._conductor, assembly=lambda: self._assembly, ladder=lambda: self._ladder
        )

    def _ask_for_consent(self, assembly: Assembly) -> None:
        """Have the other side asked before anything else, or have it noted when he has been told."""
        records = ConsentRecords(assembly)
        self._recording.on_withdrawn = lambda: records.add(ConsentAnswer.WITHDRAWN, ConsentGivenBy.VOICE)
        if self._agent.recording.asks:
            self._consent = ConsentQuestion(assembly, records, self._is_nobody_to_ask, self._model_failed)
        elif self._agent.recording.announces:
            noting = records.note_announcement()
            self._noting = asyncio.create_task(noting, name=f"announcement {self._call.call_id}")

    def _is_nobody_to_ask(self) -> bool:
        conductor = self._conductor
        is_climbing = self._ladder is not None and self._ladder.is_climbing
        return is_climbing or conductor.reason is not None or conductor.is_saying_goodbye

    async def _end_consent(self) -> None:
        if self._noting is not None:
            self._noting.cancel()
            await asyncio.wait({self._noting})
        if self._consent is not None:
            await self._consent.close()

    def _plan(
        self, agent: AgentConfig, voice: CallTransport, *, goes_on: bool = False, taken_over: TakenOver | None = None
    ) -> Assembly:
        return Assembly(
            call=self._call,
            agent=agent,
            bot=self._bot,
            tools=self._services.toolbox.tools_for(self._bot, agent, self._call),
            transport=voice.transport,
            line=voice.line,
            scribe=self._scribe,
            gemini=self._services.gemini,
            ringing=self._services.ringing,
            sentences=self._services.sentences,
            recording=self._recording,
            on_model_failed=self._model_failed,
            goes_on=goes_on,
            taken_over=taken_over,
        )

    def _attend(self, assembly: Assembly) -> None:
        """Have somebody see to a caller who waits for this pipeline's model."""
        model = assembly.model
        used = 0 if self._ladder is None else self._ladder.used
        means = Means(
            call=self._call,
            agent=assembly.agent,
            scribe=self._scribe,
            announcer=assembly.announcer,
            leave=self._leave,
            switch=self._switch,
            is_phone=self._voice.is_phone,
            model=model,
        )
        self._ladder = Ladder(means, on_recovered=self._recovered, start_at=used)
        self._waiting = None
        self._filling = ToolFilling(self._scribe, self._agent.limits, self._fill_tool_time)
        if model is not None:
            connection = patient_connection(model.model_link.setup.settings)
            self._waiting = Waiting(self._scribe, assembly.announcer, model, connection, self._agent.limits)

    # ---- what the conductor, the model and the ladder ask for ----

    async def _say(self, sentence: str) -> bool:
        return await self._assembly.say(sentence)

    async def _announce(self, kind: SentenceKind) -> bool:
        return await self._assembly.announcer.announce(kind)

    async def _fill_tool_time(self, sentence: str | None) -> None:
        """Speak while a tool runs, in a pipeline whose voice does not need the model for that."""
        text = self._agent.phrases.tool_filler if sentence is None else sentence
        await self._assembly.say(self._agent.render(text, self._call.variables))

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
        is_climbing = self._ladder is not None and self._ladder.is_climbing
        has_machine = self._machine is not None and self._machine.has_machine
        return is_on_hold or has_machine or is_asked or is_climbing or self._transfers.is_taking_message

    def _model_failed(self, failure: ModelFailure) -> None:
        if self._voice.line.is_away:
            self._failed_away = failure  # nobody would hear what the ladder says
            return
        if self._conductor.is_saying_goodbye or self._conductor.reason is not None or self._ladder is None:
            return  # the call is ending in any case
        if self._machine is not None and self._machine.has_machine:
            return  # nobody talks with the model any more
        if self._warm is not None and self._warm.is_holding:
            self._failed_on_hold = failure  # he may be with somebody else in a moment
            return
        self._ladder.begin(failure)

    def _recovered(self) -> None:
        if self._waiting is not None:
            self._waiting.begin_anew()

    def _leave(self, reason: EndReason, step: NextStep) -> None:
        if self._voice.is_phone:
            self._conductor.leave(reason, step)
        else:
            self._conductor.end(reason)

    async def _switch(self, definition: PipelineDefinition) -> bool:
        """Go on with other stages on the same line; False when that cannot be."""
        if self._voice.renew is None or self._pipeline is None:
            return False
        if self._scribe.caller.is_speaking:
            self._scribe.caller_stopped(self._scribe.now_ms)  # the next pipeline's ears begin in silence
        agent = self._agent.model_copy(update={"pipeline": definition})
        voice = replace(self._voice, transport=self._voice.renew())
        self._pipeline.go_on_with(self._plan(agent, voice, goes_on=True))
        return True

    def _stage(self) -> Stage:
        model, conductor = self._assembly.model, self._conductor
        return Stage(
            self._agent,
            self._assembly.announcer,
            hush=lambda: None if model is None else model.hush(),
            is_answering=lambda: model is not None and model.is_answering,
            is_over=lambda: conductor.reason is not None or conductor.is_saying_goodbye,
        )

    def _hand_over(self, agent: AgentConfig, bot: Bot, taken_over: TakenOver) -> Callable[[], None]:
        """Build another agent's pipeline on the same line; returns what goes on with it."""
        if self._voice.renew is None or self._pipeline is None:
            raise CannotSwitch("this line cannot be handed on")
        voice = replace(self._voice, transport=self._voice.renew())
        own_bot, self._bot = self._bot, bot
        try:
            assembly = assemble(self._plan(agent, voice, goes_on=True, taken_over=taken_over))
        except CannotBuildPipeline as error:
            raise CannotSwitch(str(error)) from error
        finally:
            self._bot = own_bot

        def go_on() -> None:
            scribe = self._scribe
            if scribe.caller.is_speaking:
                scribe.caller_stopped(scribe.now_ms)  # the next pipeline's ears begin in silence
            scribe.agent_finished()  # a model that calls a tool in mid-turn never tells that its words were whole
            self._agent, self._bot = agent, bot
            self._live.agent = agent
            scribe.agent_name = agent.name
            scribe.event(
                "agent.handed_over", from_agent=taken_over.from_agent, to_agent=agent.name, summary=taken_over.summary
            )
            if self._ladder is not None and self._ladder.is_climbing:
                self._ladder.stop()  # another agent's model is there instead
            self._ladder = None
            self._attention = self._attention_of(agent)
            self._conductor.go_on_with(agent.limits, assembly.phrases, assembly.idle)
            if self._pipeline is not None:  # as it is now: the ladder may have changed it meanwhile
                self._pipeline.go_on_with(assembly)

        return go_on

    def _asked_to_end(self, reason: EndReason) -> None:
        if self._away is None or not self._away.is_away:
            self._conductor.ask_to_end(reason)
            return
        reason = self._away.over(reason)
        if reason is EndReason.DRAINED:
            goodbye = self._agent.render(self._agent.phrases.drain_goodbye, self._call.variables)
            self._conductor.leave(reason, NextStep("apology", text=goodbye, language=self._agent.language))
        else:
            self._conductor.end(reason)

    def _went_or_came(self, is_away: bool) -> None:
        """The call has left its stream, or is back on one."""
        model = self._assembly.model
        if is_away or self._conductor.reason is not None:
            return
        if model is not None and self._resting is not None:
            self._resting = None
            model.model_link.open()
        if (failure := self._failed_away) is not None:
            self._failed_away = None
            self._model_failed(failure)

    def _rest_model(self) -> None:
        """Somebody talks with the caller, for as long as they like: the model's connection is not kept for that."""
        model = self._assembly.model
        if model is not None and self._resting is None:
            closing = model.model_link.close()
            self._resting = asyncio.create_task(closing, name=f"model of {self._call.call_id} rests")

    def _hush(self) -> None:
        if (model := self._assembly.model) is not None:
            model.hush()

    async def _tell_model(self, text: str) -> None:
        self._scribe.await_words()
        await self._assembly.tell(text)

    def _transfer_means(self) -> TransferMeans:
        conductor, agents = self._conductor, self._services.agents
        return TransferMeans(
            call=self._call,
            agent=lambda: self._agent,
            scribe=self._scribe,
            away=self._away,
            warm=self._warm,
            by_number=lambda number: None if agents is None else agents.catalog.by_number(number),
            announcer=lambda: self._assembly.announcer,
            tell_model=self._tell_model,
            hush=self._hush,
            is_ending=lambda: conductor.reason is not None or conductor.is_saying_goodbye,
            leave=self._leave,
            on_answered=self._rest_model,
        )

    def _end_away(self, reason: EndReason, step: NextStep | None) -> None:
        if step is None:
            self._conductor.end(reason)
        else:
            self._conductor.leave(reason, step)

    def _make_warm(self) -> WarmTransfer | None:
        ringer, conductor = self._services.ringer, self._conductor
        if ringer is None or not ringer.can_ring or not self._voice.is_phone:
            return None
        means = WarmMeans(
            call=self._call,
            agent=lambda: self._agent,
            scribe=self._scribe,
            ringer=ringer,
            announcer=lambda: self._assembly.announcer,
            tell_model=self._tell_model,
            is_ending=lambda: conductor.is_saying_goodbye,
            is_over=lambda: conductor.reason is not None,
            end=conductor.end,
        )
        return WarmTransfer(means)

    def _take_apart(self) -> None:
        """Let go of what knew each other; of nothing that a pipeline which still runs could ask for."""
        pipelines = self._pipelines
        take_apart(leftover for pipeline in pipelines for leftover in pipeline.leftovers)
        if all(pipeline.leftovers for pipeline in pipelines):
            self._voice.line.listeners.clear()
            take_apart([self._recording, self._consent, self])

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
