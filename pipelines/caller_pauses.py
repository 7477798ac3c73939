"""A caller who was given time: his pauses reach the model shortened, so that they do not end what he says."""

from collections import deque
from collections.abc import Callable
from typing import Protocol

from pipelines.outbox import Audio
from pipelines.scribe import Scribe

LONGEST_PAUSE_MS = 2500.0
"""A longer pause ends what he says, as ever."""
_AFTER_MS = 100.0
_BEFORE_MS = 150.0
"""What is left of a pause: so much after a voice, and before the next; less than any model takes for an end."""
_UNNOTICED_MS = 450.0
"""A voice is noticed at most so long after it began."""


class Ear(Protocol):
    """The detector of voice."""

    @property
    def is_voiced(self) -> bool:
        """Whether a voice was in what it heard last."""
        ...


class Model(Protocol):
    """The model, as far as its ears go."""

    send_voice: Callable[[Audio], None]
    """Where the caller's voice goes."""


class CallerPauses:
    """Holds a pause back until it is over, and leaves most of it out; until one is too long, or time is up.

    Models tell the end of speech by the length of the silence that they hear; that cannot be changed within a
    connection. What they have not heard yet does not end anything.
    """

    def __init__(self, model: Model, ear: Ear, scribe: Scribe, until_ms: float) -> None:
        """Stand before the model's ears until that call time, or the end of what the caller says next."""
        self.until_ms = until_ms
        self._model, self._ear, self._scribe = model, ear, scribe
        self._on = model.send_voice
        self._held: deque[Audio] = deque()
        self._voiced_ms: float | None = None
        model.send_voice = self.take

    @classmethod
    def bridge(cls, model: Model, ear: Ear, scribe: Scribe, secs: float) -> None:
        """Begin, or go on for longer."""
        until_ms = scribe.now_ms + secs * 1000.0
        standing = getattr(model.send_voice, "__self__", None)
        if isinstance(standing, cls):
            standing.until_ms = max(standing.until_ms, until_ms)
        else:
            cls(model, ear, scribe, until_ms)

    def take(self, audio: Audio) -> None:
        """Take a piece of the caller's voice."""
        if self._ear.is_voiced:
            self._go_on()
            self._voiced_ms = audio.until_ms
            self._on(audio)
        elif self._voiced_ms is None or audio.until_ms - self._voiced_ms <= _AFTER_MS:
            self._on(audio)
        else:
            self._held.append(audio)
            self._scribe.reply_due_ms = None  # nobody owes him anything before his pause is over
            if audio.until_ms - self._voiced_ms >= LONGEST_PAUSE_MS:
                self._end()
                return
        if audio.until_ms >= self.until_ms:
            self._end()

    def _go_on(self) -> None:
        """A voice again: of the pause the model hears its end."""
        held, self._held = self._held, deque()
        if held:
            now_ms, began_ms = held[-1].until_ms, self._scribe.caller_began_ms or 0.0
            from_ms = max(began_ms, now_ms - _UNNOTICED_MS) - _BEFORE_MS
            for audio in held:
                if audio.until_ms > from_ms:
                    self._on(audio)

    def _end(self) -> None:
        if self._model.send_voice == self.take:
            self._model.send_voice = self._on
        if self._held:
            self._scribe.reply_due_ms = self._scribe.now_ms
        for audio in self._held:
            self._on(audio)
        self._held.clear()
