"""Spans: what a call's events become, and their way to a collector that is there, or is not."""

import asyncio
import time
from typing import Any

import pytest

from telemetry import metrics
from telemetry.call_trace import CallTraces
from telemetry.request_note import begin_note, end_note, note_call
from telemetry.traceparent import read_traceparent
from telemetry.traces import Span, now_ns, open_tracer, read_headers, trace_of
from telemetry.work_trace import request_span, work_span
from tests.unit.telemetry.collector import attributes, collecting

PARENT = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"


def dropped() -> float:
    return metrics.REGISTRY.get_sample_value("trunkline_spans_dropped_total") or 0.0


def told(*events: tuple[str, float, dict[str, Any]]) -> list[Span]:
    spans: list[Span] = []
    traces = CallTraces(spans.append)
    for kind, at_ms, data in (("call.live", 0.0, dict[str, Any]()), *events):
        traces.event("c1", "front-desk", kind, at_ms, data, None)
    return spans


def test_events_become_spans_of_one_trace() -> None:
    spans = told(
        ("model.ready", 100, {"beginning": "new", "cause": "connect", "took_ms": 300}),
        ("latency.first_word", 400, {"ms": 400}),
        ("latency.reply", 5200, {"ms": 700}),
        ("tool.called", 6000, {"name": "book", "arguments": {"name": "Ada"}}),
        ("tool.result", 6400, {"name": "book", "result": "for Ada", "took_ms": 400}),
        ("tool.called", 6500, {"name": "book"}),
        ("tool.failed", 6700, {"name": "book", "error": "no such Ada"}),
        ("transfer.begun", 7000, {"destination": "ada", "mode": "cold"}),
        ("call.away", 8000, {"purpose": "dial"}),
        ("call.back", 9000, {}),
        ("transfer.failed", 9000, {"destination": "ada", "outcome": "busy"}),
        ("tool.called", 9500, {"name": "slow"}),
        ("call.ended", 10_000, {"reason": "caller_hung_up", "detail": "Ada"}),
    )
    trace_id, root_id = trace_of("c1")
    assert {span.trace_id for span in spans} == {trace_id}
    zero = spans[-1].start_ns
    seen = [(s.name, round((s.start_ns - zero) / 1e6), round((s.end_ns - zero) / 1e6), s.is_error) for s in spans]
    assert seen == [
        ("model connection", -200, 100, False),
        ("first word", 0, 400, False),
        ("turn", 4500, 5200, False),
        ("tool", 6000, 6400, False),
        ("tool", 6500, 6700, True),
        ("stream", 0, 8000, False),
        ("transfer", 7000, 9000, True),
        ("stream", 9000, 10_000, False),
        ("tool", 9500, 10_000, False),
        ("call", 0, 10_000, False),
    ]
    assert [span.parent_id for span in spans] == [root_id] * 9 + [None]
    assert spans[-1].span_id == root_id
    assert spans[-1].attributes == {"call_id": "c1", "agent": "front-desk", "end_reason": "caller_hung_up"}
    assert spans[2].attributes == {"latency_ms": 700, "agent": "front-desk"}
    assert "ada" not in repr(spans).lower()


def test_events_of_a_call_that_is_not_known_are_nothing() -> None:
    spans: list[Span] = []
    traces = CallTraces(spans.append)
    traces.event("c9", "a", "tool.called", 1, {}, None)
    traces.event("c9", "a", "call.ended", 1, {}, None)
    assert spans == []
    traces.event("c1", "a", "call.live", 0, {}, None)
    for number in range(200):
        traces.event("c1", "a", "tool.called", number, {"name": f"t{number}"}, None)
    traces.event("c1", "a", "call.ended", 300, {"reason": "failed"}, 5)
    assert len(spans) == 64 + 2
    assert (spans[-1].start_ns, spans[-1].is_error) == (5, True)


@pytest.mark.parametrize(
    "text",
    [None, "", "x", PARENT.upper(), PARENT[:-1], PARENT + "-x", "ff" + PARENT[2:], "00-" + "0" * 32 + PARENT[35:]],
)
def test_a_bad_traceparent_is_none(text: str | None) -> None:
    assert read_traceparent(text) is None


def test_a_good_traceparent_is_read() -> None:
    assert read_traceparent(PARENT) == (0x4BF92F3577B34DA6A3CE929D0E0E4736, 0x00F067AA0BA902B7)
    assert read_traceparent("01" + PARENT[2:] + "-later") is not None


def test_a_request_is_in_the_trace_of_its_call_unless_somebody_trusted_has_one() -> None:
    note, token = begin_note()
    note_call("c1")
    end_note(token)
    note_call("c2")  # no request is served
    call = trace_of("c1")
    own = request_span("POST", "/twilio/voice", 200, note, 5, None)
    assert (own.trace_id, own.parent_id, own.link) == (*call, None)
    asked = request_span("POST", "/v1/calls", 503, note, 5, (7, 8))
    assert (asked.trace_id, asked.parent_id, asked.link, asked.is_error) == (7, 8, call, True)
    lonely = request_span("GET", "/v1/calls", 200, begin_note()[0], 5, None)
    assert (lonely.parent_id, lonely.link) == (None, None)
    work = work_span("webhook", note, 5, "delivered", is_error=False)
    assert work is not None
    assert (work.trace_id, work.parent_id) == call
    assert work_span("webhook", begin_note()[0], 5, "", is_error=True) is None


async def test_spans_reach_a_collector_as_it_is_configured() -> None:
    with collecting() as collector:
        headers = read_headers("authorization=Bearer%20x, plain = y,nonsense")
        async with open_tracer(collector.url + "/", headers, None, "ours", "p1") as tracer:
            assert tracer is not None
            start_ns = now_ns()
            tracer.take(Span("turn", *trace_of("c1"), 77, start_ns, start_ns + 5_000_000, {"latency_ms": 5}))
        [span] = collector.spans
        assert (span.name, span.parent_span_id, attributes(span)) == ("turn", (77).to_bytes(8), {"latency_ms": 5})
        assert span.trace_id == trace_of("c1")[0].to_bytes(16)
        assert span.end_time_unix_nano - span.start_time_unix_nano == 5_000_000
        assert collector.resources[0]["service.name"] == "ours"
        assert collector.headers[0]["authorization"] == "Bearer x"
        assert collector.headers[0]["plain"] == "y"


async def test_a_collector_that_is_away_costs_nothing_but_counted_spans() -> None:
    before = dropped()
    async with open_tracer("http://127.0.0.1:9", {}, None, "ours", "p1") as tracer:
        assert tracer is not None
        began = time.thread_time()
        for number in range(5000):
            tracer.take(Span("turn", 1, number + 1, None, 1, 2))
        assert time.thread_time() - began < 0.5
        await asyncio.sleep(0)
        leaving = time.perf_counter()
    assert time.perf_counter() - leaving < 9
    assert dropped() - before > 900


async def test_without_a_collector_there_is_nothing() -> None:
    async with open_tracer(None, {}, None, "ours", "p1") as tracer:
        assert tracer is None
