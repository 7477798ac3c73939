"""What the agent said, and when: turns put together from words, audio and play-out. No I/O.

All times are ms of call time and come in as arguments.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field

from transcripts.call import Speaker, Turn

_AUDIO_WAIT_MS = 500.0
"""Words behind a complete utterance begin the next one if audio follows them within this time; else they belong to it.
Words without any utterance are let go a little later."""

_USUAL_MS, _FASTEST_MS = 60.0, 30.0
"""How long a letter of speech takes, and cannot take less than: 16 and 33 letters a second. Only for words whose audio
was not sent with them, to judge how many were heard by an interruption."""


@dataclass
class _Piece:
    text: str
    told_ms: float
    at_ms: float | None = None


@dataclass
class AgentTurns:
    """Puts the agent's turns together: words as they were sent, kept only as far as they were heard."""

    _pieces: list[_Piece] = field(default_factory=list[_Piece])
    _late: list[_Piece] = field(default_factory=list[_Piece])
    _start_ms: float | None = None
    _end_ms: float = 0.0
    _is_complete: bool = False
    _error: str | None = None
    _next_error: str | None = None

    @property
    def is_open(self) -> bool:
        """Whether an utterance is being sent or played, or its words have come and its audio has not."""
        return self._start_ms is not None or bool(self._pieces)

    @property
    def is_unheard(self) -> bool:
        """Whether no audio of this utterance was sent yet."""
        return self._start_ms is None

    @property
    def is_complete(self) -> bool:
        """Whether all of the utterance was sent."""
        return self._is_complete

    def unwritten(self, now_ms: float) -> Turn | None:
        """Return what has been heard of an utterance that is not yet a written turn."""
        text = "" if self._start_ms is None else self._heard_text(now_ms)
        if self._start_ms is None or not text.strip():
            return None
        return Turn(Speaker.AGENT, text.strip(), round(self._start_ms), round(max(self._start_ms, now_ms)))

    def note_error(self, error: str) -> None:
        """Attach what went wrong (a tool that failed) to the turn that speaks of it: the next to begin."""
        self._next_error = error

    def add_text(self, text: str, now_ms: float) -> None:
        """Words, told a little before, with or after their audio."""
        (self._late if self._is_complete else self._pieces).append(_Piece(text, now_ms))

    def add_audio(self, start_ms: float, duration_ms: float) -> None:
        """Audio that will be heard from `start_ms` on. A complete utterance must have been taken by `finish`."""
        if self._start_ms is None:
            self._start_ms = start_ms
            self._error, self._next_error = self._next_error or self._error, None
        for piece in reversed(self._pieces):
            if piece.at_ms is not None:
                break
            piece.at_ms = start_ms
        self._end_ms = start_ms + duration_ms

    def complete(self) -> None:
        """The model has finished this utterance; it may still be playing."""
        self._is_complete = self._start_ms is not None

    def finish(self) -> Turn | None:
        """Another utterance begins: return the complete one. Words told since it was complete are the new one's."""
        return self._close(self._end_ms, self._text(), interrupted=False)

    def settle(self, now_ms: float, *, finished: bool = False) -> Turn | None:
        """Return the turn once it is complete and played to its end (or at once, when the call is `finished`)."""
        if self._start_ms is None:
            if self._pieces and now_ms - self._pieces[-1].told_ms > 2 * _AUDIO_WAIT_MS:
                self._pieces = []  # words that were never spoken, or were told after all was over
            return None
        if finished and (now_ms < self._end_ms or not self._is_complete):
            return self.cut(now_ms)
        if not self._is_complete or now_ms < self._end_ms:
            return None
        if self._late and not finished and now_ms - self._late[-1].told_ms < _AUDIO_WAIT_MS:
            return None
        self._pieces, self._late = [*self._pieces, *self._late], []
        return self._close(self._end_ms, self._text(), interrupted=False)

    def cut(self, at_ms: float) -> Turn | None:
        """The caller interrupted at `at_ms`: returns the turn with the words heard until then."""
        if self._start_ms is None or at_ms <= self._start_ms:
            # Nothing of it was heard; an error it would have spoken of is left for the next.
            self._next_error = self._next_error or self._error
            self._late = []
            self._reset()
            return None
        if self._is_complete and at_ms >= self._end_ms:
            self._pieces, self._late = [*self._pieces, *self._late], []
            return self._close(self._end_ms, self._text(), interrupted=False)
        self._late = []
        return self._close(min(at_ms, self._end_ms), self._heard_text(at_ms), interrupted=True)

    def _text(self) -> str:
        return "".join(piece.text for piece in self._pieces)

    def _heard_text(self, until_ms: float) -> str:
        text = ""
        for piece, begins_ms, ends_ms in self._spread(until_ms):
            if until_ms >= ends_ms:
                text += piece
                continue
            words = piece.split(" ")
            heard = round(max(until_ms - begins_ms, 0.0) / (ends_ms - begins_ms) * len(words))
            return text + " ".join(words[:heard])
        return text

    def _spread(self, until_ms: float) -> Iterator[tuple[str, float, float]]:
        """When each piece is heard, as far as it matters for what was heard by `until_ms`: (text, begins_ms, ends_ms).

        The audio sent right after a piece says when it begins, unless the model tells its words ahead of their audio:
        then they would come faster than anybody speaks, and are spread out.
        """
        start_ms = self._start_ms or 0.0
        pieces = [(piece.text, piece.at_ms) for piece in self._pieces if piece.at_ms is not None]
        letters = sum(len(text) for text, _ in pieces)
        pace_ms = _USUAL_MS
        if self._is_complete:
            pace_ms = (self._end_ms - start_ms) / max(letters, 1)
        elif until_ms >= self._end_ms:
            pace_ms = _FASTEST_MS  # all that was sent was heard: words are left out only if they cannot have been in it
        begins: list[float] = []
        said = 0
        for index, (text, at_ms) in enumerate(pieces):
            begin_ms = max(at_ms, start_ms + said * min(pace_ms, _FASTEST_MS))
            if index and at_ms == pieces[index - 1][1]:
                begin_ms = max(begin_ms, begins[-1] + len(pieces[index - 1][0]) * pace_ms)
            begins.append(begin_ms)
            said += len(text)
        for index, (text, _) in enumerate(pieces):
            if index + 1 < len(pieces):
                end_ms = begins[index + 1]
            else:
                usual_ms = 0.0 if self._is_complete else begins[index] + len(text) * pace_ms
                end_ms = max(self._end_ms, usual_ms)
            yield text, begins[index], max(end_ms, begins[index] + 1.0)

    def _close(self, end_ms: float, text: str, *, interrupted: bool) -> Turn | None:
        start_ms, error = self._start_ms, self._error
        if start_ms is None or not text.strip():
            self._next_error = self._next_error or error
            self._reset()
            return None
        self._reset()
        return Turn(Speaker.AGENT, text.strip(), round(start_ms), round(end_ms), interrupted=interrupted, error=error)

    def _reset(self) -> None:
        self._pieces, self._late = self._late, []
        self._start_ms = None
        self._is_complete = False
        self._error = None
