"""What the model still owes the caller, kept so that another connection can be asked for it. No I/O."""

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

_MOST_CHARACTERS = 4000
"""Of one tool's result in a prompt: it is told in words only when its call is lost."""


@dataclass(frozen=True, slots=True)
class KnownResult:
    """A tool's call and what it returned, in this turn."""

    name: str
    arguments: dict[str, Any]
    result: Any

    def in_words(self) -> str:
        """Say it to a model."""
        return f"The tool {self.name} with {_as_text(self.arguments)} has returned {_as_text(self.result)}."


@dataclass
class OwedAnswer:
    """Everything since the model's last whole answer.

    Attributes:
        asked: What we asked it to do of our own accord.
        words: What the caller said, as it was transcribed.
        results: What its tools have returned.
        spoken: How much of its answer the caller has heard, or will; None: that is for `heard` to tell.
        is_cut_off: Its answer broke off. Then the rest is owed, also when nobody knows yet what the caller had said.
        heard: Tells what was heard of an answer that was taken back from the line.
    """

    asked: str = ""
    words: list[str] = field(default_factory=list[str])
    results: list[KnownResult] = field(default_factory=list[KnownResult])
    spoken: str | None = ""
    is_cut_off: bool = False
    heard: Callable[[], str] = str

    @property
    def is_empty(self) -> bool:
        """Whether nothing is owed, as far as is known here."""
        return not (self.asked or self.words or self.results or self.is_cut_off)

    def clear(self) -> None:
        """The answer was whole."""
        self.asked = self.spoken = ""
        self.is_cut_off = False
        self.words.clear()
        self.results.clear()

    def cut_off(self, spoken: str | None) -> None:
        """The answer broke off after these words, as far as they are known; None: after what was heard of it."""
        self.spoken, self.is_cut_off = spoken, True

    def find(self, name: str, arguments: dict[str, Any]) -> KnownResult | None:
        """Return what the same call returned before, in this turn."""
        return next((known for known in self.results if known.name == name and known.arguments == arguments), None)

    def prompt(self) -> str:
        """Return what to tell a model that is to give the answer now; empty when nothing is owed."""
        if self.is_empty:
            return ""
        if self.asked and not (self.words or self.results):
            return self.asked
        parts = ["The connection was interrupted."]
        if self.words:
            parts.append(f'The caller had said: "{" ".join(self.words)}". Answer that now.')
        parts += [known.in_words() for known in self.results]
        if self.results:
            parts.append("Do not call it again; tell the caller.")
        spoken = (self.heard() if self.spoken is None else self.spoken).strip()
        if spoken:
            parts.append(f"This much of the answer was heard already: {spoken} -- go on from there.")
        elif self.is_cut_off:
            parts.append("Your answer was cut off. Give it again.")
        return " ".join(parts)


WAITING_PROMPT = "The caller has spoken and waits for an answer. Answer now, or ask to hear it again."
"""For a model that fell silent, when nobody knows what it was that the caller said."""


def _as_text(value: Any) -> str:
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)
    return text if len(text) <= _MOST_CHARACTERS else f"{text[:_MOST_CHARACTERS]} ..."
