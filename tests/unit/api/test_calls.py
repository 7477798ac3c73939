"""The door of `/v1/calls`: API keys and their scopes, the open mode, and problems as RFC 9457 has them."""

import base64
import json
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest
from loguru import logger

from storage.errors import DatabaseAway
from tests.unit.api.wire import CALL_SID, Line
from transcripts.call import Call, CallEvent, Direction, EndReason, RecordingStatus, Speaker, Turn

BODY = {"agent": "front-desk", "to": "+15551230177"}


async def key(line: Line, *scopes: str, **changes: Any) -> dict[str, str]:
    made = await line.server.services.keys.create("test", scopes, now=datetime.now(UTC), **changes)
    return {"Authorization": f"Bearer {made.text}"}


def problem(answer: httpx.Response, status: int) -> dict[str, Any]:
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    told: dict[str, Any] = answer.json()
    kind = f"urn:trunkline:problem:{told['error']}"
    assert (told["status"], told["type"], bool(told["title"]), bool(told["cure"])) == (status, kind, True, True)
    assert told["instance"] == answer.headers["x-request-id"]
    return told


@pytest.mark.parametrize(
    ("method", "path", "scope"),
    [
        ("GET", "/v1/calls", "calls:read"),
        ("GET", "/v1/calls/c1", "calls:read"),
        ("POST", "/v1/calls", "calls:write"),
        ("POST", "/v1/calls/c1/hang-up", "calls:write"),
    ],
)
async def test_each_route_wants_a_key_with_its_scope(line: Line, method: str, path: str, scope: str) -> None:
    async def ask(headers: dict[str, str]) -> httpx.Response:
        return await line.http.request(method, path, headers=headers, json=BODY if method == "POST" else None)

    for headers in ({}, {"Authorization": "Basic eDp5"}, {"Authorization": "Bearer"}):
        answer = await ask(headers)
        assert "An API key is needed" in problem(answer, 401)["detail"]
        assert answer.headers["www-authenticate"] == "Bearer"
    assert "not one of this server's" in problem(await ask({"Authorization": "Bearer tk_x"}), 401)["detail"]
    other = {"calls:read", "calls:write"} - {scope}
    assert scope in problem(await ask(await key(line, *other)), 403)["detail"]
    assert (await ask(await key(line, scope))).status_code in (200, 404, 503)
    expired = await key(line, scope, expires_at=datetime.now(UTC) - timedelta(seconds=1))
    assert "has expired" in problem(await ask(expired), 401)["detail"]
    revoked = await key(line, scope)
    for row in await line.server.services.keys.list_keys():
        await line.server.services.keys.revoke(row.key_id, now=datetime.now(UTC))
    assert "was revoked" in problem(await ask(revoked), 401)["detail"]


async def test_this_machine_needs_no_key_in_the_open_mode_and_no_call_is_placed_without_twilio(open_line: Line) -> None:
    assert (await open_line.http.get("/v1/calls")).json() == {"calls": [], "next_cursor": None}
    told = problem(await open_line.http.post("/v1/calls", json=BODY), 503)
    assert (told["error"], "TWILIO_ACCOUNT_SID" in told["cure"]) == ("no_twilio", True)
    tunnelled = await open_line.http.get("/v1/calls", headers={"X-Forwarded-For": "203.0.113.9"})
    assert problem(tunnelled, 401)["error"] == "key_needed"
    assert "limit: must be <= 200" in problem(await open_line.http.get("/v1/calls?limit=1000"), 422)["detail"]
    bad_key = await open_line.http.post("/v1/calls", json=BODY, headers={"Idempotency-Key": "x" * 300})
    assert "Idempotency-Key" in problem(bad_key, 422)["detail"]


