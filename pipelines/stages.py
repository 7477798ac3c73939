"""From an agent's list of stages to the processors of one call's pipeline: one table, name -> builder."""

import importlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from google.genai import Client
from loguru import logger
from pipecat.frames.frames import Frame, InputTextRawFrame, LLMMessagesAppendFrame, LLMRunFrame, TTSSpeakFrame
from pipecat.processors.aggregators.llm_context import LLMContext
from pipecat.processors.aggregators.llm_response_universal import LLMContextAggregatorPair, LLMUserAggregatorParams
from pipecat.processors.frame_processor import FrameProcessor
from pipecat.services.ai_service import AIService
from pipecat.services.llm_service import LLMService
from pipecat.services.tts_service import TTSService
from pipecat.transports.base_transport import BaseTransport
from pipecat.turns.user_start import VADUserTurnStartStrategy
from pipecat.turns.user_stop import SpeechTimeoutUserTurnStopStrategy
from pipecat.turns.user_turn_strategies import UserTurnStrategies

from config.agent import AgentConfig, Phrases
from config.listening import Idle
from config.pipeline import SileroVad, Stage, TransportInput, TransportOutput
from pipelines.ambience import Background
from pipelines.announcer import Announcer
from pipelines.background_voices import BackgroundVoices, CallerLoudness
from pipelines.call_recording import CallRecording
from pipelines.caller_words import CallerWords
from pipelines.disclosure import ClosedEars, Hear, discloses
from pipelines.gemini_live import GeminiLive
from pipelines.interruptions import GreetingGuard, KeptBack, cascade_strategies
from pipelines.line import CallLine
from pipelines.line_taps import AgentTap
from pipelines.model_failures import ModelFailure
from pipelines.model_usage import count_usage
from pipelines.phone_input import PhoneInput
from pipelines.phone_line import PhoneOutput
from pipelines.phone_voice import PhoneVoice
from pipelines.ringing import Ringing, make_link
from pipelines.scribe import Scribe
from pipelines.script import TakenOver, greeting_of, instructions_of, opening_after, opening_of
from pipelines.sentences import Sentences
from pipelines.steady_voice import SteadyVoice
from pipelines.tool_watch import refuse_unknown
from pipelines.tools import Bot, OfferedTool
from pipelines.voice_activity import VoiceActivity, VoiceSettings
from transcripts.call import Call, Speaker


class CannotBuildPipeline(Exception):
    """This agent's pipeline cannot be built."""


