"""Requests, and work that comes after a call, as spans: in the call's trace when they were about one."""

from telemetry.request_note import RequestNote
from telemetry.traces import Attributes, Kind, Span, new_span_id, new_trace_id, now_ns, trace_of


def work_span(work: str, note: RequestNote, start_ns: int, outcome: str, *, is_error: bool) -> Span | None:
    """Return the span of a step of durable work; None when it was about no call. `outcome`: one word of ours."""
    if note.call_id is None:
        return None
    trace_id, root_id = trace_of(note.call_id)
    attributes: Attributes = {"call_id": note.call_id, "work": work, "outcome": outcome}
    name = f"after call: {work}"
    return Span(name, trace_id, new_span_id(), root_id, start_ns, now_ns(), attributes, is_error=is_error)


def request_span(
    method: str, route: str, status: int, note: RequestNote, start_ns: int, remote: tuple[int, int] | None
) -> Span:
    """Return the span of an HTTP request.

    Args:
        method: Its method.
        route: The template of the route that answered.
        status: Of the answer.
        note: What was found out about it: a call's own trace takes it in.
        start_ns: When it began.
        remote: The trace and span of whoever asked, of somebody who is trusted; it then belongs to that trace, and
            links to the call's.
    """
    call = None if note.call_id is None else trace_of(note.call_id)
    trace_id, parent_id = remote or call or (new_trace_id(), None)
    attributes: dict[str, str | int | float | bool] = {
        "http.request.method": method,
        "http.route": route,
        "http.response.status_code": status,
    }
    if note.call_id is not None:
        attributes["call_id"] = note.call_id
    return Span(
        name=f"{method} {route}",
        trace_id=trace_id,
        span_id=new_span_id(),
        parent_id=parent_id,
        start_ns=start_ns,
        end_ns=now_ns(),
        attributes=attributes,
        kind=Kind.SERVER,
        is_error=status >= 500,
        link=call if remote is not None else None,
        is_parent_remote=remote is not None,
    )
