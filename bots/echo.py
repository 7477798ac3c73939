"""Echo: no model at all. Says back what it hears, a moment later, so that a line can be tried."""

from collections import deque

from pipecat.frames.frames import Frame, InputAudioRawFrame, SpeechOutputAudioRawFrame
from pipecat.processors.frame_processor import FrameDirection, FrameProcessor

from pipelines import Bot


class Echo(FrameProcessor):
    """Sends the caller's audio back `delay_secs` later. Named as a stage in config/agents/echo.yaml."""

    def __init__(self, delay_secs: float = 1.0) -> None:
        """Take the delay in seconds."""
        super().__init__()
        self._delay_secs = delay_secs
        self._held: deque[InputAudioRawFrame] = deque()
        self._held_secs = 0.0

    async def process_frame(self, frame: Frame, direction: FrameDirection) -> None:
        """Hold audio, give back what is old enough; pass everything else on."""
        await super().process_frame(frame, direction)
        if not isinstance(frame, InputAudioRawFrame):
            await self.push_frame(frame, direction)
            return
        self._held.append(frame)
        self._held_secs += len(frame.audio) / 2 / frame.sample_rate
        while self._held_secs > self._delay_secs:
            old = self._held.popleft()
            self._held_secs -= len(old.audio) / 2 / old.sample_rate
            await self.push_frame(SpeechOutputAudioRawFrame(old.audio, old.sample_rate, old.num_channels))


bot = Bot()
