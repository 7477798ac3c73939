"""What the caller said, and when: turns put together from voice activity and words. No I/O.

All times are ms of call time and come in as arguments.
"""

from dataclasses import dataclass, field
from typing import ClassVar

from transcripts.call import Speaker, Turn

_TEXT_SETTLE_MS = 700.0
"""A caller's turn is written when his words have been quiet for this long after the agent began to answer."""

_TEXT_LATE_MS = 10_000.0
"""Words that come later than this after the caller stopped are not his last utterance's."""

_TEXT_EARLY_MS = 300.0
"""A model may tell the last words a little before the detector of voice notices that they were the last."""

_UNHEARD_MS = 8000.0
"""What the caller said longer ago than this is not said again to a model that did not get it."""

_PREVIOUS_WORDS_MS = 1500.0
"""Words that come so soon after the caller began to speak again are those of what he said before."""


@dataclass
class _Utterance:
    start_ms: float
    stop_ms: float | None = None
    texts: list[str] = field(default_factory=list[str])
    last_text_ms: float = 0.0
    answered_ms: float | None = None

    def as_turn(self, now_ms: float) -> Turn:
        end_ms = max(self.start_ms, self.stop_ms if self.stop_ms is not None else now_ms)
        return Turn(Speaker.CALLER, " ".join(self.texts), round(self.start_ms), round(end_ms))

    def quiet_ms(self, now_ms: float) -> float:
        """How long ago the voice stopped; 0 while it goes on."""
        return 0.0 if self.stop_ms is None else now_ms - self.stop_ms


@dataclass
class CallerTurns:
    """Puts the caller's turns together: from voice activity when, from the model's transcription what.

    Short pauses split voice activity but not what the model heard, so pieces without an answer in between are one turn.
    """

    WORDS_WITHIN_MS: ClassVar[float] = 3000.0
    """How long words are waited for after the caller stopped; noise that the model did not take for speech has none."""

    is_speaking: bool = False
    _current: _Utterance | None = None
    _earlier: _Utterance | None = None
    """What was answered before its words had come, and was followed by more speech."""

    @property
    def has_words(self) -> bool:
        """Whether something is waiting for an answer that the model took for words."""
        return self._current is not None and bool(self._current.texts) and self._current.answered_ms is None

    @property
    def is_unanswered(self) -> bool:
        """Whether the caller has spoken, or speaks, and the agent has not begun to answer."""
        return self._current is not None and self._current.answered_ms is None

    @property
    def voiced_ms(self) -> float:
        """How long the voice of the latest utterance lasted; 0 while it goes on."""
        current = self._current
        return 0.0 if current is None or current.stop_ms is None else current.stop_ms - current.start_ms

    def unheard_since_ms(self, now_ms: float) -> float | None:
        """Return since when the caller has been speaking, or spoke, without the model having told all of his words.

        None when it has, or when that was too long ago to matter.
        """
        current = self._current
        if current is None or current.answered_ms is not None or current.quiet_ms(now_ms) > _UNHEARD_MS:
            return None
        if current.stop_ms is not None and current.texts and current.last_text_ms >= current.stop_ms - _TEXT_EARLY_MS:
            return None
        return current.start_ms

    def forget_words(self) -> None:
        """The words of an utterance that is not answered yet will be told again, from the beginning."""
        if self._current is not None and self._current.answered_ms is None:
            self._current.texts.clear()

    def unwritten(self, now_ms: float) -> Turn | None:
        """Return what the caller has said and what is not yet a written turn, as far as its words are known."""
        if self._current is None or not self._current.texts:
            return None
        return self._current.as_turn(now_ms)

    def start(self, at_ms: float) -> Turn | None:
        """Voice begins; returns an earlier turn that this one follows."""
        previous, current = None, self._current
        if current is not None and current.answered_ms is not None:
            if current.texts:
                previous = current.as_turn(at_ms)
            else:
                previous = self._earlier.as_turn(at_ms) if self._earlier and self._earlier.texts else None
                self._earlier = current
            current = None
        elif current is not None and not current.texts and current.quiet_ms(at_ms) > self.WORDS_WITHIN_MS:
            current = None
        self.is_speaking = True
        self._current = current or _Utterance(at_ms)
        self._current.stop_ms = None
        return previous

    def stop(self, at_ms: float) -> None:
        """Voice has ended at `at_ms`, which is noticed a little later."""
        self.is_speaking = False
        if self._current is not None:
            self._current.stop_ms = at_ms
            if self._current.answered_ms is not None and self._current.answered_ms < at_ms:
                self._current.answered_ms = None  # the caller spoke on over the beginning of an answer

    def add_text(self, text: str, now_ms: float) -> None:
        """Words of the caller, as the model understood them. They may come before or after the answer begins."""
        if not text.strip():
            return
        owner = self._owner_of_words(now_ms)
        owner.texts.append(text.strip())
        owner.last_text_ms = now_ms

    def answer(self, now_ms: float) -> None:
        """The agent begins to answer. The detector of voice may notice only later that the caller had stopped."""
        if self._current is not None and self._current.answered_ms is None:
            self._current.answered_ms = now_ms

    def is_before(self, at_ms: float, now_ms: float) -> bool:
        """Whether a turn that began before `at_ms` has yet to be written, or may still turn out to have words."""
        return any(
            utterance.start_ms < at_ms and (utterance.texts or utterance.quiet_ms(now_ms) <= self.WORDS_WITHIN_MS)
            for utterance in (self._earlier, self._current)
            if utterance is not None
        )

    def settle(self, now_ms: float, *, finished: bool = False) -> Turn | None:
        """Return a turn that is over and whose words have come, or nothing; forget noise that had none.

        When the call is `finished`, call it until it returns nothing.
        """
        for utterance in (self._earlier, self._current):
            if utterance is None:
                continue
            if utterance.texts:
                is_quiet = now_ms - utterance.last_text_ms >= _TEXT_SETTLE_MS and utterance.stop_ms is not None
                if finished or (is_quiet and utterance.answered_ms is not None):
                    self._forget(utterance)
                    return utterance.as_turn(now_ms)
            elif finished or utterance.quiet_ms(now_ms) > _TEXT_LATE_MS:
                self._forget(utterance)
        return None

    def let_go(self) -> list[Turn]:
        """Return what is over, as far as its words are known, and forget it; what is still being said stays."""
        over = [one for one in (self._earlier, self._current) if one is not None and one.stop_ms is not None]
        for utterance in over:
            self._forget(utterance)
        return [utterance.as_turn(utterance.last_text_ms) for utterance in over if utterance.texts]

    def _owner_of_words(self, now_ms: float) -> _Utterance:
        current = self._current
        if self._earlier is not None and (
            current is None
            or (not current.texts and self.is_speaking and now_ms - current.start_ms < _PREVIOUS_WORDS_MS)
        ):
            return self._earlier
        if current is None:
            # Words without voice activity: too soft for the detector, yet the model heard them.
            current = self._current = _Utterance(now_ms, now_ms)
        return current

    def _forget(self, utterance: _Utterance) -> None:
        if utterance is self._earlier:
            self._earlier = None
        else:
            self._current = None
