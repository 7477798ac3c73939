"""Three tiny but real Pipecat services, to prove that a cascade is a different list and not different code."""

from collections.abc import AsyncGenerator

import numpy as np
from pipecat.frames.frames import (
    Frame,
    LLMContextFrame,
    LLMFullResponseEndFrame,
    LLMFullResponseStartFrame,
    LLMTextFrame,
    TranscriptionFrame,
    TTSAudioRawFrame,
)
from pipecat.processors.frame_processor import FrameDirection
from pipecat.services.llm_service import FunctionCallFromLLM, LLMService
from pipecat.services.settings import LLMSettings, STTSettings, TTSSettings
from pipecat.services.stt_service import SegmentedSTTService
from pipecat.services.tts_service import TTSService
from pipecat.utils.time import time_now_iso8601


class LengthRecognizer(SegmentedSTTService):
    """Hears how long somebody spoke: "[speech 2.1 s]"."""

    def __init__(self, **arguments: object) -> None:
        super().__init__(settings=STTSettings(model="length", language=None), **arguments)

    def can_generate_metrics(self) -> bool:
        return True

    async def run_stt(self, audio: bytes) -> AsyncGenerator[Frame, None]:
        secs = len(audio) / 2 / self.sample_rate
        yield TranscriptionFrame(text=f"[speech {secs:.0f} s]", user_id="caller", timestamp=time_now_iso8601())


class ParrotModel(LLMService):
    """Asks for the opening hours once, then says what it was told and what it knows."""

    def __init__(self, *, opening: str, **arguments: object) -> None:
        super().__init__(
            settings=LLMSettings(
                model="parrot",
                system_instruction=None,
                temperature=None,
                max_tokens=None,
                top_p=None,
                top_k=None,
                frequency_penalty=None,
                presence_penalty=None,
                seed=None,
                filter_incomplete_user_turns=False,
                user_turn_completion_config=None,
            ),
            **arguments,
        )
        self._opening = opening
        self._asked = False

    async def process_frame(self, frame: Frame, direction: FrameDirection) -> None:
        await super().process_frame(frame, direction)
        if not isinstance(frame, LLMContextFrame):
            await self.push_frame(frame, direction)
            return
        messages = [message for message in frame.context.get_messages() if isinstance(message, dict)]
        if not self._asked:
            self._asked = True
            call = FunctionCallFromLLM("opening_hours", "call-1", {"day": "monday"}, frame.context)
            await self.run_function_calls([call])
            return
        last = [m["content"] for m in messages if m.get("role") == "user"][-1]
        tool = [m["content"] for m in messages if m.get("role") == "tool"][-1]
        await self.push_frame(LLMFullResponseStartFrame())
        for word in f"{self._opening} you said {last} and I know {tool}.".split():
            await self.push_frame(LLMTextFrame(f"{word} "))
        await self.push_frame(LLMFullResponseEndFrame())


class ToneVoice(TTSService):
    """Speaks every word as 60 ms of tone."""

    def __init__(self, *, hz: int, **arguments: object) -> None:
        super().__init__(settings=TTSSettings(model="tone", voice="tone", language=None), **arguments)
        self._hz = hz

    def can_generate_metrics(self) -> bool:
        return True

    async def run_tts(self, text: str, context_id: str) -> AsyncGenerator[Frame, None]:
        await self.start_tts_usage_metrics(text)
        samples = np.arange(int(self.sample_rate * 0.06 * len(text.split()))) / self.sample_rate
        audio = (8000 * np.sin(2 * np.pi * self._hz * samples)).astype("<i2").tobytes()
        yield TTSAudioRawFrame(audio, self.sample_rate, 1, context_id=context_id)
