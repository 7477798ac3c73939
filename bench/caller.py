"""One caller: what he says when, and what he notes of what he hears. No I/O and no clock of its own.

He listens to the greeting, then says sentence after sentence, each once he has heard the answer to the one before; into
every third answer he breaks. Twilio's play-out is kept with it: what has come is played in real time, a `clear` drops
it.
"""

import random
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import Enum

from bench.caller_voice import CallerVoice

FRAME_SECS = 0.02
AUDIBLE_GAP_SECS = 0.04
"""A frame that is later than this is heard as a hole."""
_BYTES_PER_SEC = 8000
_QUIET_SECS = 0.7
"""An answer is over when nothing of it was left to play for so long."""
_GREETING_WITHIN_SECS = 10.0
_ANSWER_WITHIN_SECS = 6.0
_LAST_QUIET_SECS = 1.2
"""How long he stays on the line after the last answer: its turn is written meanwhile."""
_BREAK_INTO_EVERY = 3


class Doing(Enum):
    """What a caller is about."""

    AWAITING = "waits for an answer to begin"
    LISTENING = "listens to it"
    PAUSING = "says nothing"
    SPEAKING = "says a sentence"
    GONE = "has hung up"


@dataclass
class Spoken:
    """One sentence. Times are the loop's; `answered_at` is None until the first loud frame of the answer."""

    began_at: float
    is_barge_in: bool
    last_loud_at: float = 0.0
    answered_at: float | None = None
    cleared_at: float | None = None


@dataclass
class CallNotes:
    """What one call was like. Times are the loop's.

    Attributes:
        gaps: (when, how late in seconds) of each loud frame that came more than AUDIBLE_GAP_SECS late in an answer.
        problem: why the call has failed; empty when it has not.
    """

    call_sid: str
    is_burst: bool
    dialled_at: float = 0.0
    started_at: float | None = None
    first_word_at: float | None = None
    ended_at: float | None = None
    spoken: list[Spoken] = field(default_factory=list[Spoken])
    gaps: list[tuple[float, float]] = field(default_factory=list[tuple[float, float]])
    problem: str = ""

    @property
    def talk_secs(self) -> float:
        """How long the stream lasted."""
        return 0.0 if self.started_at is None or self.ended_at is None else self.ended_at - self.started_at

    @property
    def answers_heard(self) -> int:
        """How often the agent spoke: the greeting and each answer."""
        return (self.first_word_at is not None) + sum(spoken.answered_at is not None for spoken in self.spoken)

    def fail(self, problem: str) -> None:
        """Note why; the first reason stands."""
        self.problem = self.problem or problem


