"""Voices behind the caller's: what is much softer than he is becomes silence, for the model and for the detector."""

from collections import deque
from collections.abc import Callable

from pipecat.frames.frames import Frame, InputAudioRawFrame
from pipecat.processors.frame_processor import FrameDirection, FrameProcessor

from pipelines.line import heard_until_ms, note_heard
from pipelines.phone_audio import power

_STEP_MS = 20
_VOICE_STEPS = 20
"""How loud he is is measured over 400 ms, in which a knock is short."""
_SOUND_STEPS = 5
"""And how loud a sound is over 100 ms."""
_UNDER = 10 ** (-12 / 10)
"""12 dB softer than he is."""
_LOUD = 10 ** (-28 / 10)
"""Of full scale: so loud a sound always counts, or one who has shouted would not be heard for a while."""
_LEAST = 10 ** (-45 / 10)
"""A softer sound says nothing about how loud he is."""
_FADED = 10 ** (-55 / 10)
_FORGET, _FORGET_SOON = 10 ** (-0.33 / 10 / 50), 10 ** (-1 / 10 / 50)
"""How loud he was is forgotten at 20 dB a minute; three times as fast while something soft is kept back: it may be he,
further away from his telephone."""
_HANG_STEPS = 15
"""The end of a word is softer than its middle: 300 ms are kept."""


class CallerLoudness:
    """Follows how loud the caller is, and silences what is much softer. One for each call; no I/O."""

    def __init__(self, rate_hz: int) -> None:
        """Take the rate of the line."""
        self._step_bytes = rate_hz * _STEP_MS // 1000 * 2
        self._powers: deque[float] = deque(maxlen=_VOICE_STEPS)
        self._voice = 0.0
        self._left_steps = 0
        self._rest = b""

    def pass_on(self, pcm: bytes) -> bytes:
        """Take PCM16 mono of any length; returns it, or as much silence. A piece with a voice in it is not cut."""
        steps, self._rest = self._rest + pcm, b""
        whole = len(steps) - len(steps) % self._step_bytes
        self._rest = steps[whole:]
        counts = self._left_steps > 0
        for start in range(0, whole, self._step_bytes):
            counts = self._hear(power(steps[start : start + self._step_bytes])) or counts
        return pcm if counts else bytes(len(pcm))

    def before(self, hear: Callable[[bytes, float], None]) -> Callable[[bytes, float], None]:
        """Return ears that hear what passes, in front of these: they take PCM16, and until when it lasts."""
        return lambda pcm, until_ms: hear(self.pass_on(pcm), until_ms)

    def _hear(self, step: float) -> bool:
        """Take 20 ms, as a part of full scale's power; whether it counts."""
        powers = self._powers
        powers.append(step)
        loud = sum(powers) / _VOICE_STEPS
        recent = list(powers)[-_SOUND_STEPS:]
        sound = sum(recent) / _SOUND_STEPS
        if loud > _LEAST and loud > self._voice:
            self._voice = loud
        if sound > min(self._voice * _UNDER, _LOUD):
            self._left_steps = _HANG_STEPS
        elif self._left_steps:
            self._left_steps -= 1
        is_kept_back = not self._left_steps and sound > _FADED
        self._voice *= _FORGET_SOON if is_kept_back else _FORGET
        return self._left_steps > 0


class BackgroundVoices(FrameProcessor):
    """Stands behind the input, where audio goes through the pipeline as frames."""

    def __init__(self, loudness: CallerLoudness) -> None:
        """Take who knows how loud the caller is."""
        super().__init__(enable_direct_mode=True)
        self.loudness = loudness

    async def process_frame(self, frame: Frame, direction: FrameDirection) -> None:
        """Silence what is too soft to be the caller; pass everything on."""
        await super().process_frame(frame, direction)
        if isinstance(frame, InputAudioRawFrame):
            heard = InputAudioRawFrame(
                audio=self.loudness.pass_on(frame.audio), sample_rate=frame.sample_rate, num_channels=frame.num_channels
            )
            note_heard(heard, heard_until_ms(frame))
            frame = heard
        await self.push_frame(frame, direction)
