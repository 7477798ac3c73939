"""Pipecat's own voice activity in the place of ours: an analyzer, an ONNX session and a thread for each call."""

import asyncio

from pipecat.audio.vad.silero import SileroVADAnalyzer
from pipecat.audio.vad.vad_analyzer import VADParams, VADState

from pipelines.voice_ears import TellMs
from pipelines.voice_state import VoiceSettings


class AnalyzerEar:
    """An ear as `pipelines.voice_model` makes them; what it hears goes through the analyzer piece by piece."""

    def __init__(self, settings: VoiceSettings, rate_hz: int, on_started: TellMs, on_stopped: TellMs) -> None:
        """Load a model, as a pipeline of Pipecat's does for each call: on the event loop."""
        self._analyzer = SileroVADAnalyzer(params=VADParams(**vars(settings)))
        self._analyzer.set_sample_rate(rate_hz)
        self._on = {VADState.SPEAKING: on_started, VADState.QUIET: on_stopped}
        self._waiting: asyncio.Queue[tuple[bytes, float]] = asyncio.Queue()
        self._hearing = asyncio.create_task(self._hear(), name="ear of Pipecat's")

    def hear(self, pcm: bytes, until_ms: float) -> None:
        """Take audio (PCM16 mono) whose last sample was spoken at `until_ms` of call time."""
        self._waiting.put_nowait((pcm, until_ms))

    def close(self) -> None:
        """Hear no more."""
        self._hearing.cancel()

    async def _hear(self) -> None:
        """What `VADController` does with each frame of audio."""
        state = VADState.QUIET
        try:
            while True:
                pcm, until_ms = await self._waiting.get()
                now = await self._analyzer.analyze_audio(pcm)
                if now in self._on and now is not state:
                    state = now
                    self._on[now](until_ms)
        finally:
            await self._analyzer.cleanup()


class PipecatEars:
    """Stands where the process's one voice model does."""

    def listen(
        self, settings: VoiceSettings, sample_rate_hz: int, on_started: TellMs, on_stopped: TellMs
    ) -> AnalyzerEar:
        """A new call's ear; see `pipelines.voice_model.VoiceModel.listen`."""
        return AnalyzerEar(settings, sample_rate_hz, on_started, on_stopped)
