"""What a model says that it has used, written down with its call as it is said: nothing waits for the call's end.

A message is one entry; nobody adds up here. Of a provider's words only numbers and the names of kinds are kept.
"""

from typing import Any

from google.genai.types import LiveServerMessage, UsageMetadata
from pipecat.frames.frames import MetricsFrame
from pipecat.metrics.metrics import LLMTokenUsage, STTUsage
from pipecat.processors.metrics.frame_processor_metrics import FrameProcessorMetrics
from pipecat.services.ai_service import AIService

from pipelines.scribe import Scribe

EVENT = "model.usage"
TOLD_ELSEWHERE = UsageMetadata()
CONVERSATION, CONSENT, CASCADE = "conversation", "consent", "cascade"


def note_usage(scribe: Scribe, message: LiveServerMessage, model: str | None, source: str = CONVERSATION) -> None:
    """Write down what a message of Gemini Live says was used; nothing, when it does not say."""
    usage = message.usage_metadata
    if usage is not None:
        told: dict[str, Any] = usage.model_dump(mode="json", exclude_none=True)
        scribe.event(EVENT, at_ms=None, **told | {"model": model or "", "source": source})


def with_usage(message: LiveServerMessage) -> LiveServerMessage:
    """Return a message whose end of a turn has a usage, `TOLD_ELSEWHERE` if need be: Pipecat warns of one without.

    The model may tell what it used in another message, which is nothing to be warned of.
    """
    content = message.server_content
    if content is None or not content.turn_complete or message.usage_metadata:
        return message
    return message.model_copy(update={"usage_metadata": TOLD_ELSEWHERE})


class CountedUsage(FrameProcessorMetrics):
    """What Pipecat's services report: tokens of text models, seconds of transcribers, characters of voices."""

    def __init__(self, scribe: Scribe) -> None:
        """Take the call's scribe."""
        super().__init__()
        self._scribe = scribe

    async def start_llm_usage_metrics(self, tokens: LLMTokenUsage) -> MetricsFrame:
        """Write it down, and report it as ever."""
        self._write(tokens.model_dump(mode="json", exclude_none=True))
        return await super().start_llm_usage_metrics(tokens)

    async def start_stt_usage_metrics(self, usage: STTUsage) -> MetricsFrame:
        """Write it down, and report it as ever."""
        self._write({"heard_ms": round(usage.audio_seconds * 1000)})
        return await super().start_stt_usage_metrics(usage)

    async def start_tts_usage_metrics(self, text: str) -> MetricsFrame:
        """Write down how long the text is, and report it as ever."""
        self._write({"characters": len(text)})
        return await super().start_tts_usage_metrics(text)

    def _write(self, counts: dict[str, Any]) -> None:
        self._scribe.event(EVENT, at_ms=None, **counts | {"model": self._model_name() or "", "source": CASCADE})


def count_usage(service: AIService, scribe: Scribe) -> None:
    """Have what a service reports written down."""
    counted = CountedUsage(scribe)
    # Services hand what they do not know to their base class, but not all of them do: it is put in its place.
    before = service._metrics  # pyright: ignore[reportPrivateUsage]
    counted.set_core_metrics_data(before._core_metrics_data)  # pyright: ignore[reportPrivateUsage]
    service._metrics = counted  # pyright: ignore[reportPrivateUsage]
