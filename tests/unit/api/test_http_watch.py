"""What `/metrics` tells of requests, of calls and of what waits."""

from telemetry import metrics
from tests.unit.api.wire import CALL_SID, NUMBER, Line


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


async def test_a_refused_call_is_a_refused_one_and_nothing_else(line: Line) -> None:
    line.server.services.live.max_calls = 0

    def count(outcome: str) -> float:
        return metrics.REGISTRY.get_sample_value("trunkline_call_outcomes_total", {"outcome": outcome}) or 0.0

    before = {outcome: count(outcome) for outcome in ("served", "theirs", "ours", "refused")}
    await line.post("/twilio/voice", CallSid=CALL_SID, To=NUMBER, From="+15557654321")
    after = {outcome: count(outcome) - before[outcome] for outcome in before}
    assert after == {"served": 0, "theirs": 0, "ours": 0, "refused": 1}
