"""One asking for consent: what was pressed, said and claimed since the question, and what that makes. No I/O.

All times are ms of call time and come in as arguments.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from enum import Enum, auto

_OVER_LAST_WORD_MS = 700.0
"""An answer may begin so long before the end of the question; a "Yes?" with which somebody takes up the phone may not
be one."""
_CLAIM_MS = 1000.0
"""So long after words that are clear a model may say that they mean something else."""
_UNCLEAR_MS = 2500.0
"""So long after words that are not clear it may say what they mean."""
_WORDS_MS = 2000.0
"""So long after it has said that he agrees, the words with which he did may come."""
_LONGEST_MS = 25_000.0
"""Somebody who speaks without an end has not answered."""


class Verdict(Enum):
    """What an asking has come to."""

    YES = auto()
    NO = auto()
    UNCLEAR = auto()
    SILENCE = auto()


@dataclass
class Asking:
    """Gathers the answer to one question.

    A yes needs a key, or the caller's voice since the question and words in it. A model's claim alone is none: it only
    decides what words mean that the lists do not know, and words that they know for the opposite make it doubtful.

    Attributes:
        judge: Whether words are a yes, a no, or neither.
        silence_ms: Quiet after the question that is no answer.
        has_model: Whether a model says what it has understood.
        by_key: Whether the answer was a key.
    """

    judge: Callable[[str], bool | None]
    silence_ms: float
    has_model: bool
    by_key: bool = False
    _heard_ms: float | None = None
    _key: bool | None = None
    _words: list[str] = field(default_factory=list[str])
    _words_ms: float = 0.0
    _claim: bool | None = None
    _has_claim: bool = False
    _claim_ms: float = 0.0

    def question_heard(self, at_ms: float) -> None:
        """The question was heard to its end."""
        self._heard_ms = at_ms

    def key(self, *, is_yes: bool) -> None:
        """A key that means something; it may come before the question has ended."""
        if self._key is None:
            self._key, self.by_key = is_yes, True

    def words(self, text: str, now_ms: float, voice_began_ms: float | None) -> None:
        """Words of the caller, whose voice last began at `voice_began_ms`."""
        if text.strip() and self._is_answering(voice_began_ms):
            self._words.append(text)
            self._words_ms = now_ms

    def claim(self, answer: bool | None, now_ms: float, voice_began_ms: float | None) -> None:
        """The model says what it has heard; None: nothing clear. It counts only once the caller has spoken."""
        if self._is_answering(voice_began_ms):
            self._claim, self._has_claim, self._claim_ms = answer, True, now_ms

    def verdict(self, now_ms: float, voice_began_ms: float | None, voice_quiet_ms: float | None) -> Verdict | None:
        """Return what it has come to by now, None while that is open.

        `voice_quiet_ms`: for how long the caller's voice has been quiet; None while he speaks.
        """
        if self._key is not None:
            return Verdict.YES if self._key else Verdict.NO
        if self._heard_ms is None:
            return None
        waited_ms = now_ms - self._heard_ms
        found = self._spoken(now_ms, is_speaking=voice_quiet_ms is None) if self._is_answering(voice_began_ms) else None
        if found is not None:
            return found
        if waited_ms > _LONGEST_MS:
            return Verdict.UNCLEAR if self._words else Verdict.SILENCE
        quiet_ms = waited_ms if voice_quiet_ms is None else min(waited_ms, voice_quiet_ms)
        is_silent = voice_quiet_ms is not None and not self._words and quiet_ms >= self.silence_ms
        return Verdict.SILENCE if is_silent else None

    def _is_answering(self, voice_began_ms: float | None) -> bool:
        return (
            self._heard_ms is not None
            and voice_began_ms is not None
            and voice_began_ms >= self._heard_ms - _OVER_LAST_WORD_MS
        )

    def _spoken(self, now_ms: float, *, is_speaking: bool) -> Verdict | None:
        words = self.judge("".join(self._words)) if self._words else None
        if self._has_claim:
            return self._judge_claim(words, now_ms)
        if not self._words or is_speaking:
            return None
        settled_ms = now_ms - self._words_ms
        if words is not None:
            is_settled = settled_ms >= _CLAIM_MS
            return (Verdict.YES if words else Verdict.NO) if is_settled else None
        return Verdict.UNCLEAR if settled_ms >= (_UNCLEAR_MS if self.has_model else _CLAIM_MS) else None

    def _judge_claim(self, words: bool | None, now_ms: float) -> Verdict | None:
        if self._claim is None:
            return Verdict.NO if words is False else Verdict.UNCLEAR
        if words is not None and words != self._claim:
            return Verdict.UNCLEAR
        if self._claim and not self._words:
            return Verdict.UNCLEAR if now_ms - self._claim_ms >= _WORDS_MS else None
        return Verdict.YES if self._claim else Verdict.NO