@dataclass
class Assembly:
    """One call's pipeline while it is put together, and what it turned out to have.

    Attributes:
        tools: What the model may use in this call.
        gemini: The process's Gemini client; None when neither key nor endpoint is set.
        ringing: Where the model may be connected already.
        recording: What is kept of the call.
        on_model_failed: Told why, when the model is not to be had any more.
        goes_on: Another pipeline of the same call came before this one.
        say_in: The language that the model has to put our sentences into; empty: they are in the right one.
        closed_ears: What keeps the model from hearing until the disclosure was heard; None when nothing does.
        taken_over: How this agent came by the call, when another agent had it before.
    """

    call: Call
    agent: AgentConfig
    bot: Bot
    tools: list[OfferedTool]
    transport: BaseTransport
    line: CallLine
    scribe: Scribe
    gemini: Client | None
    ringing: Ringing
    sentences: Sentences
    recording: CallRecording
    on_model_failed: Callable[[ModelFailure], None]
    goes_on: bool = False
    say_in: str = ""
    taken_over: TakenOver | None = None
    processors: list[FrameProcessor] = field(default_factory=list[FrameProcessor])
    has_voice_activity: bool = False
    llm: LLMService[Any] | None = None
    tts: TTSService | None = None
    aggregators: LLMContextAggregatorPair | None = None
    closed_ears: ClosedEars | None = None
    announcer: Announcer = field(init=False)

    def __post_init__(self) -> None:
        """Every pipeline has somebody who speaks without a model."""
        self.announcer = Announcer(self.call, self.agent, self.sentences, self.scribe)

    @property
    def instructions(self) -> str:
        """What the model is told."""
        return instructions_of(self.agent, self.call, self.bot.hints, self.taken_over)

    @property
    def greeting(self) -> str:
        """What the agent says first; nothing in a call that goes on, but for an agent that takes it over."""
        if self.taken_over is not None:
            return self.agent.render(self.agent.handoff.greeting, self.call.variables)
        return "" if self.goes_on else greeting_of(self.agent, self.call, self.sentences)

    @property
    def opening(self) -> str:
        """What a speech-to-speech model is asked for first; empty when it is to listen."""
        return opening_of(self.greeting) if self.taken_over is None else opening_after(self.agent, self.call)

    @property
    def model(self) -> GeminiLive | None:
        """The model that hears and speaks, if this pipeline has one."""
        return self.llm if isinstance(self.llm, GeminiLive) else None

    @property
    def phrases(self) -> Phrases:
        """The agent's phrases, with this call's variables filled in."""
        spoken = {name: self.agent.render(text, self.call.variables) for name, text in self.agent.phrases}
        return self.agent.phrases.model_copy(update=spoken)

    @property
    def idle(self) -> Idle | None:
        """The agent's prompts in a silence, with this call's variables filled in; None: its limits say."""
        idle = self.agent.listening.idle
        if idle is None:
            return None
        prompts = tuple(self.agent.render(prompt, self.call.variables) for prompt in idle.prompts)
        return idle.model_copy(update={"prompts": prompts})

    @property
    def is_realtime(self) -> bool:
        """Whether one model hears and speaks, as against recognizer, text model and synthesizer in a row."""
        return isinstance(self.llm, GeminiLive)

    async def say(self, sentence: str) -> bool:
        """Have the agent say exactly this; False when nothing in this pipeline can."""
        frame: Frame
        if self.is_realtime and self.llm is not None:
            how = f"this in the language {self.say_in}" if self.say_in else "exactly this"
            frame = InputTextRawFrame(text=f'Say {how} to the caller, and nothing else: "{sentence}"')
            await self.llm.queue_frame(frame)
        elif self.tts is not None:
            await self.tts.queue_frame(TTSSpeakFrame(sentence))
        else:
            return False
        return True

    async def tell(self, text: str) -> None:
        """Tell the model something, of which it then speaks to the caller; nobody is told where there is no model."""
        if self.is_realtime and self.llm is not None:
            await self.llm.queue_frame(InputTextRawFrame(text=text))
        elif self.aggregators is not None:
            messages: list[Any] = [{"role": "user", "content": text}]
            await self.aggregators.user().queue_frame(LLMMessagesAppendFrame(messages=messages, run_llm=True))

    def opening_frames(self) -> list[Frame]:
        """What starts the conversation once the pipeline runs."""
        if self.is_realtime:
            return [LLMRunFrame()]
        if self.taken_over is not None and not self.greeting:
            return [LLMRunFrame()]
        if self.goes_on and not self.greeting:
            is_owed = self.scribe.caller.is_unanswered or self.scribe.waiting_since_ms is not None
            return [LLMRunFrame()] if is_owed else []
        return [TTSSpeakFrame(self.greeting)] if self.tts is not None and self.greeting else []


def assemble(assembly: Assembly) -> Assembly:
    """Fill in the processors of `assembly`, stage by stage.

    Raises:
        CannotBuildPipeline: a stage lacks what it needs, with the sentence to tell the operator.
    """
    stages = assembly.agent.pipeline.stages
    # The model is made first: what stands before it in the list depends on which kind it is.
    models = {index: _make_model(stage, assembly) for index, stage in enumerate(stages) if stage.name not in _BUILDERS}
    for index, stage in enumerate(stages):
        if index in models:
            assembly.processors += models[index]
        else:
            _BUILDERS[stage.name](stage, assembly)
    if assembly.aggregators is not None:
        assembly.processors.append(assembly.aggregators.assistant())
    _shorten_ways([stage.name for stage in stages], assembly)
    _keep_back(assembly)
    return assembly


