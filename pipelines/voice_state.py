"""Quiet or speaking: what a row of windows, each with voice or without, makes of a caller."""

from dataclasses import dataclass
from enum import Enum


@dataclass(frozen=True)
class VoiceSettings:
    """Seconds and thresholds of voice activity, as in the agent's `silero_vad` stage.

    Attributes:
        start_secs: voice without a pause that begins speech.
        stop_secs: pause that ends it.
        confidence: from 0 to 1, the model's least for a window to count as voice.
        min_volume: from 0 to 1, the least volume for it; see `pipelines/voice_loudness.py`.
    """

    start_secs: float
    stop_secs: float
    confidence: float
    min_volume: float


class SpeechState(Enum):
    """Where a caller is between silence and speech; the names are Pipecat's."""

    QUIET = "quiet"
    STARTING = "starting"
    SPEAKING = "speaking"
    STOPPING = "stopping"


class Change(Enum):
    """What a window changed for those who wait for the caller."""

    STARTED = "started"
    STOPPED = "stopped"


NEXT = {
    SpeechState.QUIET: {True: SpeechState.STARTING, False: SpeechState.QUIET},
    SpeechState.STARTING: {True: SpeechState.STARTING, False: SpeechState.QUIET},
    SpeechState.SPEAKING: {True: SpeechState.SPEAKING, False: SpeechState.STOPPING},
    SpeechState.STOPPING: {True: SpeechState.SPEAKING, False: SpeechState.STOPPING},
}
"""Where a window leads, by whether there is voice in it. STARTING and STOPPING end by being long enough, too."""


class SpeechJudge:
    """One caller's state, window by window; decides as Pipecat's analyzer does that gets one window at a time."""

    def __init__(self, settings: VoiceSettings, window_secs: float) -> None:
        """Begin in silence; durations are rounded to whole windows, and even a duration of 0 takes one."""
        self.state = SpeechState.QUIET
        self._start_windows = round(settings.start_secs / window_secs)
        self._stop_windows = round(settings.stop_secs / window_secs)
        self._count = 0

    def judge(self, has_voice: bool) -> Change | None:
        """Take the next window; what it changed, if anything."""
        state = NEXT[self.state][has_voice]
        self._count = self._count + 1 if state is self.state else 1
        self.state = state
        if state is SpeechState.STARTING and self._count >= self._start_windows:
            self.state = SpeechState.SPEAKING
            return Change.STARTED
        if state is SpeechState.STOPPING and self._count >= self._stop_windows:
            self.state = SpeechState.QUIET
            return Change.STOPPED
        return None
