"""The call's scribe: hears the line, writes turns as each ends, and keeps the one ordered event list."""

from dataclasses import dataclass, field

from pipelines.line import CallLine
from pipelines.turns import AgentTurns, CallerTurns
from telemetry import metrics
from transcripts.call import Turn
from transcripts.log import CallLog


@dataclass
class Scribe:
    """Writes down one call. Implements `LineListener`; the pipeline's processors tell it the rest.

    Attributes:
        last_caller_ms: When the caller was last heard or pressed a key.
        keeps_turns: Whether the pipeline has a `transcript` stage.
        spoken_count: How many utterances the agent has begun.
        reply_due_ms: When the caller stopped speaking, while his answer is still awaited.
    """

    line: CallLine
    log: CallLog
    agent_name: str
    agent: AgentTurns = field(default_factory=AgentTurns)
    caller: CallerTurns = field(default_factory=CallerTurns)
    last_caller_ms: float = 0.0
    reply_due_ms: float | None = None
    first_word_ms: float | None = None
    spoken_count: int = 0
    tools_running: int = 0
    keeps_turns: bool = False

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

    # what the line tells

    def caller_audio(self, at_ms: float, pcm: bytes) -> None:
        """Nothing to write: voice activity and words come from the pipeline."""

    def agent_audio(self, at_ms: float, pcm: bytes) -> None:
        """Audio that will be heard from `at_ms` on."""
        self._end_previous()
        if not self.agent.is_open or self.agent.is_unheard:
            self._begin_utterance(at_ms)
        self.agent.add_audio(at_ms, len(pcm) / 2 / self.line.agent_hz * 1000)

    def agent_text(self, text: str) -> None:
        """Words whose audio follows."""
        self._end_previous()
        self.agent.add_text(text)

    def agent_finished(self) -> None:
        """All of an utterance was sent."""
        self.agent.complete()

    def agent_cut(self, at_ms: float) -> None:
        """The caller interrupted: what was not heard is not written."""
        turn = self.agent.cut(at_ms)
        self.event("agent.interrupted", at_ms=at_ms)
        self._write(turn)

    def digit(self, at_ms: float, digit: str) -> None:
        """A key press."""
        self.last_caller_ms = at_ms
        self.event("caller.digit", at_ms=at_ms, digit=digit)

    # what the pipeline tells

    def caller_started(self, at_ms: float) -> None:
        """Voice activity begins."""
        self._write(self.caller.start(at_ms))
        self.reply_due_ms = None
        self.last_caller_ms = max(self.last_caller_ms, at_ms)
        self.event("caller.started", at_ms=at_ms)

    def caller_stopped(self, at_ms: float) -> None:
        """Voice activity has ended at `at_ms`."""
        self.caller.stop(at_ms)
        self.reply_due_ms = at_ms
        self.last_caller_ms = max(self.last_caller_ms, at_ms)
        self.event("caller.stopped", at_ms=at_ms)

    def caller_text(self, text: str) -> None:
        """Words of the caller."""
        self.caller.add_text(text, self.now_ms)

    def event(self, kind: str, *, at_ms: float | None = None, **data: object) -> None:
        """Add to the call's event list."""
        self.log.event(kind, round(self.now_ms if at_ms is None else at_ms), **data)

    def tick(self) -> None:
        """Write what has ended since; to be called about ten times a second."""
        now_ms = self.now_ms
        self._write(self.caller.settle(now_ms))
        self._write(self.agent.settle(now_ms))

    def close(self) -> None:
        """The call is over: write what was still open."""
        now_ms = self.now_ms
        self._write(self.caller.settle(now_ms, finished=True))
        self._write(self.agent.settle(now_ms, finished=True))

    def _end_previous(self) -> None:
        # Audio is sent at most a fifth of a second ahead: what was complete before is as good as heard.
        if self.agent.is_complete:
            self._write(self.agent.settle(max(self.now_ms, self.line.playout.end_ms)))

    def _begin_utterance(self, at_ms: float) -> None:
        self.spoken_count += 1
        self.caller.answer(self.now_ms)
        if self.first_word_ms is None:
            self.first_word_ms = at_ms
            metrics.FIRST_WORD_SECONDS.observe(at_ms / 1000)
            self.event("latency.first_word", at_ms=at_ms, ms=round(at_ms))
        if self.reply_due_ms is not None:
            delay_ms = at_ms - self.reply_due_ms
            self.reply_due_ms = None
            metrics.REPLY_LATENCY_SECONDS.labels(agent=self.agent_name).observe(delay_ms / 1000)
            self.event("latency.reply", at_ms=at_ms, ms=round(delay_ms))

    def _write(self, turn: Turn | None) -> None:
        if turn is not None and self.keeps_turns:
            self.log.turn(turn)