_ANSWERING_MS = 700
"""From the silence that ends speech to the answer, at the most, as far as short pieces matter."""


def _shorten_ways(names: list[str], assembly: Assembly) -> None:
    """Let audio go no further than where it is read: fifty frames a second cost most of a call's time otherwise.

    Our own stages read none but where they are told of; of anybody else's stage nobody can know.
    """
    model, output = assembly.model, assembly.transport.output()
    if model is None:
        return
    at = names.index("gemini_live")
    readers = [index for index, name in enumerate(names) if name == "silero_vad" or name not in STAGE_NAMES]
    before, behind = [index for index in readers if index < at], [index for index in readers if index > at]
    voice = next((one for one in assembly.processors if isinstance(one, VoiceActivity)), None)
    if before and names[before[-1]] == "silero_vad" and voice is not None:
        voice.audio_reader = model
    if all(name in STAGE_NAMES for name in names):
        _pass_the_pipeline(assembly, voice, model)
    model.passes_audio_on = bool(behind)
    model.tells_text = any(name not in STAGE_NAMES for name in names)
    if isinstance(output, AgentTap):
        output.passes_audio_on = any(index > names.index("transport.output") for index in behind)
        output.tells_of_speaking = any(name not in STAGE_NAMES for name in names)


def _pass_the_pipeline(assembly: Assembly, voice: VoiceActivity | None, model: GeminiLive) -> None:
    """Give the caller's audio to ear and model at once; the pipeline has what they make of it."""
    source, rate_hz = assembly.transport.input(), assembly.line.caller_hz
    if not isinstance(source, PhoneInput):
        return

    def hear(pcm: bytes, until_ms: float) -> None:
        if voice is not None:
            voice.hear(pcm, until_ms)
        model.hear(pcm, rate_hz, until_ms)

    quiet = next((one.loudness for one in assembly.processors if isinstance(one, BackgroundVoices)), None)
    ears = hear if quiet is None else quiet.before(hear)

    def use(reader: Hear) -> None:
        source.audio_reader = reader

    if not assembly.goes_on and discloses(assembly.agent, assembly.call):
        assembly.closed_ears = ClosedEars(ears, use)
        use(assembly.closed_ears.hear)
    else:
        use(ears)
    # A model that waits longer for the end of speech gets silence in short pieces for as long.
    patience_ms = model.model_link.setup.settings.vad.silence_duration_ms or 0
    source.pieces.quiet_after_ms = max(source.pieces.quiet_after_ms, patience_ms + _ANSWERING_MS)


def _keep_back(assembly: Assembly) -> None:
    """Put a gate before the model's ears, when the agent is not to be interrupted by everything."""
    model, listening = assembly.model, assembly.agent.listening
    voice = next((one for one in assembly.processors if isinstance(one, VoiceActivity)), None)
    if model is not None and voice is not None and listening.has_gate:
        guard = None
        if listening.protect_greeting and not assembly.goes_on:
            guard = GreetingGuard(assembly.scribe, has_greeting=bool(assembly.greeting))
        kept = KeptBack(listening.interrupting.min_ms, assembly.scribe, voice, guard, model.model_link.send_audio)
        model.send_voice = kept.take


def _transport_input(stage: Stage, assembly: Assembly) -> None:
    source = assembly.transport.input()
    if isinstance(source, PhoneInput):
        settings = TransportInput.model_validate(stage.settings)
        source.pieces.piece_ms, source.pieces.quiet_piece_ms = settings.piece_ms, settings.quiet_piece_ms
    assembly.processors.append(source)
    if assembly.agent.listening.noise_suppression == "on":
        assembly.processors.append(BackgroundVoices(CallerLoudness(assembly.line.caller_hz)))


