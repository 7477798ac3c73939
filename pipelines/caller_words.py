"""The caller's words and keys on their way through the pipeline: told to the scribe, and keys to the model."""

from pipecat.frames.frames import (
    Frame,
    InputDTMFFrame,
    InputTextRawFrame,
    InterimTranscriptionFrame,
    TranscriptionFrame,
    VADUserStartedSpeakingFrame,
    VADUserStoppedSpeakingFrame,
)
from pipecat.processors.frame_processor import FrameDirection, FrameProcessor
from pipecat.utils.time import time_now_iso8601

from pipelines.scribe import Scribe

_OF_THE_CALLER = (
    InputDTMFFrame,
    InterimTranscriptionFrame,
    TranscriptionFrame,
    VADUserStartedSpeakingFrame,
    VADUserStoppedSpeakingFrame,
)


class CallerWords(FrameProcessor):
    """Hears transcriptions pass in either direction; turns a key into words the model can read.

    A speech-to-speech model sends the caller's words upstream, a recognizer sends them downstream: one of these stands
    on each side of the user aggregator, which consumes them.
    """

    def __init__(self, scribe: Scribe, *, keys_as_text_input: bool) -> None:
        """Take whom to tell, and whether the model takes text input (else a key becomes a transcription)."""
        super().__init__(enable_direct_mode=True)
        self._scribe = scribe
        self._keys_as_text_input = keys_as_text_input

    async def process_frame(self, frame: Frame, direction: FrameDirection) -> None:
        """Tell of words, translate keys, pass everything on."""
        await super().process_frame(frame, direction)
        taker = self._scribe.words_go_to
        if taker is not None and direction is FrameDirection.DOWNSTREAM and isinstance(frame, _OF_THE_CALLER):
            # Before the conversation: nobody answers, and nobody is interrupted.
            if isinstance(frame, TranscriptionFrame):
                taker(frame.text)
            return
        if isinstance(frame, TranscriptionFrame):
            self._scribe.caller_text(frame.text)
        elif isinstance(frame, InputDTMFFrame) and direction is FrameDirection.DOWNSTREAM:
            text = f"The caller pressed the key {frame.button.value}."
            if self._keys_as_text_input:
                frame = InputTextRawFrame(text=text)
            else:
                frame = TranscriptionFrame(text=text, user_id="caller", timestamp=time_now_iso8601())
        await self.push_frame(frame, direction)
