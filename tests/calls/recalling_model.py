"""A text model that tells what it knows of the conversation: what is another pipeline told when it takes over?"""

from pipecat.frames.frames import (
    Frame,
    LLMContextFrame,
    LLMFullResponseEndFrame,
    LLMFullResponseStartFrame,
    LLMTextFrame,
)
from pipecat.processors.frame_processor import FrameDirection
from pipecat.services.llm_service import LLMService
from pipecat.services.settings import LLMSettings


class RecallingModel(LLMService):
    """Answers "I know: ..." with everything that was said so far, first to last."""

    def __init__(self, **arguments: object) -> None:
        super().__init__(
            settings=LLMSettings(
                model="recall",
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

    async def process_frame(self, frame: Frame, direction: FrameDirection) -> None:
        await super().process_frame(frame, direction)
        if not isinstance(frame, LLMContextFrame):
            await self.push_frame(frame, direction)
            return
        messages = [message for message in frame.context.get_messages() if isinstance(message, dict)]
        said = [str(message["content"]) for message in messages if message.get("role") in ("user", "assistant")]
        await self.push_frame(LLMFullResponseStartFrame())
        for word in f"I know: {' | '.join(said)}".split():
            await self.push_frame(LLMTextFrame(f"{word} "))
        await self.push_frame(LLMFullResponseEndFrame())
