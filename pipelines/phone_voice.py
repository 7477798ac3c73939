"""Between model and phone: speech at 24 kHz becomes speech at the line's rate, in step and with its tail."""

from pipecat.frames.frames import Frame, InterruptionFrame, TTSAudioRawFrame, TTSStoppedFrame
from pipecat.processors.frame_processor import FrameDirection, FrameProcessor

from pipelines.phone_audio import Decimator


class PhoneVoice(FrameProcessor):
    """Takes `TTSAudioRawFrame`s down to `line_hz` where the ratio is whole; others pass and are resampled later on."""

    def __init__(self, line_hz: int) -> None:
        """Take the rate of the line in Hz."""
        super().__init__(enable_direct_mode=True)
        self._line_hz = line_hz
        self._decimator: Decimator | None = None
        self._has_tail = False

    async def process_frame(self, frame: Frame, direction: FrameDirection) -> None:
        """Convert speech, flush at its end, forget at an interruption; pass everything on."""
        await super().process_frame(frame, direction)
        if isinstance(frame, TTSAudioRawFrame):
            frame = self._convert(frame)
        elif isinstance(frame, InterruptionFrame):
            if self._decimator:
                self._decimator.reset()
            self._has_tail = False
        elif isinstance(frame, TTSStoppedFrame) and self._decimator and self._has_tail:
            # Without speech before it there is nothing to flush, and silence would count as an utterance.
            self._has_tail = False
            tail = self._decimator.flush()
            await self.push_frame(TTSAudioRawFrame(audio=tail, sample_rate=self._line_hz, num_channels=1))
        await self.push_frame(frame, direction)

    def _convert(self, frame: TTSAudioRawFrame) -> TTSAudioRawFrame:
        factor, rest = divmod(frame.sample_rate, self._line_hz)
        if factor < 2 or rest or frame.num_channels != 1:
            return frame
        if self._decimator is None or self._decimator.factor != factor:
            self._decimator = Decimator(factor, taps=16 * factor)
        self._has_tail = True
        audio = self._decimator.process(frame.audio)
        return TTSAudioRawFrame(audio=audio, sample_rate=self._line_hz, num_channels=1)