def _silero_vad(stage: Stage, assembly: Assembly) -> None:
    settings = SileroVad.model_validate(stage.settings)
    voice = VoiceSettings(settings.start_secs, settings.stop_secs, settings.confidence, settings.min_volume)
    assembly.processors.append(VoiceActivity(voice, assembly.scribe))
    assembly.has_voice_activity = True


class _TurnStop(SpeechTimeoutUserTurnStopStrategy):
    """Pipecat's strategy without its advice to measure recognizers again for another `stop_secs`."""

    def __init__(self, *, user_speech_timeout: float, wait_for_transcript: bool) -> None:
        super().__init__(user_speech_timeout=user_speech_timeout, wait_for_transcript=wait_for_transcript)
        self._stop_secs_warned = True


def _user_turns(_stage: Stage, assembly: Assembly) -> None:
    realtime = assembly.is_realtime
    context = LLMContext()
    if not realtime:
        # A text model gets everything by its context; Gemini Live got it with its connection, and tools in the
        # context would make it connect a second time.
        context = LLMContext(
            messages=[{"role": "system", "content": assembly.instructions}, *_said_before(assembly)],
            tools=assembly.tools or None,  # pyright: ignore[reportArgumentType]
        )
    elif assembly.taken_over is not None:
        context = LLMContext(messages=_said_before(assembly))
    if assembly.opening and (realtime or (assembly.taken_over is not None and not assembly.greeting)):
        context.add_message({"role": "user", "content": assembly.opening})
    # The model's own ears decide when it is interrupted: two referees would cut it off twice.
    start: list[Any] = [VADUserTurnStartStrategy(enable_interruptions=False)]
    muted: list[Any] = []
    if not realtime:
        start, muted = cascade_strategies(assembly.agent.listening, has_greeting=bool(assembly.greeting))
    stop = _TurnStop(user_speech_timeout=0.0 if realtime else 0.4, wait_for_transcript=not realtime)
    assembly.aggregators = LLMContextAggregatorPair(
        context,
        user_params=LLMUserAggregatorParams(
            user_turn_strategies=UserTurnStrategies(start=start, stop=[stop]), user_mute_strategies=muted
        ),
        realtime_service_mode=realtime,
    )
    words = CallerWords(assembly.scribe, keys_as_text_input=realtime)
    assembly.processors += [words, assembly.aggregators.user()]
    if realtime:
        assembly.processors.append(CallerWords(assembly.scribe, keys_as_text_input=True))


def _said_before(assembly: Assembly) -> list[Any]:
    """What a text model is told of a call that goes on with it."""
    if not assembly.goes_on:
        return []
    roles = {Speaker.CALLER: "user", Speaker.AGENT: "assistant"}
    return [{"role": roles[turn.speaker], "content": turn.text} for turn in assembly.scribe.conversation()]


def _transport_output(stage: Stage, assembly: Assembly) -> None:
    sink = assembly.transport.output()
    if isinstance(sink, PhoneOutput):
        sink.lead_ms = TransportOutput.model_validate(stage.settings).lead_ms
    ambient = assembly.agent.listening.ambient
    if isinstance(sink, AgentTap) and ambient.sound != "none":
        sink.background = Background(ambient, assembly.line.agent_hz)
    assembly.processors += [SteadyVoice(assembly.line.clock), assembly.announcer]
    assembly.processors += [PhoneVoice(assembly.line.agent_hz), sink]


def _recorder(_stage: Stage, assembly: Assembly) -> None:
    assembly.recording.join()


def _transcript(_stage: Stage, assembly: Assembly) -> None:
    assembly.scribe.keeps_turns = True


_BUILDERS: Mapping[str, Callable[[Stage, Assembly], None]] = {
    "transport.input": _transport_input,
    "silero_vad": _silero_vad,
    "user_turns": _user_turns,
    "transport.output": _transport_output,
    "recorder": _recorder,
    "transcript": _transcript,
}


