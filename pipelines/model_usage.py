"""What a model says that it has used, written down with its call as it is said: nothing waits for the call's end.

A message is one entry; nobody adds up here. Of a provider's words only numbers and the names of kinds are kept.
"""

from typing import Any

from google.genai.types import LiveServerMessage
from pipecat.frames.frames import MetricsFrame
from pipecat.metrics.metrics import LLMTokenUsage
from pipecat.processors.metrics.frame_processor_metrics import FrameProcessorMetrics
from pipecat.services.llm_service import LLMService

from pipelines.scribe import Scribe

EVENT = "model.usage"
CONVERSATION, CONSENT, CASCADE = "conversation", "consent", "cascade"


def note_usage(scribe: Scribe, message: LiveServerMessage, model: str | None, source: str = CONVERSATION) -> None:
    """Write down what a message of Gemini Live says was used; nothing, when it does not say."""
    usage = message.usage_metadata
    if usage is not None:
        told: dict[str, Any] = usage.model_dump(mode="json", exclude_none=True)
        scribe.event(EVENT, at_ms=None, **told | {"model": model or "", "source": source})


class CountedUsage(FrameProcessorMetrics):
    """What Pipecat's services for text models report, written down as well."""

    def __init__(self, scribe: Scribe) -> None:
        """Take the call's scribe."""
        super().__init__()
        self._scribe = scribe

    async def start_llm_usage_metrics(self, tokens: LLMTokenUsage) -> MetricsFrame:
        """Write it down, and report it as ever."""
        counts: dict[str, Any] = tokens.model_dump(mode="json", exclude_none=True)
        self._scribe.event(EVENT, at_ms=None, **counts | {"model": self._model_name() or "", "source": CASCADE})
        return await super().start_llm_usage_metrics(tokens)


def count_usage(service: LLMService[Any], scribe: Scribe) -> None:
    """Have what a text model's service reports written down."""
    counted = CountedUsage(scribe)
    # Services hand what they do not know to their base class, but not all of them do: it is put in its place.
    before = service._metrics  # pyright: ignore[reportPrivateUsage]
    counted.set_core_metrics_data(before._core_metrics_data)  # pyright: ignore[reportPrivateUsage]
    service._metrics = counted  # pyright: ignore[reportPrivateUsage]
