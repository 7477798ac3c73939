"""The trace of a call, made of its events: the call, its streams, connections to the model, turns, tools, transfers.

Nothing that was said, no number and no name of a person is in a span: of an event only what is named here is taken.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from telemetry.traces import Attributes, Kind, Span, new_span_id, now_ns, trace_of

_TOOL_ENDS = frozenset({"result", "failed", "refused", "declined", "cancelled"})
_ENDED_WELL = frozenset({"result", "declined", "cancelled"})
_MOST_OPEN = 64
"""More tools and transfers than this are open at once in no call; the oldest is let go of."""


@dataclass
class _Trace:
    start_ns: int
    agent: str
    stream_ms: float | None = 0.0
    """Since when the call is on its stream; None: it is away."""
    open_since: dict[tuple[str, str], float] = field(default_factory=dict[tuple[str, str], float])


class CallTraces:
    """The traces of all calls of a process, told every event of each."""

    def __init__(self, take: Callable[[Span], None]) -> None:
        """Take who sends spans."""
        self._take = take
        self._traces: dict[str, _Trace] = {}

    def event(
        self, call_id: str, agent: str, kind: str, at_ms: float, data: Mapping[str, Any], began_ns: int | None
    ) -> None:
        """Take an event of a call at `at_ms` of call time. `began_ns`: when the call itself began, if that is known."""
        if kind == "call.live":
            self._traces[call_id] = _Trace(now_ns() - round(at_ms * 1e6), agent)
            return
        trace = self._traces.get(call_id)
        if trace is None:
            return
        first, _, second = kind.partition(".")
        match first:
            case "latency":
                ms = float(data.get("ms") or 0.0)
                name = "turn" if second == "reply" else "first word"
                self._span(call_id, trace, name, at_ms - ms, at_ms, {"latency_ms": round(ms), "agent": agent})
            case "model":
                self._model(call_id, trace, second, at_ms, data)
            case "tool":
                self._tool(call_id, trace, second, at_ms, data)
            case "transfer":
                self._pair(call_id, trace, "transfer", second, at_ms, begins="begun", is_error=second != "given_up")
            case "agent" if second in {"handing_over", "handed_over", "handoff_failed"}:
                is_error = second == "handoff_failed"
                self._pair(call_id, trace, "handoff", second, at_ms, begins="handing_over", is_error=is_error)
            case "call":
                self._call(call_id, trace, second, at_ms, data, began_ns)
            case _:
                pass

    def _call(
        self, call_id: str, trace: _Trace, second: str, at_ms: float, data: Mapping[str, Any], began_ns: int | None
    ) -> None:
        if second == "back":
            trace.stream_ms = at_ms
            return
        if second not in {"away", "ended"}:
            return
        if trace.stream_ms is not None:
            self._span(call_id, trace, "stream", trace.stream_ms, at_ms, {"left": second})
            trace.stream_ms = None
        if second == "away":
            return
        for (name, _), since_ms in trace.open_since.items():
            self._span(call_id, trace, name, since_ms, at_ms, {"outcome": "call_ended"})
        del self._traces[call_id]
        trace_id, root_id = trace_of(call_id)
        reason = str(data.get("reason") or "")
        attributes: Attributes = {"call_id": call_id, "agent": trace.agent, "end_reason": reason}
        start_ns = trace.start_ns if began_ns is None else min(began_ns, trace.start_ns)
        end_ns = trace.start_ns + round(at_ms * 1e6)
        is_error = reason in {"failed", "connection_lost"}
        self._take(Span("call", trace_id, root_id, None, start_ns, end_ns, attributes, is_error=is_error))

    def _model(self, call_id: str, trace: _Trace, second: str, at_ms: float, data: Mapping[str, Any]) -> None:
        if second == "ready":
            took_ms = float(data.get("took_ms") or 0.0)
            said: Attributes = {
                name: str(data[name]) for name in ("beginning", "cause") if isinstance(data.get(name), str)
            }
            began_ms = at_ms - took_ms
            self._span(call_id, trace, "model connection", began_ms, at_ms, said, kind=Kind.CLIENT)
        elif second in {"attempt_failed", "failed", "lost", "stalled"}:
            self._span(call_id, trace, f"model {second}", at_ms, at_ms, {}, is_error=True, kind=Kind.CLIENT)

    def _tool(self, call_id: str, trace: _Trace, second: str, at_ms: float, data: Mapping[str, Any]) -> None:
        key = "tool", str(data.get("name") or "")
        if second == "called":
            self._open(trace, key, at_ms)
        elif second in _TOOL_ENDS:
            since_ms = trace.open_since.pop(key, at_ms)
            attributes: Attributes = {"tool": key[1], "outcome": second}
            self._span(call_id, trace, "tool", since_ms, at_ms, attributes, is_error=second not in _ENDED_WELL)

    def _pair(
        self, call_id: str, trace: _Trace, name: str, second: str, at_ms: float, *, begins: str, is_error: bool
    ) -> None:
        if second == begins:
            self._open(trace, (name, ""), at_ms)
            return
        since_ms = trace.open_since.pop((name, ""), at_ms)
        self._span(call_id, trace, name, since_ms, at_ms, {"outcome": second}, is_error=is_error)

    def _open(self, trace: _Trace, key: tuple[str, str], at_ms: float) -> None:
        if len(trace.open_since) >= _MOST_OPEN:
            trace.open_since.pop(next(iter(trace.open_since)))
        trace.open_since[key] = at_ms

    def _span(
        self,
        call_id: str,
        trace: _Trace,
        name: str,
        start_ms: float,
        end_ms: float,
        attributes: Attributes,
        *,
        kind: Kind = Kind.INTERNAL,
        is_error: bool = False,
    ) -> None:
        trace_id, root_id = trace_of(call_id)
        zero = trace.start_ns
        start_ns, end_ns = zero + round(start_ms * 1e6), zero + round(end_ms * 1e6)
        span = Span(name, trace_id, new_span_id(), root_id, start_ns, end_ns, attributes, kind, is_error)
        self._take(span)
