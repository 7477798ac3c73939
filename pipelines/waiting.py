"""What is done while the caller waits for the model: a filler, a prompt, another connection, and then the ladder."""

from dataclasses import dataclass, field
from enum import Enum, auto
from typing import Protocol

from config.agent import Limits
from config.pipeline import GeminiConnection, GeminiLive
from pipelines.model_failures import ModelFailure, Stalled, sort_failure
from pipelines.scribe import Scribe
from pipelines.sentences import SentenceKind
from pipelines.tool_filling import ToolFilling
from telemetry import metrics

_NEXT_STEP_MS = 1200.0
"""How long the first step has to bring an answer, before the second one is taken."""


_USUAL_SILENCE_MS = 500.0
"""Silence that ends speech for a model that was told nothing else."""


def patient_connection(settings: GeminiLive) -> GeminiConnection:
    """Return how long this model is waited for: one that waits longer for the end of speech answers so much later."""
    more_secs = max(0.0, (settings.vad.silence_duration_ms or 0) - _USUAL_SILENCE_MS) / 1000
    patient = settings.connection
    longer = {"stall_secs": patient.stall_secs + more_secs, "give_up_secs": patient.give_up_secs + more_secs}
    return patient.model_copy(update=longer)


class Model(Protocol):
    """The model, as far as somebody who waits for it may act on it."""

    async def prompt_again(self) -> None:
        """Tell it what it owes, over the connection there is."""
        ...

    @property
    def knows_what_was_said(self) -> bool:
        """Whether the caller's last words are known, so that it can be told them."""
        ...

    @property
    def is_answering(self) -> bool:
        """Whether an answer is arriving now."""
        ...

    def reconnect(self) -> None:
        """Leave its connection for another one."""
        ...

    @property
    def is_connected(self) -> bool:
        """Whether a connection stands."""
        ...


class _Step(Enum):
    PROMPT = auto()
    RECONNECT = auto()


class Voice(Protocol):
    """Who speaks without the model."""

    async def announce(self, kind: SentenceKind, text: str | None = None) -> bool:
        """Say the agent's sentence of that kind, or `text` in its place; False when there is no audio for it."""
        ...


@dataclass
class _Wait:
    since_ms: float
    has_filled: bool = False
    taken: list[_Step] = field(default_factory=list["_Step"])


class Waiting:
    """Watches one call's waits. `tick` is to be called about ten times a second."""

    def __init__(
        self, scribe: Scribe, announcer: Voice, model: Model, connection: GeminiConnection, limits: Limits
    ) -> None:
        """Take what is heard, who speaks without the model, the model, and how long it is waited for."""
        self._scribe = scribe
        self._announcer = announcer
        self._model = model
        self._stall_ms = connection.stall_secs * 1000.0
        self._give_up_ms = connection.give_up_secs * 1000.0

        async def fill_tool_time(text: str | None) -> None:  # without `self`: the two would keep each other
            await _say(scribe, announcer, SentenceKind.TOOL_FILLER, text)

        self._filling = ToolFilling(scribe, limits, fill_tool_time)
        self._wait: _Wait | None = None

    async def tick(self) -> ModelFailure | None:
        """Do what this moment asks for; returns why the model is given up, when it is."""
        scribe = self._scribe
        if scribe.tools_running:
            self._end_wait()
            if not scribe.is_with_caller:
                await self._filling.tick()
            return None
        since_ms = scribe.waiting_since_ms
        if since_ms is None:
            self._end_wait()
            return None
        if self._wait is None:
            self._wait = _Wait(since_ms)
        elif since_ms > self._wait.since_ms and not self._wait.has_filled:
            self._wait.since_ms = since_ms
        return await self._watch(self._wait)

    def begin_anew(self) -> None:
        """Another model has taken over, and gets its own time."""
        self._wait = None
        if self._scribe.waiting_since_ms is not None:
            self._scribe.await_words()

    async def _watch(self, wait: _Wait) -> ModelFailure | None:
        waited_ms = self._scribe.now_ms - wait.since_ms
        if waited_ms < self._stall_ms:
            return None
        if not wait.has_filled:
            wait.has_filled = True
            self._scribe.event("model.stalled", waited_ms=round(waited_ms))
            await _say(self._scribe, self._announcer, SentenceKind.FILLER)
        if self._model.is_answering:
            return None  # on its way to the line
        if waited_ms >= self._give_up_ms:
            self._wait = None
            metrics.RECOVERIES_TOTAL.labels(kind="stalled", outcome="failed").inc()
            return sort_failure(Stalled())
        if not self._model.is_connected:
            return None  # another connection is being made
        # Known words are told again first, for that disturbs least. Unknown ones can only be said again, from the
        # recording, to another connection; a model that then answers nothing is asked, as it may have been a noise.
        steps = [_Step.PROMPT, _Step.RECONNECT] if self._model.knows_what_was_said else [_Step.RECONNECT, _Step.PROMPT]
        if not wait.taken:
            await self._take(steps[0], wait)
        elif len(wait.taken) == 1 and waited_ms >= self._stall_ms + _NEXT_STEP_MS:
            left = next(step for step in _Step if step not in wait.taken)
            await self._take(left, wait)
        return None

    async def _take(self, step: _Step, wait: _Wait) -> None:
        wait.taken.append(step)
        if step is _Step.PROMPT:
            await self._model.prompt_again()
        else:
            self._model.reconnect()

    def _end_wait(self) -> None:
        wait, self._wait = self._wait, None
        if wait is not None and wait.has_filled:
            metrics.RECOVERIES_TOTAL.labels(kind="stalled", outcome="recovered").inc()
            self._scribe.event("recovery", kind="stalled", outcome="recovered")


async def _say(scribe: Scribe, announcer: Voice, kind: SentenceKind, text: str | None = None) -> None:
    if not await announcer.announce(kind, text):
        scribe.event("agent.has_no_sound", kind=kind.value)
