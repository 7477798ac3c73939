"""How long the caller waited for what, and what the tools did: worked out of a call's events. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from statistics import quantiles
from typing import Any, cast


class ToolOutcome(StrEnum):
    """What became of a tool call."""

    RESULT = "result"
    FAILED = "failed"
    """It raised, or took too long; the model was told so."""
    REFUSED = "refused"
    """A rule of the agent's kept it from running, or the caller did not confirm it."""
    CANCELLED = "cancelled"
    OPEN = "open"
    """It runs, or its end was never told."""


@dataclass(slots=True)
class ToolCall:
    """One use of a tool; moments in ms of call time. `took_ms`: from the model's wish to the result."""

    name: str
    at_ms: int
    arguments: dict[str, Any] | None = None
    outcome: ToolOutcome = ToolOutcome.OPEN
    result: Any = None
    problem: str | None = None
    took_ms: int | None = None


@dataclass(frozen=True, slots=True)
class Told:
    """An event of the call's log."""

    kind: str
    at_ms: int
    data: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Spread:
    """How numbers are spread: how many there are, the middle one, the one that 95 % stay below, the largest; ms."""

    count: int
    p50: int
    p95: int
    max: int


@dataclass(frozen=True, slots=True)
class Reply:
    """The agent began to be heard at `at_ms` of call time, `ms` after the caller had fallen silent."""

    at_ms: int
    ms: int


@dataclass(frozen=True, slots=True)
class Times:
    """Latency by stage, as the caller has it.

    Attributes:
        first_word_ms: From the start of the stream to the agent's first sound on the line.
        model_ready_ms: How long the model took to be connected, the first time.
        replies: Each reply's delay.
        reply: Their spread.
        tools: By name, the spread of how long results took.
        recoveries: How often a lost or stalled model was replaced.
    """

    first_word_ms: int | None = None
    model_ready_ms: int | None = None
    replies: list[Reply] = field(default_factory=list[Reply])
    reply: Spread | None = None
    tools: dict[str, Spread] = field(default_factory=dict[str, Spread])
    recoveries: int = 0


_ENDS = {
    "tool.result": ToolOutcome.RESULT,
    "tool.failed": ToolOutcome.FAILED,
    "tool.refused": ToolOutcome.REFUSED,
    "tool.cancelled": ToolOutcome.CANCELLED,
}


def tool_calls(events: Sequence[Told]) -> list[ToolCall]:
    """Return what the model had done, in the order it asked; `events` in call time.

    A tool that was asked for twice at the same time has its ends in the order they came.
    """
    found: list[ToolCall] = []
    for event in events:
        name = str(event.data.get("name", ""))
        if event.kind == "tool.called":
            found.append(ToolCall(name, event.at_ms, _mapping(event.data.get("arguments"))))
            continue
        outcome = _ENDS.get(event.kind)
        if outcome is None:
            continue
        open_one = next((call for call in found if call.name == name and call.outcome is ToolOutcome.OPEN), None)
        if open_one is None:
            if outcome is not ToolOutcome.REFUSED:
                continue  # what was answered is answered
            open_one = ToolCall(name, event.at_ms)  # a tool that there is not is refused without being called
            found.append(open_one)
        open_one.outcome, open_one.result = outcome, event.data.get("result")
        problem = event.data.get("error") or event.data.get("reason")
        open_one.problem = None if problem is None else str(problem)
        open_one.took_ms = _whole(event.data.get("took_ms"))
    return found


def times_of(events: Sequence[Told]) -> Times:
    """Return how long the caller waited for what; `events` in call time."""
    ready = [ms for event in events if event.kind == "model.ready" and (ms := _told_ms(event, "took_ms")) is not None]
    first = [ms for event in events if event.kind == "latency.first_word" and (ms := _told_ms(event)) is not None]
    replies = [
        Reply(event.at_ms, ms)
        for event in events
        if event.kind == "latency.reply" and (ms := _told_ms(event)) is not None
    ]
    by_tool: dict[str, list[int]] = {}
    for call in tool_calls(events):
        if call.took_ms is not None:
            by_tool.setdefault(call.name, []).append(call.took_ms)
    return Times(
        first_word_ms=first[0] if first else None,
        model_ready_ms=ready[0] if ready else None,
        replies=replies,
        reply=spread([reply.ms for reply in replies]),
        tools={name: found for name, took in sorted(by_tool.items()) if (found := spread(took)) is not None},
        recoveries=sum(1 for event in events if event.kind == "recovery" and event.data.get("outcome") == "recovered"),
    )


def spread(numbers: Sequence[int]) -> Spread | None:
    """Return the spread of numbers; None of none."""
    if not numbers:
        return None
    cuts = quantiles(numbers, n=20, method="inclusive") if len(numbers) > 1 else [numbers[0]] * 19
    return Spread(len(numbers), round(cuts[9]), round(cuts[18]), max(numbers))


def _told_ms(event: Told, name: str = "ms") -> int | None:
    return _whole(event.data.get(name))


def _mapping(value: object) -> dict[str, Any] | None:
    return cast(dict[str, Any], value) if isinstance(value, dict) else None


def _whole(value: object) -> int | None:
    return round(value) if isinstance(value, int | float) and not isinstance(value, bool) else None
