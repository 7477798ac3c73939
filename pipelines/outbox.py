"""What is on its way to the model: in order, kept while there is no connection, each thing sent once. No I/O."""

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field

from google.genai.types import Content, FunctionResponse

_RECENT_MS = 20_000.0
"""Audio of the caller that is kept after it was sent; a sentence that went down with its connection is said again."""

_WAITING_MS = 30_000.0
"""Audio that waits for a connection; what is older is let go: nobody answers a question of half a minute ago."""


@dataclass(frozen=True, slots=True)
class Audio:
    """Voice of the caller: PCM16 mono at `hz`, whose last sample was spoken at `until_ms` of call time."""

    pcm: bytes
    hz: int
    until_ms: float

    @property
    def duration_ms(self) -> float:
        """How long it sounds."""
        return len(self.pcm) / 2 / self.hz * 1000


@dataclass(frozen=True, slots=True)
class Text:
    """Words for the model, in step with the audio."""

    text: str


@dataclass(frozen=True, slots=True)
class Contents:
    """Turns of the conversation, as text."""

    turns: Sequence[Content]
    is_complete: bool


@dataclass(frozen=True, slots=True)
class ToolResult:
    """The answer of a tool to one call of the model."""

    response: FunctionResponse


Item = Audio | Text | Contents | ToolResult


@dataclass
class Outbox:
    """Takes items at one end; whoever has a connection takes them out at the other, and only once they were sent.

    Attributes:
        dropped_ms: Audio that waited too long and was let go.
    """

    dropped_ms: float = 0.0
    _waiting: deque[Item] = field(default_factory=deque[Item])
    _waiting_ms: float = 0.0
    _recent: deque[Audio] = field(default_factory=deque[Audio])

    def __len__(self) -> int:
        return len(self._waiting)

    def add(self, item: Item) -> None:
        """Put an item behind all others."""
        self._waiting.append(item)
        if isinstance(item, Audio):
            self._waiting_ms += item.duration_ms
            while self._waiting_ms > _WAITING_MS:
                self._drop_oldest_audio()

    def first(self) -> Item | None:
        """Return the next item to send and leave it where it is."""
        return self._waiting[0] if self._waiting else None

    def sent(self, item: Item) -> None:
        """Take out the item that `first` returned: it is on the wire. It may have been let go while that took long."""
        is_there = bool(self._waiting) and self._waiting[0] is item
        if is_there:
            self._waiting.popleft()
        if isinstance(item, Audio):
            if is_there:
                self._waiting_ms -= item.duration_ms
            else:
                self.dropped_ms -= item.duration_ms
            self.passed(item)

    def passed(self, audio: Audio) -> None:
        """Remember audio that went on its way without waiting here, as if it had."""
        self._recent.append(audio)
        while self._recent[0].until_ms < audio.until_ms - _RECENT_MS:
            self._recent.popleft()

    def say_again(self, from_ms: float) -> None:
        """Put audio that was sent already, and spoken after `from_ms`, before everything that waits."""
        again: list[Audio] = []
        while self._recent and self._recent[-1].until_ms > from_ms:
            again.append(self._recent.pop())
        for audio in again:  # the latest first, so that the earliest ends up at the head
            self._waiting.appendleft(audio)
            self._waiting_ms += audio.duration_ms

    def put_first(self, items: Sequence[Item]) -> None:
        """Put items (no audio) before everything that waits, in their order."""
        self._waiting.extendleft(reversed(items))

    def asks(self, text: str) -> bool:
        """Whether something that waits asks the model for exactly this."""
        return any(_text_of(item) == text for item in self._waiting)

    def drop_tool_results(self) -> None:
        """Let go of the results that wait: the connection to come does not know the calls they answer."""
        self._waiting = deque(item for item in self._waiting if not isinstance(item, ToolResult))

    def _drop_oldest_audio(self) -> None:
        for index, item in enumerate(self._waiting):
            if isinstance(item, Audio):
                del self._waiting[index]
                self._waiting_ms -= item.duration_ms
                self.dropped_ms += item.duration_ms
                return


def _text_of(item: Item) -> str | None:
    match item:
        case Text():
            return item.text
        case Contents() if item.turns and (parts := item.turns[-1].parts):
            return parts[-1].text
        case _:
            return None
