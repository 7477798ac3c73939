"""Who said what, and when: caller and agent turns put together from voice activity, words and play-out. No I/O.

All times are ms of call time and come in as arguments.
"""

from dataclasses import dataclass, field

from transcripts.call import Speaker, Turn

_TEXT_SETTLE_MS = 700.0
"""A caller's turn is written when his words have been quiet for this long after the agent began to answer."""

_TEXT_WAIT_MS = 3000.0
"""How long words are waited for after the caller stopped; noise that the model did not take for speech has none."""


@dataclass
class _Piece:
    text: str
    at_ms: float | None = None


@dataclass
class AgentTurns:
    """Puts the agent's turns together: words as they were sent, kept only as far as they were heard."""

    _pieces: list[_Piece] = field(default_factory=list[_Piece])
    _start_ms: float | None = None
    _end_ms: float = 0.0
    _is_complete: bool = False
    _error: str | None = None

    @property
    def is_open(self) -> bool:
        """Whether an utterance is being sent or played."""
        return self._start_ms is not None or bool(self._pieces)

    @property
    def is_unheard(self) -> bool:
        """Whether no audio of this utterance was sent yet."""
        return self._start_ms is None

    @property
    def is_complete(self) -> bool:
        """Whether all of the utterance was sent."""
        return self._is_complete

    def note_error(self, error: str) -> None:
        """Attach what went wrong (a tool that failed) to the turn that speaks of it."""
        self._error = error

    def add_text(self, text: str) -> None:
        """Words whose audio follows."""
        self._pieces.append(_Piece(text))

    def add_audio(self, start_ms: float, duration_ms: float) -> None:
        """Audio that will be heard from `start_ms` on."""
        if self._start_ms is None:
            self._start_ms = start_ms
        for piece in reversed(self._pieces):
            if piece.at_ms is not None:
                break
            piece.at_ms = start_ms
        self._end_ms = start_ms + duration_ms

    def complete(self) -> None:
        """The model has finished this utterance; it may still be playing."""
        self._is_complete = self.is_open

    def settle(self, now_ms: float, *, finished: bool = False) -> Turn | None:
        """Return the turn once it is complete and played to its end (or at once, when the call is `finished`)."""
        if not self.is_open or not (finished or (self._is_complete and now_ms >= self._end_ms)):
            return None
        if finished and now_ms < self._end_ms:
            return self.cut(now_ms)
        return self._close(self._end_ms, "".join(piece.text for piece in self._pieces), interrupted=False)

    def cut(self, at_ms: float) -> Turn | None:
        """The caller interrupted at `at_ms`: returns the turn with the words heard until then."""
        if not self.is_open:
            return None
        if self._start_ms is None or at_ms <= self._start_ms:
            self._reset()
            return None
        if self._is_complete and at_ms >= self._end_ms:
            return self._close(self._end_ms, "".join(piece.text for piece in self._pieces), interrupted=False)
        return self._close(min(at_ms, self._end_ms), self._heard_text(at_ms), interrupted=True)

    def _heard_text(self, until_ms: float) -> str:
        text = ""
        for index, piece in enumerate(self._pieces):
            if piece.at_ms is None or piece.at_ms >= until_ms:
                break
            follower = self._pieces[index + 1].at_ms if index + 1 < len(self._pieces) else None
            ends_ms = follower if follower is not None else self._end_ms
            if until_ms >= ends_ms or ends_ms <= piece.at_ms:
                text += piece.text
                continue
            words = piece.text.split(" ")
            heard = round((until_ms - piece.at_ms) / (ends_ms - piece.at_ms) * len(words))
            text += " ".join(words[:heard])
            break
        return text

    def _close(self, end_ms: float, text: str, *, interrupted: bool) -> Turn | None:
        start_ms, error = self._start_ms, self._error
        self._reset()
        if start_ms is None or not text.strip():
            return None
        return Turn(Speaker.AGENT, text.strip(), round(start_ms), round(end_ms), interrupted=interrupted, error=error)

    def _reset(self) -> None:
        self._pieces = []
        self._start_ms = None
        self._is_complete = False
        self._error = None


@dataclass
class CallerTurns:
    """Puts the caller's turns together: from voice activity when, from the model's transcription what.

    Short pauses split voice activity but not what the model heard, so pieces without an answer in between are one turn.
    """

    is_speaking: bool = False
    stopped_ms: float | None = None
    _start_ms: float | None = None
    _texts: list[str] = field(default_factory=list[str])
    _last_text_ms: float = 0.0
    _answered_ms: float | None = None

    def start(self, at_ms: float) -> Turn | None:
        """Voice begins; returns an earlier turn that this one follows."""
        previous = None
        if self._answered_ms is not None and self._start_ms is not None and self._texts:
            previous = self._close()
        self.is_speaking = True
        if self._start_ms is None:
            self._start_ms = at_ms
        self._answered_ms = None
        return previous

    def stop(self, at_ms: float) -> None:
        """Voice ends."""
        self.is_speaking = False
        self.stopped_ms = at_ms

    def add_text(self, text: str, now_ms: float) -> None:
        """Words of the caller, as the model understood them. They may come before or after the answer begins."""
        if self._start_ms is None:
            # Words without voice activity: too soft for the detector, yet the model heard them.
            self._start_ms = self.stopped_ms = now_ms
        self._texts.append(text.strip())
        self._last_text_ms = now_ms

    def answer(self, now_ms: float) -> None:
        """The agent begins to answer."""
        if self._start_ms is not None and self._answered_ms is None and not self.is_speaking:
            self._answered_ms = now_ms

    def settle(self, now_ms: float, *, finished: bool = False) -> Turn | None:
        """Return the turn once it is over and its words have come, or nothing; forget noise that had none."""
        if self._start_ms is None or (self.is_speaking and not finished):
            return None
        if self._texts:
            quiet = now_ms - self._last_text_ms >= _TEXT_SETTLE_MS
            if finished or (quiet and self._answered_ms is not None):
                return self._close()
        elif finished or (self.stopped_ms is not None and now_ms - self.stopped_ms > _TEXT_WAIT_MS):
            self._reset()
        return None

    def _close(self) -> Turn:
        start_ms = self._start_ms or 0.0
        end_ms = max(start_ms, self.stopped_ms if self.stopped_ms is not None else self._last_text_ms)
        turn = Turn(Speaker.CALLER, " ".join(filter(None, self._texts)), round(start_ms), round(end_ms))
        self._reset()
        return turn

    def _reset(self) -> None:
        self._start_ms = None
        self._texts = []
        self._answered_ms = None
