"""What a Gemini Live connection is set up with: model, voice, instructions, tools; the same for all of a call's."""

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from google.genai.types import (
    ActivityHandling,
    AudioTranscriptionConfig,
    AutomaticActivityDetection,
    ContextWindowCompressionConfig,
    EndSensitivity,
    GenerationConfig,
    HistoryConfig,
    LiveConnectConfig,
    Modality,
    PrebuiltVoiceConfig,
    RealtimeInputConfig,
    SessionResumptionConfig,
    SlidingWindow,
    SpeechConfig,
    StartSensitivity,
    ThinkingConfig,
    ThinkingLevel,
    VoiceConfig,
)
from pipecat.adapters.llm.schemas.function_schema import FunctionSchema
from pipecat.adapters.llm.schemas.tools_schema import ToolsSchema
from pipecat.adapters.llm.services.gemini_live_adapter import GeminiLiveLLMAdapter

from config.pipeline import GeminiLive as GeminiLiveSettings
from config.pipeline import GeminiVad

_MAX_OUTPUT_TOKENS = 4096
_VERSION = re.compile(r"gemini(?:-[a-z]+)*-(\d+)(?:\.(\d+))?")


def model_path(model: str) -> str:
    """Return the model as the protocol names it: with `models/` before it."""
    return model if model.startswith("models/") else f"models/{model}"


def version_of(model: str) -> tuple[int, int] | None:
    """Return (major, minor) of a Gemini model, or None for a name that tells no version."""
    found = _VERSION.search(model)
    return (int(found[1]), int(found[2] or 0)) if found else None


def _is_thinking(model: str) -> bool:
    """Whether it is one of the models that reason between their words; they must be told a level."""
    version = version_of(model)
    return "thinking" in model and version is not None and version >= (3, 8)


@dataclass(frozen=True)
class LiveSetup:
    """Everything a connection is set up with, except where in the conversation it goes on.

    Attributes:
        settings: The `gemini_live` stage.
        language: BCP 47 code.
        languages: What else may be spoken on the call; empty: nobody knows.
        instructions: What the model is told about who it is and what to do.
        tools: Function declarations in the protocol's own form.
        may_interrupt: Whether a caller who speaks makes the model break off.
    """

    settings: GeminiLiveSettings
    language: str
    instructions: str
    tools: Sequence[dict[str, Any]] = ()
    may_interrupt: bool = True
    languages: tuple[str, ...] = ()

    def with_model(self, model: str, tools: Sequence[dict[str, Any]]) -> "LiveSetup":
        """Return the same for another model, with the tools as that one wants them declared."""
        return replace(self, settings=self.settings.model_copy(update={"model": model}), tools=tools)

    def speaking(self, language: str) -> "LiveSetup":
        """Return the same for a call that goes on in another language."""
        told = f"The caller speaks {language} now: go on in that language."
        text = "\n\n".join(filter(None, [self.instructions, told]))
        return replace(self, language=language, instructions=text, languages=(self.language, *self.languages))

    def _expected(self) -> list[str] | None:
        """Hints for the transcription; None leaves the language to Google."""
        return list(dict.fromkeys((self.language, *self.languages))) if self.languages else None

    def config(self, *, handle: str | None, has_history: bool) -> LiveConnectConfig:
        """Return the setup of one connection.

        Args:
            handle: Resume from here; None begins anew.
            has_history: The first content of the connection is what was said before; the model waits for it.
        """
        settings = self.settings
        compression = None
        if settings.compression.enabled:
            compression = ContextWindowCompressionConfig(
                sliding_window=SlidingWindow(), trigger_tokens=settings.compression.trigger_tokens
            )
        return LiveConnectConfig(
            generation_config=GenerationConfig(
                temperature=settings.temperature,
                max_output_tokens=_MAX_OUTPUT_TOKENS,
                response_modalities=[Modality.AUDIO],
                speech_config=SpeechConfig(
                    voice_config=VoiceConfig(prebuilt_voice_config=PrebuiltVoiceConfig(voice_name=settings.voice)),
                    language_code=self.language,
                ),
            ),
            thinking_config=ThinkingConfig(thinking_level=ThinkingLevel.LOW) if _is_thinking(settings.model) else None,
            system_instruction=self.instructions or None,
            tools=list[Any](self.tools) or None,
            input_audio_transcription=AudioTranscriptionConfig(language_codes=self._expected()),
            output_audio_transcription=AudioTranscriptionConfig(),
            session_resumption=SessionResumptionConfig(handle=handle),
            context_window_compression=compression,
            realtime_input_config=_listening(settings.vad, may_interrupt=self.may_interrupt),
            history_config=HistoryConfig(initial_history_in_client_content=True) if has_history else None,
        )


def declare_tools(tools: Sequence[Any], model: str) -> list[dict[str, Any]]:
    """Return tools (Pipecat's direct functions or function schemas) as function declarations for `model`.

    A tool holds the conversation until its result is there (BLOCKING), unless it is marked to survive an interruption
    (`@tool_options(cancel_on_interruption=False)`). Models from 3.8 on must be told so, those of 3.0 to 3.7 know only
    the former, and those that reason between their words only the latter.
    Source: https://ai.google.dev/gemini-api/docs/live-api/tools
    """
    if not tools:
        return []
    declared: list[dict[str, Any]] = GeminiLiveLLMAdapter().to_provider_tools_format(
        ToolsSchema(standard_tools=list(tools))
    )
    version = version_of(model)
    if version is not None and (3, 0) <= version < (3, 8):
        return declared
    must_say_blocking = version is not None and version >= (3, 8) and not _is_thinking(model)
    goes_on = {name_of(tool) for tool in tools if not getattr(tool, "_pipecat_cancel_on_interruption", True)}
    for group in declared:
        for function in group.get("function_declarations", []):
            if function["name"] in goes_on or _is_thinking(model):
                function["behavior"] = "NON_BLOCKING"
            elif must_say_blocking:
                function["behavior"] = "BLOCKING"
    return declared


def _listening(vad: GeminiVad, *, may_interrupt: bool) -> RealtimeInputConfig | None:
    """How the model listens; None leaves all of it to Google."""
    detection = _detection(vad)
    if detection is None and may_interrupt:
        return None
    # Source: https://ai.google.dev/api/live#activityhandling
    handling = None if may_interrupt else ActivityHandling.NO_INTERRUPTION
    return RealtimeInputConfig(automatic_activity_detection=detection, activity_handling=handling)


def name_of(tool: Any) -> str:
    """Return what the model calls a tool."""
    return tool.name if isinstance(tool, FunctionSchema) else tool.__name__


def _detection(vad: GeminiVad) -> AutomaticActivityDetection | None:
    """Gemini's detection of speech as the agent wants it; None leaves all of it to Google."""
    if vad == GeminiVad():
        return None
    start, end = vad.start_sensitivity, vad.end_sensitivity
    return AutomaticActivityDetection(
        start_of_speech_sensitivity=StartSensitivity(f"START_SENSITIVITY_{start.upper()}") if start else None,
        end_of_speech_sensitivity=EndSensitivity(f"END_SENSITIVITY_{end.upper()}") if end else None,
        prefix_padding_ms=vad.prefix_padding_ms,
        silence_duration_ms=vad.silence_duration_ms,
    )
