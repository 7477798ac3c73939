"""What is left of one drill: plain facts, for somebody else to judge."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from chaos.drills import Drill
from transcripts.models import CallEventRow, TurnRow


@dataclass
class Wait:
    """The caller waits for an answer.

    Attributes:
        from_ms: Stream time of his last loud sound; 0 for the greeting.
        until_ms: When the answer had been said to its end; None when the stream ended before.
        is_answered: Whether it was the answer, rather than the end of his patience.
    """

    from_ms: float
    until_ms: float | None = None
    is_answered: bool = False


@dataclass
class Played:
    """One drill, played.

    Attributes:
        drill: Which one.
        struck: What really happened to it: names of faults, and `dropped`.
        said: The caller's sentences, as far as he began them.
        waits: His waits: for the greeting, then one behind each sentence.
        heard: (start_ms, end_ms) of each stretch in which he heard something, in stream time.
        stream_ms: How long the stream was.
        verbs: What Twilio carried out: (ms since dialling, verb, detail).
        told_results: Ids of tool calls, each as often as its result was sent to the model.
        end_reason: As the call's row has it; None when it never ended.
        problem: What went wrong with the drill itself; empty: nothing.
    """

    drill: Drill
    struck: set[str] = field(default_factory=set[str])
    said: list[str] = field(default_factory=list[str])
    waits: list[Wait] = field(default_factory=list[Wait])
    heard: Sequence[tuple[float, float]] = ()
    stream_ms: float = 0.0
    verbs: Sequence[tuple[int, str, str]] = ()
    turns: Sequence[TurnRow] = ()
    events: Sequence[CallEventRow] = ()
    told_results: Sequence[str] = ()
    end_reason: str | None = None
    took_secs: float = 0.0
    problem: str = ""

    def story(self) -> list[str]:
        """Tell the call's events, one a line."""
        ordered = sorted(self.events, key=lambda event: (event.at_ms, event.seq))
        return [f"{event.at_ms:7} ms  {event.kind}  {event.data or ''}" for event in ordered]
