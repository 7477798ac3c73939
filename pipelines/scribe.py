"""The call's scribe: hears the line, writes turns as each ends, and keeps the one ordered event list."""

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field

from pipelines.agent_turns import AgentTurns
from pipelines.caller_turns import CallerTurns
from pipelines.discretion import Discretion
from pipelines.line import CallLine
from telemetry import metrics
from transcripts.call import Turn
from transcripts.log import CallLog
from transcripts.wordless import without_words

_WHOLE_AFTER_MS = 500.0
"""Gaps within an utterance are shorter than this, unless the model falters."""

_CUT_LATE_MS = 1500.0
"""A model may take this long to fall silent for something short that the caller said meanwhile."""

_SURELY_SPEECH_MS = 500.0
"""A voice that lasted so long said something, even if the model has not told what."""

_REMEMBERED_TURNS = 200
"""A model that has to be told the conversation is told so many of its last turns."""


@dataclass(frozen=True, slots=True)
class ToolFiller:
    """What is said while a tool runs: `text`, None: the agent's own; `after_secs`, None: as the agent's limits say."""

    text: str | None = None
    after_secs: float | None = None


NO_FILLER = ToolFiller()


@dataclass
class Scribe:
    """Writes down one call. Implements `LineListener`; the pipeline's processors tell it the rest.

    Attributes:
        discretion: What of it all may be stored.
        last_caller_ms: When the caller was last heard speaking or pressed a key.
        caller_began_ms: When the caller last began to speak.
        agent_began_ms: When the agent's latest utterance began to be heard.
        cut_ms: When the agent last fell silent in mid-utterance; its model may hear a caller before we do.
        broken_off_ms: When it last did so because of the caller, as far as was known then.
        digit_ms: When the caller last pressed a key.
        is_with_caller: Whether the tool that runs waits for somebody on the line, who needs no filler.
        is_recorded: Whether somebody keeps the sound of the call.
        keeps_turns: Whether the pipeline has a `transcript` stage.
        words_go_to: Who takes the caller's words before the conversation; None once they are its own.
        spoken_count: How many utterances the agent has begun.
        announced_count: How many of them were ours and not the model's.
        reply_due_ms: When the caller stopped speaking, while his answer is still awaited.
    """

    line: CallLine
    log: CallLog
    agent_name: str
    agent: AgentTurns = field(default_factory=AgentTurns)
    caller: CallerTurns = field(default_factory=CallerTurns)
    discretion: Discretion = field(default_factory=Discretion)
    last_caller_ms: float = 0.0
    caller_began_ms: float | None = None
    agent_began_ms: float | None = None
    cut_ms: float | None = None
    broken_off_ms: float | None = None
    reply_due_ms: float | None = None
    spoken_count: int = 0
    announced_count: int = 0
    tools_running: int = 0
    tool_since_ms: float = 0.0
    tool_filler: ToolFiller = NO_FILLER
    digit_ms: float | None = None
    is_with_caller: bool = False
    is_recorded: bool = False
    keeps_turns: bool = False
    words_go_to: Callable[[str], None] | None = None
    _asked_ms: float | None = None
    _is_announcement: bool = False
    _model_end_ms: float = 0.0
    _said: deque[Turn] = field(default_factory=lambda: deque[Turn](maxlen=_REMEMBERED_TURNS))
    _last_stop_ms: float = -_CUT_LATE_MS
    _waiting: list[Turn] = field(default_factory=list[Turn])
    """Turns of the agent that are over, but that the caller's words before them have yet to precede."""

    @property
    def now_ms(self) -> float:
        """Call time."""
        return self.line.clock.now_ms

    @property
    def is_agent_idle(self) -> bool:
        """Whether the agent has nothing more to say and all of it was played."""
        return not self.agent.is_open and self.line.playout.is_done(self.now_ms)

    @property
    def last_activity_ms(self) -> float:
        """When somebody was last heard on the line."""
        return max(self.last_caller_ms, self.line.playout.end_ms)

    @property
    def agent_quiet_ms(self) -> float:
        """For how long nothing that the agent has sent is left to be heard; 0 while there is."""
        return max(0.0, self.now_ms - self.line.playout.end_ms) if self.line.playout.is_done(self.now_ms) else 0.0

    @property
    def awaited_since_ms(self) -> float | None:
        """Since when the model owes words: it was asked for some, given a result, or spoken to; None when it does not.

        A sound of the caller's that brought no words with it is noise after a while, and nothing is owed for noise.
        """
        since = [] if self._asked_ms is None else [self._asked_ms]
        if self.reply_due_ms is not None and (
            self.caller.has_words or self.now_ms - self.reply_due_ms <= CallerTurns.WORDS_WITHIN_MS
        ):
            since.append(self.reply_due_ms)
        return max(since, default=None)

    @property
    def waiting_since_ms(self) -> float | None:
        """Since when the caller has heard nothing of the model, though it owes him words; None when it does not.

        What is announced meanwhile, and what tools are about, is not counted as the model's word. A short sound that
        brought no words with it may have been a cough: nothing is owed for it.
        """
        if self.caller.is_speaking or self.tools_running:
            return None
        owed = [] if self._asked_ms is None else [self._asked_ms]
        if self.reply_due_ms is not None and (self.caller.has_words or self.caller.voiced_ms >= _SURELY_SPEECH_MS):
            owed.append(self.reply_due_ms)
        if self.agent.is_open and not self.agent.is_complete and not self._is_announcement:
            owed.append(self._model_end_ms)  # in the middle of an utterance nothing follows
        if not owed:
            return None
        since_ms = max(*owed, self._model_end_ms)
        return since_ms if since_ms <= self.now_ms else None

    def conversation(self) -> list[Turn]:
        """What was said so far, as far as it was heard, in the order in which it was said."""
        turns = [*self._said, *self._waiting]
        if (caller := self.caller.unwritten(self.now_ms)) is not None:
            turns.append(caller)
        if (agent := self.agent.unwritten(self.now_ms)) is not None:
            turns.append(agent)
        return sorted((turn for turn in turns if turn.text), key=lambda turn: turn.start_ms)

    # what the line tells

    def caller_audio(self, at_ms: float, pcm: bytes) -> None:
        """Nothing to write: voice activity and words come from the pipeline."""

    def agent_audio(self, at_ms: float, pcm: bytes) -> None:
        """Audio that will be heard from `at_ms` on."""
        if self.agent.is_complete:
            # Audio is sent at most a fifth of a second ahead: what was complete before is as good as heard.
            self._write_in_order(self.agent.finish())
        if self.agent.is_unheard:
            self._begin_utterance(at_ms)
        duration_ms = len(pcm) / 2 / self.line.agent_hz * 1000
        self.agent.add_audio(at_ms, duration_ms)
        if not self._is_announcement:
            self._model_end_ms = at_ms + duration_ms

    def agent_text(self, text: str, *, is_announced: bool) -> None:
        """Words, told about when their audio is sent."""
        if self.agent.is_unheard or self.agent.is_complete:
            self._is_announcement = is_announced
        self.agent.add_text(text, self.now_ms)

    def agent_finished(self) -> None:
        """All of an utterance was sent."""
        self.agent.complete()
        self._is_announcement = False

    def agent_cut(self, at_ms: float) -> None:
        """The caller interrupted: what was not heard is not written."""
        was_open, was_heard = self.agent.is_open, not self.agent.is_unheard
        self._model_end_ms = min(self._model_end_ms, at_ms)
        self._is_announcement = False
        self._complete_what_fell_silent(at_ms, self.now_ms)
        is_broken_off = was_open and not self.agent.is_complete
        turn = self.agent.cut(at_ms)
        if is_broken_off or (turn is not None and turn.interrupted):
            self.cut_ms = self.now_ms
            if was_heard:  # words of which nothing was sent yet were interrupted for nobody
                self.event("agent.interrupted", at_ms=at_ms)
            if self.caller.is_speaking or self.now_ms - self.last_caller_ms <= _CUT_LATE_MS:
                self.broken_off_ms = self.now_ms
            else:
                self.await_words()  # nobody spoke up: the model broke off, and the caller waits for the rest
            if self.reply_due_ms is None and self.now_ms - self._last_stop_ms <= _CUT_LATE_MS:
                self.reply_due_ms = self._last_stop_ms
                self.await_words()  # his own turn may be written by now: he waits for its answer all the same
        self._write_in_order(turn)

    def digit(self, at_ms: float, digit: str) -> None:
        """A key press."""
        self.last_caller_ms = self.digit_ms = at_ms
        self.event("caller.digit", at_ms=at_ms, digit=digit)

    # what the pipeline tells

    def caller_started(self, at_ms: float) -> None:
        """Voice activity begins."""
        self._write(self.caller.start(at_ms))
        self.discretion.caller_started(at_ms)
        self.reply_due_ms = self._asked_ms = None
        self.caller_began_ms = at_ms
        self.last_caller_ms = max(self.last_caller_ms, at_ms)
        self.event("caller.started", at_ms=at_ms)

    def caller_stopped(self, at_ms: float) -> None:
        """Voice activity has ended at `at_ms`."""
        self.caller.stop(at_ms)
        self.discretion.caller_stopped(at_ms)
        self._last_stop_ms = at_ms
        self.last_caller_ms = max(self.last_caller_ms, at_ms)
        self.event("caller.stopped", at_ms=at_ms)
        if self.agent_began_ms is not None and self.agent_began_ms >= at_ms:
            self._tell_delay(at_ms, self.agent_began_ms)  # the answer was faster than the detector of silence
        elif self.agent.is_unheard:
            self.reply_due_ms = at_ms

    def caller_text(self, text: str) -> None:
        """Words of the caller."""
        self.caller.add_text(text, self.now_ms)

    def tool_started(self, filler: ToolFiller = NO_FILLER) -> None:
        """A tool runs, and has this to say while it does: nobody waits in silence, however long it takes."""
        if not self.tools_running:
            self.tool_since_ms, self.tool_filler = self.now_ms, filler
        elif filler != NO_FILLER:
            self.tool_filler = filler
        self.tools_running += 1
        self.discretion.tool_started()

    def tool_ended(self) -> None:
        """A tool has ended."""
        self.tools_running -= 1
        self.is_with_caller = False
        self.discretion.tool_ended()

    def await_words(self) -> None:
        """The model was asked to speak, or was given a result to speak of."""
        self._asked_ms = self.now_ms

    def await_nothing(self) -> None:
        """It was given a result that asks for no words."""
        self._asked_ms = None

    def went_away(self) -> None:
        """The call leaves its stream for a while: what was not heard by now never will be."""
        if self.is_agent_idle:
            self.line.playout.clear(self.now_ms)
        else:
            self.line.agent_cut()

    def came_back(self) -> None:
        """It is back: silence is counted from here on, and nothing is owed for what was before."""
        self.reply_due_ms = self._asked_ms = None
        self.last_caller_ms = self.now_ms

    def event(self, kind: str, /, *, at_ms: float | None = None, **data: object) -> None:
        """Add to the call's event list; without what was said, when that may not be stored."""
        at_ms = self.now_ms if at_ms is None else at_ms
        if self.discretion.hides(kind, at_ms):
            data = without_words(data, kind)
        self.log.event(kind, round(at_ms), **data)

    def draw_line(self) -> None:
        """What was said until now is written; words that come from now on belong to what follows."""
        for turn in self.caller.let_go():
            self._write(turn)

    def begin_anew(self) -> None:
        """The conversation proper begins: nothing of what was said before belongs to it, and nothing is owed for it."""
        self.caller.let_go()
        self._said.clear()
        self._waiting.clear()
        self.reply_due_ms = self._asked_ms = None
        self.last_caller_ms = max(self.last_caller_ms, self.now_ms)

    def tick(self) -> None:
        """Write what has ended since; to be called about ten times a second."""
        now_ms = self.now_ms
        self._write(self.caller.settle(now_ms))
        self._write_in_order(self.agent.settle(now_ms))

    def close(self, at_ms: float) -> None:
        """The call was over at `at_ms`: write what was still open then."""
        turns, self._waiting = self._waiting, []
        while (turn := self.caller.settle(at_ms, finished=True)) is not None:
            turns.append(turn)
        self._complete_what_fell_silent(self.line.playout.end_ms, at_ms)
        last = self.agent.settle(at_ms, finished=True)
        if last is not None:
            turns.append(last)
        for turn in sorted(turns, key=lambda turn: turn.start_ms):
            self._write(turn)
        if self.line.malformed_count:
            self.event("line.malformed", count=self.line.malformed_count, first=self.line.first_complaint)

    def _complete_what_fell_silent(self, heard_until_ms: float, now_ms: float) -> None:
        """Some synthesizers tell seconds later, if at all, that an utterance was whole."""
        if now_ms - heard_until_ms > _WHOLE_AFTER_MS:
            self.agent.complete()

    def _begin_utterance(self, at_ms: float) -> None:
        self.spoken_count += 1
        if self.spoken_count == 1:
            metrics.FIRST_WORD_SECONDS.observe(at_ms / 1000)
            self.event("latency.first_word", at_ms=at_ms, ms=round(at_ms))
        if self._is_announcement:
            self.announced_count += 1
            return
        self.event("agent.began", at_ms=at_ms)
        self.caller.answer(self.now_ms)
        self._asked_ms = None
        self.agent_began_ms = at_ms
        if self.reply_due_ms is not None:
            self._tell_delay(self.reply_due_ms, at_ms)
            self.reply_due_ms = None

    def _tell_delay(self, due_ms: float, at_ms: float) -> None:
        delay_ms = at_ms - due_ms
        metrics.REPLY_LATENCY_SECONDS.labels(agent=metrics.agent_label(self.agent_name)).observe(delay_ms / 1000)
        self.event("latency.reply", at_ms=at_ms, ms=round(delay_ms))

    def _write_in_order(self, turn: Turn | None) -> None:
        """Write a turn of the agent, once everything the caller said before it is written."""
        if turn is not None:
            self._waiting.append(turn)
        while self._waiting and not self.caller.is_before(self._waiting[0].start_ms, self.now_ms):
            self._write(self._waiting.pop(0))

    def _write(self, turn: Turn | None) -> None:
        if turn is None:
            return
        self._said.append(turn)
        shown = self.discretion.shown(turn)
        if self.keeps_turns and shown is not None:
            self.log.turn(shown)