async def test_calls_of_any_direction_are_shown_and_hung_up(open_line: Line) -> None:
    await open_line.ring()
    (call,) = (await open_line.http.get("/v1/calls?agent=front-desk")).json()["calls"]
    assert (call["status"], call["direction"], call["call_sid"]) == ("ringing", "inbound", CALL_SID)
    parts = ("turns", "tools", "events", "latency", "cost", "analysis")
    nothing = dict.fromkeys(parts) | {"events_left_off": False}
    assert (await open_line.http.get(f"/v1/calls/{call['call_id']}?include=none")).json() == call | nothing
    assert problem(await open_line.http.get("/v1/calls/none"), 404)["detail"] == "There is no such call."
    assert problem(await open_line.http.post("/v1/calls/none/hang-up"), 404)["error"] == "no_such_call"


async def test_a_webhook_for_a_call_that_is_none_of_ours_is_hung_up(line: Line) -> None:
    form = {"CallSid": CALL_SID, "To": "+15551230177", "From": "+15551230100"}
    answer = await line.post("/twilio/voice?call_id=unheard-of", **form)
    assert (answer.status_code, "<Hangup" in answer.text) == (200, True)
    status = await line.post("/twilio/status?call_id=unheard-of", CallSid=CALL_SID, CallStatus="ringing")
    assert status.status_code == 204


async def test_whoever_answers_while_the_database_is_away_hears_no_error_of_twilios(line: Line) -> None:
    async def away(call_id: str, call_sid: str) -> None:
        raise DatabaseAway("away")

    object.__setattr__(line.server.services.dialler, "take_webhook", away)
    form = {"CallSid": CALL_SID, "To": "+15551230177", "From": "+15551230100"}
    answer = await line.post("/twilio/voice?call_id=c1", **form)
    assert (answer.status_code, "<Hangup" in answer.text) == (200, True)


async def test_a_call_is_shown_with_what_was_said_and_how_long_it_took(open_line: Line) -> None:
    await open_line.ring()
    call_id, store, http = (await open_line.row()).call_id, open_line.server.services.store, open_line.http
    await store.go_live(call_id)
    await store.add_turn(call_id, 0, Turn(Speaker.AGENT, "Good morning.", 600, 1500))
    told = [
        CallEvent("latency.first_word", 600, {"ms": 600}),
        CallEvent("tool.called", 3000, {"name": "book", "arguments": {"day": "Tuesday"}}),
        CallEvent("tool.result", 3200, {"name": "book", "result": {"booked": True}, "took_ms": 200}),
        CallEvent("latency.reply", 4000, {"ms": 800}),
    ]
    await store.add_events(call_id, 0, told)
    await store.finish_call(call_id, EndReason.CALLER_HUNG_UP, recording_status=RecordingStatus.COMPLETE)
    call = (await http.get(f"/v1/calls/{call_id}")).json()
    (turn,), (tool,) = call["turns"], call["tools"]
    assert (turn["speaker"], turn["text"], turn["start_ms"]) == ("agent", "Good morning.", 600)
    assert (tool["name"], tool["arguments"], tool["outcome"]) == ("book", {"day": "Tuesday"}, "result")
    assert [event["kind"] for event in call["events"]] == [event.kind for event in told]
    latency = call["latency"]
    assert (latency["first_word_ms"], latency["reply_ms"]["p50"], latency["tools"]["book"]["max"]) == (600, 800, 200)
    assert latency["connect_ms"] >= 0
    assert call["duration_secs"] >= 0
    assert call["recording"] == {"status": "complete", "error": None, "url": f"/v1/calls/{call_id}/recording"}
    light = (await http.get(f"/v1/calls/{call_id}?include=turns")).json()
    assert (light["turns"], light["tools"], light["events"], light["latency"]) == (call["turns"], None, None, None)
    for include in ("all", "turns,", "turns;tools", "", "none,turns"):
        problem(await http.get(f"/v1/calls/{call_id}?include={include}"), 422)


