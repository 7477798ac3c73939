"""What was said so far, as a model is told that does not know it, or not all of it."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from google.genai.types import Content, Part

from pipelines.scribe import Scribe
from transcripts.call import Speaker, Turn

_ROLES = {Speaker.CALLER: "user", Speaker.AGENT: "model"}


def _content(turn: Turn) -> Content:
    return Content(role=_ROLES[turn.speaker], parts=[Part(text=turn.text)])


@dataclass
class ToldTurns:
    """The conversation of one call.

    Attributes:
        scribe: who wrote down what was heard of it.
        known_until_ms: up to this call time the last handle that a model gave out stands for the conversation.
        said_last: the model's last words, whole: what it has sent will be heard.
    """

    scribe: Scribe
    known_until_ms: float = 0.0
    said_last: str = ""

    def all(self) -> Sequence[Content]:
        """Everything, for a model that knows nothing of it."""
        return [_content(turn) for turn in self._turns()]

    def since_handle(self, *, is_prompted: bool) -> Sequence[Content]:
        """What was said and answered since the handle was given out.

        `is_prompted`: a prompt tells the caller's last words, and how much of the answer was heard.
        """
        turns = [
            turn
            for turn in self._turns()
            if (turn.end_ms if turn.speaker is Speaker.CALLER else turn.start_ms) > self.known_until_ms
        ]
        answered = max((i + 1 for i, turn in enumerate(turns) if turn.speaker is Speaker.AGENT), default=0)
        if is_prompted:
            answered = max((i for i, turn in enumerate(turns) if turn.speaker is Speaker.CALLER), default=0)
        return [_content(turn) for turn in turns[:answered]]

    def heard_of_last(self) -> str:
        """What was heard of the model's last words when they were cut off; empty: nothing of them was."""
        turns = self.scribe.conversation()
        is_cut = bool(turns) and turns[-1].speaker is Speaker.AGENT and turns[-1].interrupted
        return turns[-1].text if is_cut else ""

    def _turns(self) -> list[Turn]:
        turns = self.scribe.conversation()
        said = self.said_last.strip()
        if said and turns and turns[-1].speaker is Speaker.AGENT and said.startswith(turns[-1].text):
            turns[-1] = replace(turns[-1], text=said)
        return turns