def _gemini_live(stage: Stage, assembly: Assembly) -> FrameProcessor:
    if assembly.gemini is None:
        raise CannotBuildPipeline(
            "gemini_live needs a model: set GOOGLE_API_KEY, or TRUNKLINE_GEMINI_BASE_URL for another endpoint"
        )
    opening = assembly.opening
    wanted = make_link(
        assembly.gemini,
        assembly.call,
        assembly.agent,
        assembly.bot,
        tools=assembly.tools,
        opening=opening,
        taken_over=assembly.taken_over,
    )
    assert wanted is not None, f"{stage.name} is a stage of this pipeline"
    return GeminiLive(
        assembly.ringing.collect(assembly.call.call_id, wanted),
        tools=assembly.tools,
        opening=opening,
        tool_timeout_secs=assembly.agent.limits.tool_timeout_secs,
        scribe=assembly.scribe,
        on_failed=assembly.on_model_failed,
    )


STAGE_NAMES = frozenset({*_BUILDERS, "gemini_live"})
"""Every stage that can be built by name; a test holds it against `config.pipeline.STAGES`."""


def _make_model(stage: Stage, assembly: Assembly) -> list[FrameProcessor]:
    processor = _gemini_live(stage, assembly) if stage.name == "gemini_live" else _dotted(stage, assembly)
    if isinstance(processor, AIService) and stage.name != "gemini_live":
        count_usage(processor, assembly.scribe)
    if isinstance(processor, LLMService):
        assembly.llm = processor
        # What is called without being declared: Pipecat's word for it is a name of None.
        processor.register_function(None, refuse_unknown)
    elif isinstance(processor, TTSService):
        assembly.tts = processor
    return [processor]


def _dotted(stage: Stage, assembly: Assembly) -> FrameProcessor:
    found = find_class(stage.name)
    arguments = {name: _rendered(value, assembly) for name, value in stage.settings.items()}
    nested = arguments.get("settings")
    settings_class = getattr(found, "Settings", None)
    if isinstance(nested, dict) and callable(settings_class):
        arguments["settings"] = settings_class(**nested)
    try:
        return found(**arguments)
    except (TypeError, ValueError) as error:
        raise CannotBuildPipeline(f"stage {stage.name} does not take these settings: {error}") from error


def _rendered(value: Any, assembly: Assembly) -> Any:
    if isinstance(value, str):
        return assembly.agent.render(value, assembly.call.variables)
    if isinstance(value, dict):
        return {key: _rendered(item, assembly) for key, item in value.items()}  # pyright: ignore[reportUnknownVariableType]
    return value


def find_class(dotted: str) -> type[FrameProcessor]:
    """Import the class that a dotted stage names.

    Raises:
        CannotBuildPipeline: there is no such class, or it is not a Pipecat `FrameProcessor`.
    """
    module_name, _, class_name = dotted.rpartition(".")
    try:
        found = getattr(importlib.import_module(module_name), class_name)
    except (ImportError, AttributeError) as error:
        raise CannotBuildPipeline(f"there is no class {dotted}: {error}") from error
    if not (isinstance(found, type) and issubclass(found, FrameProcessor)):
        raise CannotBuildPipeline(f"{dotted} is not a Pipecat FrameProcessor")
    return found


def check_dotted(dotted: str) -> str | None:
    """Say what is wrong with a dotted stage name, for `agents check`; None when nothing is.

    Loads all that the class needs, which takes seconds for some: not to be called on the event loop.
    """
    try:
        found = find_class(dotted)
        if issubclass(found, LLMService):
            # Pipecat imports the adapter (a whole SDK) when the first service is made: in the middle of a call.
            found._resolve_adapter_class()  # pyright: ignore[reportPrivateUsage, reportUnknownMemberType]
    except CannotBuildPipeline as error:
        return str(error)
    except Exception as error:
        # Somebody else's module may raise anything while it is imported; that is what this check is for.
        logger.opt(exception=error).debug("importing {} failed", dotted)
        return f"importing {dotted} raised {type(error).__name__}: {error}"
    return None
