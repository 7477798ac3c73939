"""When a caller may interrupt: what stands before the model's ears, and what Pipecat has for pipelines of services."""

from collections.abc import Callable
from typing import Any, Protocol

from pipecat.turns.user_mute import MuteUntilFirstBotCompleteUserMuteStrategy
from pipecat.turns.user_start import (
    MinWordsUserTurnStartStrategy,
    TranscriptionUserTurnStartStrategy,
    VADUserTurnStartStrategy,
)

from config.listening import Listening
from pipelines.caller_gate import CallerGate, Moment
from pipelines.outbox import Audio
from pipelines.scribe import Scribe

_FADING_MS = 250.0
"""The agent is still being heard so long after its last sample: between two sentences, or in a room's echo."""
_BEFORE_GREETING_MS = 1200.0
"""The same before its greeting was heard: an announcement and the greeting belong together."""
_NOTHING_SAID_MS = 4000.0
"""An agent that says nothing for so long has no greeting that could be protected."""
_GREETING_LEAST_MS = 700.0
"""Voice over a protected greeting that is worth passing on after it; "hello?" is not."""
_NOTICE_MS = 300.0
"""From a voice that has lasted `start_secs` to our being told."""


class Ear(Protocol):
    """The detector of voice."""

    @property
    def is_voiced(self) -> bool:
        """Whether a voice was in what it heard last."""
        ...

    @property
    def start_secs(self) -> float:
        """Voice that begins speech, in seconds."""
        ...


class GreetingGuard:
    """Knows whether the first words, and an announcement before them, have been heard out."""

    def __init__(self, scribe: Scribe, *, has_greeting: bool) -> None:
        """Take what is heard, and whether the model greets."""
        self._scribe = scribe
        self._has_greeting = has_greeting
        self._is_over = False

    def is_protecting(self) -> bool:
        """Whether nothing of the caller may reach the model now."""
        scribe = self._scribe
        if self._is_over:
            return False
        said_count = scribe.spoken_count - (scribe.announced_count if self._has_greeting else 0)
        is_heard_out = said_count > 0 and scribe.is_agent_idle
        self._is_over = is_heard_out or scribe.agent_quiet_ms > _NOTHING_SAID_MS
        # Whoever was asked something before the greeting, as for his consent, must be heard.
        has_begun = scribe.spoken_count > 0
        return not self._is_over and (not has_begun or scribe.agent_quiet_ms <= _BEFORE_GREETING_MS)


class KeptBack:
    """The caller's voice on its way to the model, by way of a gate."""

    def __init__(
        self, min_ms: float, scribe: Scribe, ear: Ear, guard: GreetingGuard | None, send: Callable[[Audio], None]
    ) -> None:
        """Take the voice that may interrupt, in ms; what is heard; who protects the greeting; and the way on."""
        self._scribe, self._ear, self._guard, self._send = scribe, ear, guard, send
        self._min_ms = min_ms
        self._gate = CallerGate(min_ms, ear.start_secs * 1000 + _NOTICE_MS, self._tell)

    def take(self, audio: Audio) -> None:
        """Take a piece of the caller's voice."""
        scribe = self._scribe
        is_protected = self._guard is not None and self._guard.is_protecting()
        self._gate.min_ms = max(self._min_ms, _GREETING_LEAST_MS) if is_protected else self._min_ms
        is_heard = self._min_ms > 0 and scribe.now_ms < scribe.line.playout.end_ms + _FADING_MS
        moment = Moment(self._ear.is_voiced, scribe.caller_began_ms, is_heard, is_protected)
        for piece in self._gate.take(audio, moment):
            self._send(piece)

    def _tell(self, voiced_ms: float, is_passed_on: bool) -> None:
        self._scribe.event("caller.kept_back", ms=round(voiced_ms), passed_on=is_passed_on)


def cascade_strategies(listening: Listening, *, has_greeting: bool) -> tuple[list[Any], list[Any]]:
    """Return what begins a caller's turn, and what mutes him, in a pipeline of recognizer, text model and synthesizer.

    `has_greeting`: the agent speaks first. Words that come while that is protected are lost: Pipecat keeps none.
    """
    rules = listening.interrupting
    start: list[Any]
    if rules.may_interrupt and rules.min_words > 0:
        # Alone: a detector of voice beside it would interrupt at the first sound.
        start = [MinWordsUserTurnStartStrategy(min_words=rules.min_words)]
    else:
        start = [
            VADUserTurnStartStrategy(enable_interruptions=rules.may_interrupt),
            TranscriptionUserTurnStartStrategy(enable_interruptions=rules.may_interrupt),
        ]
    is_protected = listening.protect_greeting and has_greeting
    return start, [MuteUntilFirstBotCompleteUserMuteStrategy()] if is_protected else []
