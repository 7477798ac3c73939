"""Voice activity: when the caller begins and stops speaking, by Silero's model, loaded once for the whole process."""

import copy
import functools
from dataclasses import dataclass

from config.settings import lend_environment

# onnxruntime (1.32 at least) tells Microsoft about its process, and reads this when it is loaded: by the next line.
lend_environment({"ORT_DISABLE_TELEMETRY": "1"})

# ruff: noqa: E402
from pipecat.audio.vad.silero import SileroOnnxModel, SileroVADAnalyzer
from pipecat.audio.vad.vad_analyzer import VADParams, VADState
from pipecat.frames.frames import (
    Frame,
    InputAudioRawFrame,
    VADUserStartedSpeakingFrame,
    VADUserStoppedSpeakingFrame,
)
from pipecat.processors.audio.vad_processor import VADProcessor
from pipecat.processors.frame_processor import FrameDirection, FrameProcessor

from pipelines.line import heard_until_ms
from pipelines.scribe import Scribe


class _InlineAnalyzer(SileroVADAnalyzer):
    """Pipecat's analyzer without its thread: a window takes a quarter of a millisecond, the way there as long again."""

    async def analyze_audio(self, buffer: bytes) -> VADState:
        return self._run_analyzer(buffer)


@functools.cache
def _loaded() -> SileroVADAnalyzer:
    return _InlineAnalyzer()


def load_voice_model() -> None:
    """Load the model (60 ms, 13 MB); called once at start, so that no call pays for it on the event loop."""
    _loaded()


def make_analyzer(params: VADParams) -> SileroVADAnalyzer:
    """An analyzer with its own state over the process's one ONNX session (sessions are safe to share, states not)."""
    shared = _loaded()
    analyzer = copy.copy(shared)
    # VADAnalyzer.__init__ only sets up plain state and an executor, which starts no thread: run it anew for this call.
    super(SileroVADAnalyzer, analyzer).__init__(params=params)
    model = copy.copy(shared._model)  # pyright: ignore[reportPrivateUsage]
    SileroOnnxModel.reset_states(model)
    analyzer._model = model  # pyright: ignore[reportPrivateUsage]
    return analyzer


@dataclass(frozen=True)
class VoiceSettings:
    """Seconds and thresholds of voice activity, as in the agent's `silero_vad` stage."""

    start_secs: float
    stop_secs: float
    confidence: float
    min_volume: float


class VoiceActivity(VADProcessor):
    """Pipecat's VAD processor that also tells the scribe, in the time of the audio and not of its arrival here."""

    def __init__(self, settings: VoiceSettings, scribe: Scribe) -> None:
        """Take the stage's settings and whom to tell."""
        params = VADParams(
            confidence=settings.confidence,
            start_secs=settings.start_secs,
            stop_secs=settings.stop_secs,
            min_volume=settings.min_volume,
        )
        super().__init__(vad_analyzer=make_analyzer(params), enable_direct_mode=True)
        self.audio_reader: FrameProcessor | None = None
        """Who reads the caller's audio next; None: whoever comes next in the pipeline."""
        self._settings = settings
        self._scribe = scribe
        self._heard_ms = 0.0
        self._is_speaking = False

    async def process_frame(self, frame: Frame, direction: FrameDirection) -> None:
        """Note how far the caller was heard, then let the base class judge it."""
        if isinstance(frame, InputAudioRawFrame):
            self._heard_ms = heard_until_ms(frame)
        await super().process_frame(frame, direction)

    async def push_frame(self, frame: Frame, direction: FrameDirection = FrameDirection.DOWNSTREAM) -> None:
        """Hand audio to its reader, past those who would only pass it on, and everything else to the next in line."""
        if self.audio_reader is not None and isinstance(frame, InputAudioRawFrame):
            await self.audio_reader.queue_frame(frame, direction)
        else:
            await super().push_frame(frame, direction)

    async def broadcast_frame(self, frame_cls: type[Frame], **kwargs: object) -> None:
        """Tell the scribe of starts and stops on their way into the pipeline."""
        if frame_cls is VADUserStartedSpeakingFrame:
            self._is_speaking = True
            self._scribe.caller_started(max(0.0, self._heard_ms - self._settings.start_secs * 1000))
        elif frame_cls is VADUserStoppedSpeakingFrame and self._is_speaking:
            self._is_speaking = False
            self._scribe.caller_stopped(max(0.0, self._heard_ms - self._settings.stop_secs * 1000))
        await super().broadcast_frame(frame_cls, **kwargs)


__all__ = ["VoiceActivity", "VoiceSettings", "load_voice_model", "make_analyzer"]
