"""A silence in which nobody owes anybody a word: what is said in it, and when it has been too long. No I/O."""

from dataclasses import dataclass

from config.agent import Limits, Phrases
from config.listening import Idle
from pipelines.scribe import Scribe

_LAST_WORD_MS = 1000.0
"""Quiet between two sentences that the agent says of its own accord."""


@dataclass(frozen=True)
class Prompt:
    """Say this."""

    text: str
    quiet_ms: float
    number: int


class TooLong:
    """Say goodbye."""


@dataclass
class _Asked:
    """The caller was asked for the first time, then last; `spoken` utterances there are once that was heard."""

    first_ms: float
    last_ms: float
    spoken: int
    count: int = 1


class SilenceWatch:
    """Watches one call's silences. `look` is to be called about ten times a second while nobody speaks or waits."""

    def __init__(self, idle: Idle | None, limits: Limits, phrases: Phrases) -> None:
        """Take the agent's `idle`, with its variables filled in; None: the limits and one question."""
        self._ask_ms = (limits.silence_ask_secs if idle is None else idle.ask_secs) * 1000.0
        self.hang_up_ms = (limits.silence_hangup_secs if idle is None else idle.hang_up_secs) * 1000.0
        self._own = () if idle is None else idle.prompts
        self._prompts: tuple[str, ...] = ()
        self.speak_as(phrases)
        self._patient_until_ms = 0.0
        self._asked: _Asked | None = None

    def speak_as(self, phrases: Phrases, *, keeps_own: bool = True) -> None:
        """Take other phrases; the agent's own prompts are in its own language, and are kept only there."""
        own = self._own if keeps_own else (phrases.still_there,) * len(self._own)
        self._prompts = own or (phrases.still_there,)

    def wait_until(self, at_ms: float) -> None:
        """Say nothing before: the caller has asked for time."""
        self._patient_until_ms = at_ms
        self._asked = None

    def forget(self) -> None:
        """What comes is another silence."""
        self._asked = None

    def look(self, scribe: Scribe) -> Prompt | TooLong | None:
        """Return what this moment asks for, if anything."""
        now_ms, asked = scribe.now_ms, self._asked
        if asked is not None and (scribe.last_caller_ms > asked.first_ms or scribe.spoken_count > asked.spoken):
            asked = self._asked = None
        if now_ms < self._patient_until_ms:
            return None
        quiet_ms = now_ms - scribe.last_activity_ms
        if asked is None:
            if quiet_ms < self._ask_ms:
                return None
            self._asked = _Asked(now_ms, now_ms, scribe.spoken_count + 1)
            return Prompt(self._prompts[0], quiet_ms, 1)
        if quiet_ms < _LAST_WORD_MS:
            return None
        if now_ms - asked.first_ms >= self.hang_up_ms - self._ask_ms:
            return TooLong()
        if asked.count < len(self._prompts) and now_ms - asked.last_ms >= self._ask_ms:
            asked.last_ms, asked.spoken = now_ms, scribe.spoken_count + 1
            asked.count += 1
            return Prompt(self._prompts[asked.count - 1], quiet_ms, asked.count)
        return None
