"""A call without a network: a line whose time is moved by hand, its scribe and its conductor."""

from collections.abc import Callable, Collection
from typing import Any

import pytest

from config.agent import Limits, Phrases
from pipelines.clock import CallClock
from pipelines.conductor import Conductor
from pipelines.line import CallLine
from pipelines.scribe import Scribe
from pipelines.sentences import SentenceKind
from telemetry.redaction import Kind
from transcripts.call import CallEvent, Turn


class MemoryLog:
    """Keeps what a call's log is told."""

    def __init__(self) -> None:
        self.turns: list[Turn] = []
        self.events: list[CallEvent] = []
        self.steps: list[dict[str, Any]] = []

    def event(self, kind: str, at_ms: int, /, **data: Any) -> None:
        self.events.append(CallEvent(kind, at_ms, data))

    def next_step(self, step: dict[str, Any]) -> None:
        self.steps.append(step)

    def turn(self, turn: Turn) -> None:
        self.turns.append(turn)

    def leave_out(self, kinds: Collection[Kind]) -> None:
        self.left_out = set(kinds)


class QuietCall:
    """Time passes in `wait`, a tenth of a second at a time, as it does for a real conductor."""

    def __init__(self, *, has_voice: bool = True, **limits: float) -> None:
        self.now_secs = 0.0
        self.log = MemoryLog()
        self.line = CallLine(CallClock(lambda: self.now_secs), caller_hz=8000, agent_hz=8000)
        self.scribe = Scribe(self.line, self.log, "front-desk", keeps_turns=True)  # pyright: ignore[reportArgumentType]
        self.line.listeners.append(self.scribe)
        self.asked: list[str] = []
        self.has_voice = has_voice
        self.announced: list[SentenceKind] = []
        self.has_sounds = False
        self.conductor = Conductor(Limits(**limits), Phrases(), self.scribe, say=self._say, announce=self._announce)
        self.conductor.may_judge_silence = True

    @property
    def now_ms(self) -> float:
        return self.scribe.now_ms

    @property
    def texts(self) -> list[str]:
        return [turn.text for turn in self.log.turns]

    def kinds(self, kind: str) -> list[CallEvent]:
        return [event for event in self.log.events if event.kind == kind]

    async def wait(self, secs: float) -> None:
        """Let time pass, until the call ends at the latest."""
        for _ in range(round(secs * 10)):
            if self.conductor.reason is not None:
                return
            self.now_secs += 0.1
            await self.conductor.tick()

    def begin(self, text: str = "Words.", secs: float = 1.0) -> None:
        """The agent begins to say something; all of its audio is sent at once."""
        self.line.agent_text(text)
        self.line.agent_audio(bytes(round(secs * 8000) * 2))

    async def speak(self, text: str = "Words.", secs: float = 1.0) -> None:
        """The agent says something to its end."""
        self.begin(text, secs)
        self.line.agent_finished()
        await self.wait(secs + 0.1)

    async def hear(self, text: str = "Words.", secs: float = 1.0) -> None:
        """The caller says something; the model understands it at once."""
        self.scribe.caller_started(self.now_ms)
        await self.wait(secs)
        self.scribe.caller_stopped(self.now_ms)
        self.scribe.caller_text(text)

    async def _say(self, sentence: str) -> bool:
        self.asked.append(sentence)
        return self.has_voice

    async def _announce(self, kind: SentenceKind) -> bool:
        """A sentence of a second, when there are sounds for sentences at all."""
        if not self.has_sounds:
            return False
        self.announced.append(kind)
        self.line.agent_text(kind.value, is_announced=True)
        self.line.agent_audio(bytes(16000))
        self.line.agent_finished()
        return True


@pytest.fixture
def make_call() -> Callable[..., QuietCall]:
    return QuietCall