class Caller:
    """The caller of one call, on a stream that has started.

    Every 20 ms `next_frame` tells what to send; `hear`, `mark` and `clear` are what came.
    """

    def __init__(self, voice: CallerVoice, notes: CallNotes, *, until: float, seed: int) -> None:
        """Begin to listen.

        Args:
            voice: His sounds.
            notes: Where everything is written; `started_at` is set.
            until: When he means to hang up; he hears the answer out that he waits for then.
            seed: Decides the order of his sentences, his pauses and when he breaks in.
        """
        self.notes = notes
        self._voice = voice
        self._until = until
        self._chance = random.Random(seed)
        self._order = self._chance.sample(range(len(voice.sentences)), len(voice.sentences))
        self._noise_at = self._chance.randrange(len(voice.noise))
        self._doing = Doing.AWAITING
        self._since = notes.started_at or 0.0
        self._pause_secs = 0.0
        self._breaks_in_after: float | None = None
        self._frames: Sequence[bytes] = ()
        self._frame_at = 0
        self._played_until = 0.0
        self._is_in_answer = False
        self._marks: deque[tuple[float, bytes]] = deque()

    @property
    def is_gone(self) -> bool:
        """Whether he has hung up."""
        return self._doing is Doing.GONE

    def next_frame(self, now: float) -> bytes:
        """The base64 of the frame to send now."""
        self._decide(now)
        if self._doing is not Doing.SPEAKING:
            self._noise_at = (self._noise_at + 1) % len(self._voice.noise)
            return self._voice.noise[self._noise_at]
        frame = self._frames[self._frame_at]
        self._frame_at += 1
        if self._frame_at == len(self._frames):
            self.notes.spoken[-1].last_loud_at = now
            self._turn_to(Doing.AWAITING, now)
        return frame

    def due_marks(self, now: float) -> list[bytes]:
        """Names of the marks before which everything has been played by now."""
        due: list[bytes] = []
        while self._marks and self._marks[0][0] <= now:
            due.append(self._marks.popleft()[1])
        return due

    def hear(self, size_bytes: int, is_loud: bool, now: float) -> None:
        """Audio came: so many mu-law bytes."""
        late_secs = now - self._played_until
        if is_loud:
            self._hear_voice(late_secs, now)
        self._played_until = max(self._played_until, now) + size_bytes / _BYTES_PER_SEC

    def mark(self, name: bytes, now: float) -> None:
        """A mark came: it goes back when what came before it has been played."""
        self._marks.append((max(self._played_until, now), name))

    def clear(self, now: float) -> list[bytes]:
        """What waits is dropped; returns the names of the marks that go back at once."""
        self._played_until = min(self._played_until, now)
        spoken = self.notes.spoken[-1] if self.notes.spoken else None
        if spoken is not None and spoken.is_barge_in and spoken.cleared_at is None:
            spoken.cleared_at = now
        names = [name for _, name in self._marks]
        self._marks.clear()
        return names

    def _hear_voice(self, late_secs: float, now: float) -> None:
        notes = self.notes
        if self._doing is Doing.AWAITING:
            if notes.first_word_at is None:
                notes.first_word_at = now
            elif notes.spoken:
                notes.spoken[-1].answered_at = now
            self._is_in_answer = True
            self._turn_to(Doing.LISTENING, now)
        elif self._is_in_answer and late_secs > AUDIBLE_GAP_SECS:
            notes.gaps.append((now, late_secs))
        if self._doing is Doing.PAUSING and self._is_in_answer:
            self._turn_to(Doing.LISTENING, now)  # the answer was not over after all

    def _decide(self, now: float) -> None:
        since_secs = now - self._since
        if self._doing is Doing.AWAITING:
            is_greeting = not self.notes.spoken
            if since_secs > (_GREETING_WITHIN_SECS if is_greeting else _ANSWER_WITHIN_SECS):
                self.notes.fail("no greeting" if is_greeting else f"no answer to sentence {len(self.notes.spoken)}")
                self._pause(now)
        elif self._doing is Doing.LISTENING:
            if self._breaks_in_after is not None and since_secs >= self._breaks_in_after:
                self._speak(now, is_barge_in=True)
            elif now - self._played_until >= _QUIET_SECS:
                self._pause(now)
        elif self._doing is Doing.PAUSING and since_secs >= self._pause_secs:
            if now < self._until:
                self._speak(now, is_barge_in=False)
            elif since_secs >= _LAST_QUIET_SECS:
                self._turn_to(Doing.GONE, now)

    def _pause(self, now: float) -> None:
        self._pause_secs = self._chance.uniform(0.1, 0.9)
        self._turn_to(Doing.PAUSING, now)

    def _speak(self, now: float, *, is_barge_in: bool) -> None:
        count = len(self.notes.spoken)
        self.notes.spoken.append(Spoken(now, is_barge_in))
        will_break_in = count % _BREAK_INTO_EVERY == 1
        self._breaks_in_after = self._chance.uniform(0.8, 1.4) if will_break_in else None
        self._is_in_answer = False
        self._frames = self._voice.sentences[self._order[count % len(self._order)]]
        self._frame_at = 0
        self._turn_to(Doing.SPEAKING, now)

    def _turn_to(self, doing: Doing, now: float) -> None:
        self._doing, self._since = doing, now
