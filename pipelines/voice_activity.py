"""Voice activity: when the caller begins and stops speaking, told to the scribe and to the pipeline."""

import asyncio
import time

from pipecat.audio.vad.vad_analyzer import VADParams
from pipecat.frames.frames import (
    CancelFrame,
    EndFrame,
    Frame,
    InputAudioRawFrame,
    SpeechControlParamsFrame,
    StartFrame,
    UserSpeakingFrame,
    VADParamsUpdateFrame,
    VADUserStartedSpeakingFrame,
    VADUserStoppedSpeakingFrame,
)
from pipecat.processors.frame_processor import FrameDirection, FrameProcessor, FrameProcessorSetup

from pipelines.line import heard_until_ms
from pipelines.scribe import Scribe
from pipelines.voice_ears import Ear
from pipelines.voice_model import shared_voice_model
from pipelines.voice_state import SpeechState, VoiceSettings

_IDLE_SECS = 1.0
"""Speech ends when no audio comes for so long: a muted microphone sends none."""
_SPEAKING_SECS = 0.2
"""While somebody speaks, others are told of it so often."""


class VoiceActivity(FrameProcessor):
    """Does what Pipecat's `VADProcessor` does, in the time of the audio and not of its arrival here.

    Audio comes as frames, or past the pipeline by `hear`; what is found out goes into the pipeline either way.

    Attributes:
        audio_reader: who reads the caller's audio next, when it comes as frames; None: whoever is next in the pipeline.
    """

    def __init__(self, settings: VoiceSettings, scribe: Scribe) -> None:
        """Take the stage's settings and whom to tell."""
        super().__init__(enable_direct_mode=True)
        self.audio_reader: FrameProcessor | None = None
        self._settings = settings
        self._scribe = scribe
        self._rate_hz = 0
        self._ear: Ear | None = None
        self._news: asyncio.Queue[type[Frame]] = asyncio.Queue()
        self._telling: asyncio.Task[None] | None = None
        self._idle_timer: asyncio.TimerHandle | None = None
        self._is_speaking = False
        self._heard_at = self._told_at = 0.0
        self._heard_ms = 0.0

    async def setup(self, setup: FrameProcessorSetup) -> None:
        """Learn the line's rate; begin to listen."""
        await super().setup(setup)
        self._rate_hz = setup.audio_in_sample_rate
        self._listen()

    async def cleanup(self) -> None:
        """Listen no more."""
        await self._close()
        await super().cleanup()

    def hear(self, pcm: bytes, until_ms: float) -> None:
        """Take audio (PCM16 mono) whose last sample was spoken at `until_ms` of call time. Returns at once."""
        if self._ear is not None:
            self._heard_at, self._heard_ms = time.monotonic(), until_ms
            self._ear.hear(pcm, until_ms)

    @property
    def is_voiced(self) -> bool:
        """Whether a voice was in what was judged last, and speech has begun."""
        return self._ear is not None and self._ear.judge.state is SpeechState.SPEAKING

    @property
    def start_secs(self) -> float:
        """Voice that begins speech."""
        return self._settings.start_secs

    async def process_frame(self, frame: Frame, direction: FrameDirection) -> None:
        """Pass everything on, then hear it."""
        await super().process_frame(frame, direction)
        await self.push_frame(frame, direction)
        if isinstance(frame, InputAudioRawFrame):
            self.hear(frame.audio, heard_until_ms(frame))
            if self._is_speaking and self._heard_at - self._told_at >= _SPEAKING_SECS:
                self._told_at = self._heard_at
                await self.broadcast_frame(UserSpeakingFrame)
        elif isinstance(frame, StartFrame):
            self._telling = self.create_task(self._tell(), name="voice activity")
            await self._tell_settings()
        elif isinstance(frame, VADParamsUpdateFrame):
            params = frame.params
            self._settings = VoiceSettings(params.start_secs, params.stop_secs, params.confidence, params.min_volume)
            self._begin_anew()
            await self._tell_settings()
        elif isinstance(frame, EndFrame | CancelFrame):
            await self._close()

    async def push_frame(self, frame: Frame, direction: FrameDirection = FrameDirection.DOWNSTREAM) -> None:
        """Hand audio to its reader, past those who would only pass it on, and everything else to the next in line."""
        if self.audio_reader is not None and isinstance(frame, InputAudioRawFrame):
            await self.audio_reader.queue_frame(frame, direction)
        else:
            await super().push_frame(frame, direction)

    def _listen(self) -> None:
        """Begin in silence."""
        if self._ear is not None:
            self._ear.close()
        self._ear = shared_voice_model().listen(self._settings, self._rate_hz, self._started, self._stopped)

    async def _close(self) -> None:
        ear, self._ear = self._ear, None
        if ear is not None:
            ear.close()
        if self._idle_timer is not None:
            self._idle_timer.cancel()
        telling, self._telling = self._telling, None
        if telling is not None:
            await self.cancel_task(telling)

    # ---- what the ear tells ----

    def _started(self, at_ms: float) -> None:
        self._is_speaking = True
        self._scribe.caller_started(max(0.0, at_ms - self._settings.start_secs * 1000))
        self._news.put_nowait(VADUserStartedSpeakingFrame)
        self._watch(_IDLE_SECS)

    def _stopped(self, at_ms: float) -> None:
        if not self._is_speaking:
            return
        self._is_speaking = False
        if self._idle_timer is not None:
            self._idle_timer.cancel()
        self._scribe.caller_stopped(max(0.0, at_ms - self._settings.stop_secs * 1000))
        self._news.put_nowait(VADUserStoppedSpeakingFrame)

    def _watch(self, secs: float) -> None:
        if self._idle_timer is not None:
            self._idle_timer.cancel()
        self._idle_timer = asyncio.get_running_loop().call_later(secs, self._look)

    def _look(self) -> None:
        left_secs = self._heard_at + _IDLE_SECS - time.monotonic()
        if left_secs > 0:
            self._watch(left_secs)
        elif self._ear is not None:
            self._begin_anew()

    def _begin_anew(self) -> None:
        """Begin in silence: whoever was speaking has stopped."""
        self._listen()
        self._stopped(self._heard_ms + self._settings.stop_secs * 1000)

    async def _tell(self) -> None:
        """Push what the ear told, which cannot wait, into the pipeline."""
        while True:
            kind = await self._news.get()
            if kind is VADUserStartedSpeakingFrame:
                await self.broadcast_frame(kind, start_secs=self._settings.start_secs)
            else:
                await self.broadcast_frame(kind, stop_secs=self._settings.stop_secs)

    async def _tell_settings(self) -> None:
        settings = self._settings
        params = VADParams(
            confidence=settings.confidence,
            start_secs=settings.start_secs,
            stop_secs=settings.stop_secs,
            min_volume=settings.min_volume,
        )
        await self.broadcast_frame(SpeechControlParamsFrame, vad_params=params)


def load_voice_model() -> None:
    """Load the model (60 ms, 13 MB); called once at start, so that no call pays for it on the event loop."""
    shared_voice_model()


__all__ = ["VoiceActivity", "VoiceSettings", "load_voice_model"]
