"""Gemini Live as one stage of the pipeline: Pipecat's service, over a link that outlives its connections."""

from collections.abc import Callable, Sequence
from typing import Any
from uuid import uuid4

from google.genai.types import (
    Blob,
    Content,
    FunctionCall,
    FunctionResponse,
    LiveServerMessage,
    Part,
)
from loguru import logger
from pipecat.frames.frames import (
    Frame,
    FunctionCallCancelFrame,
    InputAudioRawFrame,
    LLMFullResponseEndFrame,
    LLMFullResponseStartFrame,
    TTSAudioRawFrame,
    TTSStartedFrame,
    TTSStoppedFrame,
    TTSTextFrame,
)
from pipecat.processors.frame_processor import FrameCallback, FrameDirection
from pipecat.services.google.gemini_live.llm import GeminiLiveLLMService
from pipecat.utils.text.base_text_aggregator import TextType

from pipelines.gemini_setup import declare_tools
from pipelines.line import heard_until_ms
from pipelines.link_listener import Beginning, Cause, Resumption
from pipelines.model_failures import ModelFailure
from pipelines.model_link import ModelLink
from pipelines.model_pace import ModelPace
from pipelines.model_usage import TOLD_ELSEWHERE, note_usage, with_usage
from pipelines.model_voice import VOICE_HZ
from pipelines.outbox import Audio
from pipelines.owed_answer import WAITING_PROMPT, KnownResult, OwedAnswer
from pipelines.scribe import Scribe
from pipelines.told_turns import ToldTurns
from pipelines.tool_watch import TOOL_GRACE_SECS
from pipelines.voice_pieces import VoicePieces
from telemetry import metrics

_SPOKE_UP_MS = 1500.0
"""An interruption so soon after the caller was heard is his, if that was after the answer had begun."""
_ARRIVING_MS = 1000.0
"""Speech that came so lately may not have reached the line yet."""
_NOTICED_AFTER_MS = 600.0
_SAY_AGAIN_BEFORE_MS = 300.0
"""The detector of voice notices speech a little after its first sound."""


