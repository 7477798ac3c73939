"""A voice that comes slower than it is spoken: said in a few long pieces instead of many short ones."""

from pipecat.frames.frames import Frame, InterruptionFrame, TTSAudioRawFrame, TTSStartedFrame, TTSStoppedFrame
from pipecat.processors.frame_processor import FrameDirection, FrameProcessor

from pipelines.clock import CallClock
from pipelines.line_taps import spoken_text

_MAY_LAG_MS = 250.0
"""What a voice may be late in all, before it is held back to be said in longer pieces; less is jitter."""
_PIECE_MS = 500.0


class SteadyVoice(FrameProcessor):
    """Stands between model and output. A voice in time passes untouched and undelayed.

    One that has fallen behind real time is gathered into pieces of half a second, words and audio in their order; what
    was gathered goes on at the end of the utterance, however short it is, and is dropped at an interruption.
    """

    def __init__(self, clock: CallClock) -> None:
        """Take call time."""
        super().__init__(enable_direct_mode=True)
        self._clock = clock
        self._began_ms: float | None = None
        self._came_ms = 0.0
        self._held: list[tuple[Frame, FrameDirection]] = []
        self._held_ms = 0.0

    async def process_frame(self, frame: Frame, direction: FrameDirection) -> None:
        """Hold audio and words of a late voice for a moment; pass everything else on."""
        await super().process_frame(frame, direction)
        if isinstance(frame, InterruptionFrame):
            self._held.clear()
            self._begin()
        elif isinstance(frame, TTSStartedFrame | TTSStoppedFrame):
            await self._release()
            self._begin()
        elif isinstance(frame, TTSAudioRawFrame):
            if self._is_late(frame) or self._held:
                self._held.append((frame, direction))
                self._held_ms += _duration_ms(frame)
                if self._held_ms >= _PIECE_MS:
                    await self._release()
                    self._began_ms, self._came_ms = self._clock.now_ms, _PIECE_MS
                return
        elif self._held and spoken_text(frame) is not None:
            self._held.append((frame, direction))
            return
        await self.push_frame(frame, direction)

    def _begin(self) -> None:
        self._began_ms = None
        self._came_ms = self._held_ms = 0.0

    def _is_late(self, frame: TTSAudioRawFrame) -> bool:
        now_ms = self._clock.now_ms
        if self._began_ms is None:
            self._began_ms = now_ms
        lag_ms = now_ms - self._began_ms - self._came_ms
        self._came_ms += _duration_ms(frame)
        return lag_ms > _MAY_LAG_MS

    async def _release(self) -> None:
        held, self._held, self._held_ms = self._held, [], 0.0
        for frame, direction in held:
            await self.push_frame(frame, direction)


def _duration_ms(frame: TTSAudioRawFrame) -> float:
    return len(frame.audio) / 2 / frame.num_channels / frame.sample_rate * 1000
