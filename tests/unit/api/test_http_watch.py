"""What `/metrics` tells of requests, of calls and of what waits."""

import asyncio
from pathlib import Path

import pytest

from config.settings import Settings
from storage.workflow_tables import WorkflowTables
from storage.workflows import Workflows
from telemetry import metrics
from telemetry.request_note import RequestNote, note_call
from telemetry.traces import trace_of
from tests.unit.api.test_calls import key
from tests.unit.api.wire import CALL_SID, NUMBER, Line, reachable, serve
from tests.unit.telemetry.collector import attributes, collecting
from tests.unit.telemetry.test_traces import PARENT


async def figures(line: Line) -> dict[str, float]:
    text = (await line.http.get("/metrics")).text
    rows = [row.rsplit(" ", 1) for row in text.splitlines() if not row.startswith("#")]
    return {name: float(value) for name, value in rows}


async def test_requests_are_counted_by_route_and_no_path_is_a_label(open_line: Line) -> None:
    before = await figures(open_line)
    await open_line.http.get("/v1/calls/some-call-id")
    await open_line.http.get("/v1/calls/another-call-id")
    await open_line.http.get("/nothing/here/at-all")
    await open_line.http.request("PROPFIND", "/livez")
    after = await figures(open_line)

    def grown(method: str, route: str, status: int) -> float:
        name = f'trunkline_http_requests_total{{method="{method}",route="{route}",status="{status}"}}'
        return after.get(name, 0.0) - before.get(name, 0.0)

    assert grown("GET", "/v1/calls/{call_id}", 404) == 2
    assert grown("GET", "unmatched", 404) == 1
    assert grown("other", "/livez", 405) == 1
    assert not [name for name in after if "call-id" in name or "at-all" in name]
    assert after['trunkline_http_request_seconds_count{route="/v1/calls/{call_id}"}'] >= 2
    assert after['trunkline_queue_length{queue="dials"}'] == 0


async def test_who_leaves_before_his_body_is_whole_is_no_fault_of_the_server(
    open_line: Line, caplog: pytest.LogCaptureFixture
) -> None:
    def count(route: str, status: str) -> float:
        labels = {"method": "POST", "route": route, "status": status}
        return metrics.REGISTRY.get_sample_value("trunkline_http_requests_total", labels) or 0.0

    routes = ("/twilio/voice", "unmatched")  # a body of /v1 is read before its route is known
    before = {route: (count(route, "gone"), count(route, "500")) for route in routes}
    host, port = open_line.server.base_url.removeprefix("http://").split(":")
    for path in ("/twilio/voice", "/v1/calls"):
        _, writer = await asyncio.open_connection(host, int(port))
        writer.write(f"POST {path} HTTP/1.1\r\nHost: {host}\r\nContent-Length: 9\r\n\r\nshort".encode())
        await writer.drain()
        await asyncio.sleep(0.1)
        writer.close()
    async with asyncio.timeout(5):
        while any(count(route, "gone") == before[route][0] for route in routes):  # noqa: ASYNC110 - nobody tells of it
            await asyncio.sleep(0.02)
    assert {route: (count(route, "gone") - 1, count(route, "500")) for route in routes} == before
    assert caplog.records == []


async def test_a_refused_call_is_a_refused_one_and_nothing_else(line: Line) -> None:
    line.server.services.live.max_calls = 0

    def count(outcome: str) -> float:
        return metrics.REGISTRY.get_sample_value("trunkline_call_outcomes_total", {"outcome": outcome}) or 0.0

    before = {outcome: count(outcome) for outcome in ("served", "theirs", "ours", "refused")}
    await line.post("/twilio/voice", CallSid=CALL_SID, To=NUMBER, From="+15557654321")
    after = {outcome: count(outcome) - before[outcome] for outcome in before}
    assert after == {"served": 0, "theirs": 0, "ours": 0, "refused": 1}


async def test_a_traceparent_is_believed_of_a_key_and_of_nobody_else(settings: Settings) -> None:
    with collecting() as collector:
        async with serve(reachable(settings, otel_endpoint=collector.url)) as line:
            reader = await key(line, "calls:read")
            await line.http.get("/v1/calls", headers={**reader, "traceparent": PARENT})
            await line.http.get("/v1/calls", headers={"traceparent": PARENT})
            await line.ring()
            await line.http.get("/livez", headers={"traceparent": PARENT})
            row = await line.row()
    spans = {(span.name, attributes(span)["http.response.status_code"]): span for span in collector.spans}
    assert set(spans) == {("GET /v1/calls", 200), ("GET /v1/calls", 401), ("POST /twilio/voice", 200)}
    trusted, stranger, webhook = (spans[each] for each in sorted(spans))
    assert (trusted.trace_id.hex(), trusted.parent_span_id.hex()) == (PARENT[3:35], PARENT[36:52])
    assert stranger.trace_id.hex() != PARENT[3:35]
    assert not stranger.parent_span_id
    trace_id, root_id = trace_of(row.call_id)
    assert (webhook.trace_id, webhook.parent_span_id) == (trace_id.to_bytes(16), root_id.to_bytes(8))
    assert attributes(webhook)["call_id"] == row.call_id


async def test_work_after_a_call_is_in_its_trace(tmp_path: Path) -> None:
    told: list[tuple[str, str | None, str, bool]] = []

    def watch(work: str, note: RequestNote, start_ns: int, outcome: str, is_error: bool) -> None:
        told.append((work, note.call_id, outcome, is_error))
        assert start_ns > 0

    async def send(key: str) -> str:
        note_call(f"call of {key}")
        return "delivered"

    tables = WorkflowTables(f"sqlite+aiosqlite:///{tmp_path}/trunkline.db", tmp_path)
    workflows = Workflows(tables, "p1", poll_secs=0.05)
    workflows.add("webhook", (send,))
    workflows.watch = watch
    async with workflows.carrying_out(), asyncio.timeout(20):
        await workflows.schedule("webhook", "d1")
        while not told:  # noqa: ASYNC110 - done in another thread
            await asyncio.sleep(0.02)
    assert told == [("webhook", "call of d1", "delivered", False)]