async def test_lists_have_pages_and_refuse_what_is_no_cursor_of_theirs(open_line: Line) -> None:
    http, store = open_line.http, open_line.server.services.store
    for i in range(5):
        call = Call(f"c{i}", None, "front-desk", Direction.BROWSER, None, None, {}, datetime(2026, 3, 1, 9, tzinfo=UTC))
        await store.open_call(call)
    seen: list[str] = []
    cursor = ""
    while True:
        page = (await http.get(f"/v1/calls?limit=2&agent=front-desk{cursor}")).json()
        seen += [call["call_id"] for call in page["calls"]]
        if page["next_cursor"] is None:
            break
        cursor = f"&cursor={page['next_cursor']}"
    assert seen == ["c4", "c3", "c2", "c1", "c0"]
    problem(await http.get(f"/v1/calls?limit=2{cursor}"), 422)  # another list
    made = [["2026-03-01T09:00:00", "c1", "x"], ["' OR 1=1", "c1", "x"], [1, 2, 3], {"a": 1}, "x", []]
    odd = [base64.urlsafe_b64encode(json.dumps(one).encode()).decode().rstrip("=") for one in made]
    for text in [*odd, "AAAA", "____", "x", "../../etc/passwd", "a" * 401, "%00", "%27%20OR%201=1"]:
        problem(await http.get(f"/v1/calls?cursor={text}"), 422)
    for query in ("status=gone", "direction=", "number=15551230100", "number=+15551230100", "since=2026-03-01",
                  "since=1700000000", "until=2026-03-01T09:00:00", "since=0001-01-01T00:00:00%2B14:00",
                  "until=9999-12-31T23:59:59-14:00", "has_recording=yes", "answered_by=nobody"):  # fmt: skip
        problem(await http.get(f"/v1/calls?{query}"), 422)
    for query in ("number=%2B15551230100", "since=2026-03-01T09:00:00Z&until=2026-03-01T10:00:00%2B01:00"):
        assert (await http.get(f"/v1/calls?{query}")).json()["calls"] == []


async def test_a_key_bound_to_agents_sees_and_ends_their_calls_alone(line: Line) -> None:
    await line.ring()
    call_id = (await line.row()).call_id
    own = await key(line, "calls:read", "calls:write", agents=["front-desk"])
    others = await key(line, "calls:read", "calls:write", agents=["survey"])
    for headers, count, status in ((own, 1, 200), (others, 0, 404)):
        assert len((await line.http.get("/v1/calls", headers=headers)).json()["calls"]) == count
        assert (await line.http.get(f"/v1/calls/{call_id}", headers=headers)).status_code == status
    hung_up = await line.http.post(f"/v1/calls/{call_id}/hang-up", headers=others)
    assert (hung_up.status_code, (await line.row()).status) == (404, "ringing")
    refused, unknown = [
        problem(await line.http.post("/v1/calls", headers=others, json=BODY | {"agent": agent}), 404)
        for agent in ("front-desk", "nobody")
    ]
    assert refused["error"] == unknown["error"] == "no_such_agent"


async def test_a_clear_value_in_a_sealed_row_is_refused_and_the_log_says_where(open_line: Line) -> None:
    await open_line.ring()
    call_id = (await open_line.row()).call_id
    store = open_line.server.services.store
    await open_line.eventually(lambda: store.ring.is_sealed_wholly("calls"))
    async with open_line.server.services.database.writer() as session:
        await (await session.connection()).exec_driver_sql("UPDATE calls SET from_number = '+15550000666'")
    found: list[str] = []
    sink = logger.add(lambda line: found.append(str(line)), level="ERROR", format="{message} {extra}")
    try:
        told = problem(await open_line.http.get(f"/v1/calls/{call_id}"), 500)
    finally:
        logger.remove(sink)
    assert (told["detail"], told["cure"]) == (
        "What is kept here does not open: it was changed or damaged.",
        "Restore it from a backup.",
    )
    [line] = found
    assert "calls.from_number is not sealed, in a table that was sealed wholly" in line
    assert f"the row is call_id = {call_id}" in line
    assert "0666" not in line + str(told)
