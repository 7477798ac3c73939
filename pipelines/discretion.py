"""What may be written down of a call's words, by when they were said. No I/O; all times are ms of call time."""

from dataclasses import dataclass, field, replace
from math import inf

from transcripts.call import Speaker, Turn

PAUSED_TEXT = "[paused]"
"""What a turn says that was spoken while the recording was paused."""


@dataclass
class _Span:
    """`caller_end_ms`: what the caller began to say before this belongs to it; a model tells his words late."""

    start_ms: float
    is_marked: bool
    end_ms: float = inf
    caller_end_ms: float = inf

    def has(self, turn: Turn) -> bool:
        end_ms = self.caller_end_ms if turn.speaker is Speaker.CALLER else self.end_ms
        return turn.start_ms < end_ms and (turn.end_ms > self.start_ms or turn.start_ms >= self.start_ms)


@dataclass
class Discretion:
    """Knows the times in which nothing that is said may be stored.

    A turn that reaches into such a time is hidden as a whole: nobody knows which of its words were said when.
    """

    _spans: list[_Span] = field(default_factory=list[_Span])
    _voice_began_ms: float = -inf
    _voice_stopped_ms: float = -inf
    _settle_ms: float = 0.0
    _hides_tools: bool = False
    _tools_running: int = 0
    _has_caller_gone_on: bool = False

    @property
    def is_closed(self) -> bool:
        """Whether what is said now may not be stored."""
        return bool(self._spans) and self._spans[-1].end_ms == inf

    def close(self, at_ms: float, *, is_marked: bool) -> None:
        """From now on nothing may be stored; marked turns are there without their words, others are not there."""
        if self.is_closed:
            self._spans[-1].is_marked = self._spans[-1].is_marked and is_marked
        else:
            self._spans.append(_Span(at_ms, is_marked))
        self._hides_tools, self._has_caller_gone_on = True, False

    def open(self, at_ms: float, *, settle_ms: float) -> None:
        """From now on everything may be stored, but for words that may still be told of what was said before.

        `settle_ms`: so long after the caller's voice has stopped they may come.
        """
        if not self.is_closed:
            return
        self._settle_ms = settle_ms
        span = self._spans[-1]
        self._hides_tools = span.is_marked
        span.end_ms = at_ms
        span.caller_end_ms = max(at_ms, self._voice_stopped_ms + settle_ms)

    def caller_started(self, at_ms: float) -> None:
        """The caller's voice begins."""
        self._voice_began_ms = at_ms
        if self._spans and at_ms >= self._spans[-1].caller_end_ms:
            self._has_caller_gone_on = True
            self._show_tools()

    def caller_stopped(self, at_ms: float) -> None:
        """It has ended."""
        self._voice_stopped_ms = max(self._voice_stopped_ms, at_ms)
        if self._spans and not self.is_closed and self._voice_began_ms < self._spans[-1].end_ms:
            span = self._spans[-1]
            span.caller_end_ms = max(span.caller_end_ms, at_ms + self._settle_ms)

    def tool_started(self) -> None:
        """A tool begins."""
        self._tools_running += 1

    def tool_ended(self) -> None:
        """A tool has ended, and all was told of it."""
        self._tools_running -= 1
        self._show_tools()

    def hides(self, kind: str, at_ms: float) -> bool:
        """Whether an event of that kind, of that moment, may not say what was said or pressed.

        What tools are asked is hidden until the caller has spoken again: the model knows it from before.
        """
        if not self._spans:
            return False
        if self._hides_tools and kind.startswith("tool."):
            return True
        return self.is_closed or any(span.start_ms <= at_ms < span.end_ms for span in self._spans)

    @property
    def hides_tools(self) -> bool:
        """Whether nothing may be written of what a tool is asked, answers or fails with."""
        return self._hides_tools

    def shown(self, turn: Turn) -> Turn | None:
        """Return the turn as it may be stored; None when nothing of it may."""
        spans = [span for span in self._spans if span.has(turn)]
        if not spans:
            return turn
        if not all(span.is_marked for span in spans):
            return None
        if turn.start_ms == turn.end_ms and turn.start_ms >= spans[-1].end_ms - 1:
            return None  # nothing but words that were told late, of what has its turn already
        return replace(turn, text=PAUSED_TEXT, error=None)

    def _show_tools(self) -> None:
        # What the model does from now on it may do for what it hears from now on; but a tool that was called before
        # answers what it was asked then.
        if self._hides_tools and self._has_caller_gone_on and not self._tools_running and not self.is_closed:
            self._hides_tools = False
