"""The door of `/v1/calls`: API keys and their scopes, the open mode, and problems as RFC 9457 has them."""

from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest

from storage.errors import DatabaseAway
from tests.unit.api.wire import CALL_SID, Line

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
    assert (await open_line.http.get("/v1/calls")).json() == {"calls": []}
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
    assert (await open_line.http.get(f"/v1/calls/{call['call_id']}")).json() == call
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
