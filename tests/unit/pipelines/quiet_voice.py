"""Whoever speaks without a model, on a line whose time is moved by hand."""

from datetime import UTC, datetime

from config.agent import AgentConfig
from pipelines.sentences import SentenceKind, Spoken
from tests.unit.pipelines.conftest import QuietCall
from transcripts.call import Call, Direction


class QuietVoice:
    """Says sentences of a second each, those whose kinds are in `has`. `said`: kind and words of each, in order."""

    def __init__(self, call: QuietCall, has: set[SentenceKind] | None = None) -> None:
        self.call = call
        self.has = set(SentenceKind) if has is None else has
        self.said: list[tuple[str | None, str | None]] = []
        self.played: list[Spoken] = []

    def find(self, kind: SentenceKind | None, text: str | None = None) -> Spoken | None:
        return Spoken(text or str(kind), bytes(16000), 8000) if kind in self.has else None

    async def announce(self, kind: SentenceKind | None, text: str | None = None) -> bool:
        spoken = self.find(kind, text)
        if spoken is not None:
            self.said.append((kind, text))
            self._sound(spoken)
        return spoken is not None

    async def say_out(self, kind: SentenceKind | None, text: str | None = None) -> bool:
        is_said = await self.announce(kind, text)
        await self.wait_heard()
        return is_said

    async def play_out(self, spoken: Spoken) -> None:
        self.played.append(spoken)
        self._sound(spoken)
        await self.wait_heard()

    async def wait_heard(self) -> None:
        """Time passes."""
        self.call.now_secs = max(self.call.now_secs, self.call.line.playout.end_ms / 1000)
        self.call.scribe.tick()

    def _sound(self, spoken: Spoken) -> None:
        if self.call.scribe.agent.is_open and not self.call.scribe.agent.is_complete:
            self.call.line.agent_finished()
            self.call.scribe.await_words()
        self.call.line.agent_text(spoken.text, is_announced=True)
        self.call.line.agent_audio(bytes(len(spoken.pcm) // 2 * 8000 // spoken.rate_hz * 2))
        self.call.line.agent_finished()


def agent(**fields: object) -> AgentConfig:
    return AgentConfig.model_validate({"name": "front-desk", "bot": "receptionist", **fields})


def call_of(**variables: str) -> Call:
    return Call("c1", "CA1", "front-desk", Direction.INBOUND, None, None, variables, datetime.now(UTC))