class GeminiLive(GeminiLiveLLMService):
    """Pipecat's Gemini Live service, made fit for a phone line. Implements `LinkListener`.

    What it adds: connections that are replaced when they end, stall or are lost, with nothing said twice and nothing
    forgotten; a turn that ends with `generationComplete` (so the tail of the last word is not held back until
    `turnComplete`), every part of a message, usage in any message, cancelled tool calls, and no buffer that only grows.
    """

    def __init__(
        self,
        link: ModelLink,
        *,
        tools: list[Any],
        opening: str,
        tool_timeout_secs: float,
        scribe: Scribe,
        on_failed: Callable[[ModelFailure], None],
    ) -> None:
        """Take the link, the tools, what the model is asked for first (empty: it listens), and whom to tell."""
        self.model_link = link
        self.send_voice: Callable[[Audio], None] = link.send_audio
        """Where the caller's voice goes: to the model, or to who keeps some of it back."""
        self.passes_audio_on = True
        """Whether the caller's audio goes on through the pipeline, for a stage that reads it behind the model."""
        self.tells_text = True
        """Whether words are also told as a text model's, for stages that are not ours."""
        self._scribe = scribe
        self._on_failed = on_failed
        self._is_generated = self._has_spoken = False
        self._told = ToldTurns(scribe)
        self._owed = OwedAnswer(asked=opening, heard=self._told.heard_of_last)
        self._lost_ms = 0.0
        self._is_told = True
        self._is_recovering = self._is_slow = self._is_hushed = False
        self._pace = ModelPace()
        self._pieces = VoicePieces(self._push_voice, self._push_words)
        self._tool_functions = tools
        self._calls: dict[str, tuple[str, dict[str, Any]]] = {}
        self._asked_again: dict[str, str] = {}
        self._sample_rate_warning_logged = True  # audio without a rate is 24 kHz as well: nothing to be warned of
        super().__init__(
            api_key="",
            settings=GeminiLiveLLMService.Settings(model=link.setup.settings.model, voice=link.setup.settings.voice),
            # Pipecat takes "" for another instruction than its context's None, and would connect again at once.
            system_instruction=link.setup.instructions or None,
            tools=tools or None,
            inference_on_context_initialization=bool(opening),
            function_call_timeout_secs=tool_timeout_secs + TOOL_GRACE_SECS,
        )

    # ---- Pipecat's connection is the link ----

    def create_client(self) -> None:
        """Nothing to create: the link has the process's client."""

    def _warn_if_realtime_service_emits_no_turn_frames(self, emits_turn_frames: bool) -> None:
        """Nothing to warn of: turn frames come from our own voice activity, and they decide nothing here."""

    async def _connect(self, session_resumption_handle: str | None = None) -> None:
        self._session = self.model_link  # pyright: ignore[reportAttributeAccessIssue]
        self.model_link.open()
        self.model_link.attach(self)

    async def _reconnect(self) -> None:
        self.model_link.renew(Cause.HANDOVER)

    async def _disconnect(self) -> None:
        self._disconnecting = True
        await self.stop_all_metrics()
        if self._transcription_timeout_task:
            await self.cancel_task(self._transcription_timeout_task)
            self._transcription_timeout_task = None
        self._cancel_end_frame_deferral_timeout()
        self._discard_deferred_turn()
        self._pieces.drop()
        await self.model_link.close()
        self._pieces.drop()  # what came while it closed

    async def _send_user_audio(self, frame: InputAudioRawFrame) -> None:
        self.hear(frame.audio, frame.sample_rate, heard_until_ms(frame))

    def hear(self, pcm: bytes, rate_hz: int, until_ms: float) -> None:
        """Take voice of the caller (PCM16 mono), whose last sample was spoken at `until_ms` of call time."""
        if not self._audio_input_paused and self._ready_for_realtime_input and not self._cancelling:
            self.send_voice(Audio(pcm, rate_hz, until_ms))

    async def queue_frame(
        self,
        frame: Frame,
        direction: FrameDirection = FrameDirection.DOWNSTREAM,
        callback: FrameCallback | None = None,
    ) -> None:
        """Take audio of the caller that goes no further at once; queue everything else."""
        if self.passes_audio_on or callback is not None or not isinstance(frame, InputAudioRawFrame):
            await super().queue_frame(frame, direction, callback)
        elif not self._cancelling:
            await self._send_user_audio(frame)

    async def push_frame(self, frame: Frame, direction: FrameDirection = FrameDirection.DOWNSTREAM) -> None:
        """Push everything on, but for audio of the caller that nobody reads any more."""
        if isinstance(frame, FunctionCallCancelFrame):
            self._calls.pop(frame.tool_call_id, None)
        if self.passes_audio_on or not isinstance(frame, InputAudioRawFrame):
            await super().push_frame(frame, direction)

    async def _send_user_text(self, text: str) -> None:
        self._owed.asked = text
        await super()._send_user_text(text)

    # ---- what the watch over the conversation asks for ----

    async def prompt_again(self) -> None:
        """The model fell silent: tell it, over the connection there is, what it owes."""
        await self.model_link.send_realtime_input(text=self._owed.prompt() or WAITING_PROMPT)

    @property
    def knows_what_was_said(self) -> bool:
        """Whether it can be told in words what it owes."""
        return not self._owed.is_empty

    @property
    def is_answering(self) -> bool:
        """Whether an answer is arriving now."""
        return self._has_spoken and self._scribe.now_ms - self._pace.heard_ms < _ARRIVING_MS

    def hush(self) -> None:
        """Somebody else speaks from now on: whatever it says is not heard, until `use_model`."""
        self._is_hushed = True
        self._pieces.drop()

    def reconnect(self) -> None:
        """The model stays silent: leave its connection for another one."""
        self.model_link.renew(Cause.STALLED)

    @property
    def is_connected(self) -> bool:
        """Whether a connection stands."""
        return self.model_link.is_up

    def is_connected_to(self, model: str) -> bool:
        """Whether a connection to this model stands."""
        return self.model_link.is_up and self.model_link.connected_model == model

    def use_model(self, model: str) -> None:
        """Go on with another model, which is told what was said so far."""
        self._is_hushed = False
        self._settings.model = model
        self.model_link.use(self.model_link.setup.with_model(model, declare_tools(self._tool_functions, model)))

    # ---- LinkListener ----

    def link_ready(self, beginning: Beginning, cause: Cause, took_secs: float) -> None:
        """A connection stands."""
        took_ms = round(took_secs * 1000)
        self._scribe.event("model.ready", beginning=beginning.value, took_ms=took_ms)
        if beginning is not Beginning.NEW:
            self._is_recovering = True
            self._is_told = False
            metrics.RECOVERIES_TOTAL.labels(kind=cause.value, outcome="recovered").inc()
            self._scribe.event("recovery", kind=cause.value, outcome="recovered", beginning=beginning.value)

    async def link_lost(self, cause: Cause, failure: ModelFailure | None) -> None:
        """End what was being said, and remember what is owed."""
        self._scribe.event("model.lost", cause=cause.value, problem=failure.sentence if failure else None)
        if self._user_transcription_buffer:
            words, self._user_transcription_buffer = self._user_transcription_buffer, ""
            await self._push_user_transcription(words)
        await self._pieces.flush()
        self._pace.forget_half()
        self._discard_deferred_turn()
        if self._bot_is_responding and not self._is_generated:
            self._owed.cut_off(self._llm_output_buffer)
            await self._end_response()
            self._scribe.await_words()
        self._lost_ms = self._scribe.now_ms
        self._told.said_last, self._llm_output_buffer = self._llm_output_buffer, ""
        self._has_spoken = self._is_generated = False

    def link_attempt_failed(self, failure: ModelFailure) -> None:
        """Others follow."""
        self._scribe.event("model.attempt_failed", problem=failure.sentence)

    def link_failed(self, cause: Cause, failure: ModelFailure) -> None:
        """The agent's ladder is next."""
        metrics.RECOVERIES_TOTAL.labels(kind=cause.value, outcome="failed").inc()
        self._scribe.event("model.failed", cause=cause.value, error=failure.sentence)
        self._on_failed(failure)

    def link_going(self, time_left_secs: float | None) -> None:
        """The link deals with it; the call's log says so."""
        self._scribe.event("model.go_away", time_left_ms=time_left_secs and round(time_left_secs * 1000))

    def link_resumable(self) -> None:
        """What is said from now on is not in the handle, nor, in a connection's first ones, what it is told first."""
        if self._is_told:
            self._told.known_until_ms = self._scribe.now_ms

    def link_malformed(self, count: int) -> None:
        """Told once for each row of them."""
        if count == 1:
            self._scribe.event("model.malformed")
            logger.warning("a message of the model could not be read and was passed over")

    def history(self) -> Sequence[Content]:
        """What was said so far, for a model that knows nothing of it."""
        return self._told.all()

    def resumption(self, beginning: Beginning) -> Resumption:
        """Say again what was not heard to its end; else ask for what is owed."""
        if beginning is Beginning.SEEDED:
            self._told.known_until_ms = -1.0  # no handle has any of it yet
        since_ms = self._scribe.caller.unheard_since_ms(self._scribe.now_ms)
        if since_ms is not None:
            self._scribe.caller.forget_words()
            self._owed.words.clear()
            asked = "" if self._owed.results else self._owed.asked
            return Resumption(
                since_ms - _SAY_AGAIN_BEFORE_MS, asked, self._told.since_handle(is_prompted=bool(self._owed.words))
            )
        # A tool that still runs tells its result when it has one.
        prompt = "" if self._is_tool_running else self._owed.prompt()
        # Speech is noticed a moment after it began: what was sent in that moment went down with the connection.
        unnoticed_ms = max(self._lost_ms - _NOTICED_AFTER_MS, self._scribe.last_caller_ms)
        return Resumption(unnoticed_ms, prompt, self._told.since_handle(is_prompted=bool(self._owed.words)))

    @property
    def _is_tool_running(self) -> bool:
        """Whether a tool has yet to return. One that is just returning has, though it may not know yet."""
        return bool(self._calls) and self._scribe.tools_running > 0

    def as_prompt(self, result: FunctionResponse) -> str:
        """All that is owed, once the last tool has returned, when a call was lost with its connection."""
        if self._is_tool_running:
            return ""
        return self._owed.prompt() or f"The tool {result.name} has returned {result.response}. Tell the caller."

    def is_quiet(self) -> bool:
        """Whether nobody speaks to it, and it neither speaks nor owes anything."""
        scribe = self._scribe
        is_busy = self._bot_is_responding or scribe.caller.is_speaking or scribe.tools_running
        return not is_busy and scribe.waiting_since_ms is None and self._owed.is_empty

    async def link_message(self, message: LiveServerMessage) -> None:
        """One message of the model."""
        note_usage(self._scribe, message, self.model_link.connected_model)
        if self._is_hushed:
            return
        content = message.server_content
        if content is not None and content.interrupted:
            self._pieces.drop()
        await self._pieces.flush()  # also what is just being pushed on: this message follows it
        if message.tool_call_cancellation:
            for call_id in message.tool_call_cancellation.ids or []:
                await self._forget_call(call_id)
        await self._handle_server_message(with_usage(message))
        if message.usage_metadata and not (content and content.turn_complete):
            await self._handle_msg_usage_metadata(message)
        if content is None:
            return
        if content.generation_complete:
            self._is_generated = self._has_spoken
            if self._has_spoken:
                self._owed.clear()
            if self._bot_is_responding:
                await self._end_response()
        if content.interrupted:
            self._note_interruption()
        if content.turn_complete or content.interrupted:
            self._is_told = True
            if self._has_spoken and not content.interrupted:
                self._owed.clear()
            self._has_spoken = self._is_generated = False

    async def link_voice(self, pcm: bytes) -> None:
        """A message with nothing but voice in it: what the base class does with one, without the model of it."""
        if self._is_hushed:
            return
        if self._turn_complete_pending_idle:
            self._start_deferred_turn_complete_timeout()
        self._is_generated = False
        await self.stop_ttfb_metrics()
        data = self._whole_samples(pcm)
        if data:
            await self._pieces.add(data, self._pace.ahead_at(self._scribe.now_ms))

    async def link_words(self, words: str) -> None:
        """A message with nothing but words of the model in it."""
        if not self._is_hushed:
            self._pieces.add_words(words, self._pace.ahead_at(self._scribe.now_ms) if self._has_spoken else 0.0)

    async def link_pause(self) -> None:
        """What came is told."""
        await self._pieces.pause()

    async def _push_voice(self, pcm: bytes) -> None:
        await self._begin_response()
        await self.push_frame(TTSAudioRawFrame(audio=pcm, sample_rate=VOICE_HZ, num_channels=1))

    async def _push_words(self, words: str) -> None:
        if not self._is_generated:
            await self._begin_response()
        # After the end they are of speech that was sent already, and begin no other answer.
        self._search_result_buffer += words
        self._llm_output_buffer += words
        await self._push_output_transcription_text_frames(words)

    async def _begin_response(self) -> None:
        if not self._bot_is_responding:
            await self._set_bot_is_responding(True)
            await self.push_frame(TTSStartedFrame())
            await self.push_frame(LLMFullResponseStartFrame())

    def _note_interruption(self) -> None:
        """The model broke off. If nobody spoke up, the caller waits for the rest."""
        scribe = self._scribe
        since_ms = max(scribe.now_ms - _SPOKE_UP_MS, scribe.agent_began_ms or 0.0)
        if scribe.caller.is_speaking or scribe.last_caller_ms >= since_ms:
            self._owed.clear()
        elif self._has_spoken:
            self._owed.cut_off(None)

    async def _end_response(self) -> None:
        await self._set_bot_is_responding(False)
        await self.push_frame(TTSStoppedFrame())
        await self.push_frame(LLMFullResponseEndFrame())

    # ---- what Pipecat does with the model's messages, where that is not enough ----

    async def _push_user_transcription(self, text: str, result: LiveServerMessage | None = None) -> None:
        if self._scribe.caller.is_unanswered and not self._has_spoken:
            self._owed.words.append(text.strip())
        await super()._push_user_transcription(text, result)

    async def _handle_msg_model_turn(self, msg: LiveServerMessage) -> None:
        content = msg.server_content
        assert content is not None
        assert content.model_turn is not None
        self._is_generated = False
        # The base class reads the first part only.
        for part in content.model_turn.parts or []:
            whole = self._in_whole_samples(part)
            single = content.model_copy(update={"model_turn": Content(role="model", parts=[whole])})
            await super()._handle_msg_model_turn(msg.model_copy(update={"server_content": single}))
        self._bot_audio_buffer.clear()

    def _in_whole_samples(self, part: Part) -> Part:
        blob = part.inline_data
        if blob is None or not blob.data:
            return part
        data = self._whole_samples(blob.data)
        if len(data) == len(blob.data):
            return part
        return part.model_copy(update={"inline_data": Blob(data=data, mime_type=blob.mime_type)})

    def _whole_samples(self, pcm: bytes) -> bytes:
        """Take voice; a model that speaks slower than real time is as good as stalled, and is replaced afterwards."""
        now_ms, pace, link = self._scribe.now_ms, self._pace, self.model_link
        if not self._has_spoken:
            self._has_spoken, self._is_slow = True, False
            pace.begin(now_ms)
        whole = pace.take(pcm, now_ms)
        if not self._is_slow and pace.lag_ms > link.setup.settings.connection.stall_secs * 1000:
            self._is_slow = True
            self._scribe.event("model.slow", lag_ms=round(pace.lag_ms))
            link.renew_when_quiet(Cause.STALLED)
        return whole

    async def _handle_msg_output_transcription(self, message: LiveServerMessage) -> None:
        if (content := message.server_content) and content.output_transcription and content.output_transcription.text:
            if content.grounding_metadata:
                self._accumulated_grounding_metadata = content.grounding_metadata
            await self._push_words(content.output_transcription.text)

    async def _push_output_transcription_text_frames(self, text: str) -> None:
        if self.tells_text:
            await super()._push_output_transcription_text_frames(text)
            return
        frame = TTSTextFrame(text, text_type=TextType.SENTENCE)
        frame.includes_inter_frame_spaces = True
        await self.push_frame(frame)

    async def _handle_msg_usage_metadata(self, message: LiveServerMessage) -> None:
        if message.usage_metadata is not TOLD_ELSEWHERE:
            await super()._handle_msg_usage_metadata(message)

    async def _handle_msg_turn_complete(self, message: LiveServerMessage) -> None:
        self._pace.forget_half()
        await super()._handle_msg_turn_complete(message)

    # ---- tools: each runs once and is answered once, whatever happens to the connection that asked for it ----

    async def _handle_msg_tool_call(self, message: LiveServerMessage) -> None:
        assert message.tool_call is not None
        fresh: list[FunctionCall] = []
        for call in message.tool_call.function_calls or []:
            call.id = call.id or uuid4().hex
            self.model_link.note_call(call.id)
            if not await self._answer_repeated(call.id, call.name or "", call.args or {}):
                self._calls[call.id] = (call.name or "", call.args or {})
                fresh.append(call)
        if fresh:
            fresh_call = message.tool_call.model_copy(update={"function_calls": fresh})
            await super()._handle_msg_tool_call(message.model_copy(update={"tool_call": fresh_call}))

    async def _answer_repeated(self, call_id: str, name: str, arguments: dict[str, Any]) -> bool:
        """A model that lost its connection asks again for what was done: it is told, and no tool runs twice."""
        if not self._is_recovering:
            return False
        running = next((known for known, call in self._calls.items() if call == (name, arguments)), None)
        if running is not None:
            self._asked_again[running] = call_id
            return True
        known = self._owed.find(name, arguments)
        if known is None:
            return False
        self._scribe.event("tool.result_reused", name=name)
        await self.model_link.send_tool_response(
            function_responses=FunctionResponse(id=call_id, name=name, response=known.result)
        )
        return True

    async def _forget_call(self, call_id: str) -> None:
        """The model takes a call back: it stops, and nobody is told what it would have returned."""
        if self._calls.pop(call_id, None) is not None:
            self._scribe.event("tool.taken_back")
            await self._cancel_function_calls_by_tool_call_id(call_id)

    async def _tool_result(
        self,
        tool_call_id: str,
        tool_name: str,
        tool_result_message: dict[str, Any],
        *,
        is_final: bool = True,
        spoken: bool = True,
    ) -> None:
        if tool_call_id not in self._calls:
            return  # answered, or taken back
        name, arguments = self._calls[tool_call_id]
        if is_final:
            del self._calls[tool_call_id]
            self._owed.results.append(KnownResult(name, arguments, tool_result_message))
        again = self._asked_again.pop(tool_call_id, None)
        await super()._tool_result(again or tool_call_id, name, tool_result_message, is_final=is_final, spoken=spoken)
