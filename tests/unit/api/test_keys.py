"""`/v1/keys` and `/v1/tokens`: nobody gets more than who gives it has, and what is revoked ends at once."""

import time
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import jwt
import pytest

from api.secret_key import derive
from api.tokens import MOST_SECS, BadToken, TokenExpired, Tokens
from config.settings import Settings
from storage.audit import AuditFilter
from tests.unit.api.test_calls import key, problem
from tests.unit.api.wire import Line, reachable, serve

ADMIN = ("keys:read", "keys:write", "calls:read")
SECRET = b"s" * 32


def bearer(text: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {text}"}


async def make(line: Line, headers: dict[str, str], expect: int = 201, **body: Any) -> dict[str, Any]:
    answer = await line.http.post("/v1/keys", headers=headers, json={"name": "x", "scopes": ["calls:read"], **body})
    assert answer.status_code == expect, answer.text
    made: dict[str, Any] = answer.json()
    return made


async def test_a_key_is_made_seen_rotated_and_revoked_and_each_is_in_the_log(line: Line) -> None:
    admin = await key(line, *ADMIN)
    made = await make(line, admin, name="desk", agents=["front-desk"])
    assert (made["name"], made["scopes"], made["agents"], made["state"]) == (
        "desk",
        ["calls:read"],
        ["front-desk"],
        "good",
    )
    key_id, first = made["key_id"], made["key"]
    shown = (await line.http.get(f"/v1/keys/{key_id}", headers=admin)).json()
    assert shown == {name: value for name, value in made.items() if name != "key"}
    assert first not in (await line.http.get("/v1/keys", headers=admin)).text
    rotated = (await line.http.post(f"/v1/keys/{key_id}/rotate", headers=admin, json={"overlap_hours": 1})).json()
    assert rotated["old_secret_until"] is not None
    for text in (first, rotated["key"]):
        assert (await line.http.get("/v1/calls?agent=front-desk", headers=bearer(text))).status_code == 200
    again = await line.http.post(f"/v1/keys/{key_id}/rotate", headers=admin, json={"overlap_hours": 0})
    assert (await line.http.get("/v1/calls?agent=front-desk", headers=bearer(rotated["key"]))).status_code == 401
    revoked = await line.http.post(f"/v1/keys/{key_id}/revoke", headers=admin)
    assert revoked.json()["state"] == "revoked"
    told = problem(await line.http.get("/v1/calls", headers=bearer(again.json()["key"])), 401)
    assert told["error"] == "key_revoked"
    assert problem(await line.http.post(f"/v1/keys/{key_id}/rotate", headers=admin), 409)["error"] == "dead_key"
    entries = await line.server.services.audit.entries(AuditFilter(subject_id=key_id), 9)
    assert [entry.action for entry in entries] == ["keys.revoke", "keys.rotate", "keys.rotate", "keys.create"]
    assert all(entry.actor_id and entry.request_id and entry.address_index for entry in entries)
    assert first.split("_")[2] not in str([entry.model_dump() for entry in entries])


async def test_a_key_gives_no_more_than_it_has(line: Line) -> None:
    soon = datetime.now(UTC) + timedelta(days=1)
    admin = await key(line, *ADMIN, expires_at=soon, agents=["front-desk"])
    assert (await make(line, admin, 403, scopes=["calls:write"]))["error"] == "scope_too_wide"
    assert (await make(line, admin, 403, agents=["other"]))["error"] == "agents_too_wide"
    late = (soon + timedelta(seconds=1)).isoformat()
    assert (await make(line, admin, 422, expires_at=late))["error"] == "bad_moment"
    made = await make(line, admin)
    assert made["agents"] == ["front-desk"]
    assert datetime.fromisoformat(made["expires_at"]) == soon
    mighty = await line.server.services.keys.create("root", ["calls:write", "keys:write"], now=datetime.now(UTC))
    for path in (f"/v1/keys/{mighty.key_id}/rotate", f"/v1/keys/{mighty.key_id}/revoke"):
        assert (await line.http.post(path, headers=admin)).status_code == 403, "its secret would be the asker's"
    weak = await key(line, "keys:read")
    assert (await make(line, weak, 403))["error"] == "scope_missing"


@pytest.mark.parametrize(
    "body",
    [
        {"name": ""},
        {"name": "a\nb"},
        {"name": "x" * 101},
        {"scopes": []},
        {"scopes": ["calls:wirte"]},
        {"scopes": "calls:read"},
        {"expires_at": "2020-01-01T00:00:00Z"},
        {"expires_at": "9999-12-31T23:59:59-14:00"},
        {"expires_at": "0001-01-01T00:00:00+14:00"},
        {"expires_at": "2030-01-01T00:00:00"},
        {"agents": []},
        {"agents": ["No Name"]},
        {"admin": True},
    ],
)
async def test_a_bad_key_is_not_made(open_line: Line, body: dict[str, Any]) -> None:
    assert (await make(open_line, {}, 422, **body))["status"] == 422
    assert (await open_line.http.get("/v1/keys")).json()["keys"] == []


async def test_a_repeated_request_is_not_told_the_key_again(line: Line) -> None:
    admin = {**await key(line, *ADMIN), "Idempotency-Key": "once"}
    first = await make(line, admin)
    again = await make(line, admin)
    assert again == {**first, "key": None}
    token = {"scopes": ["calls:read"]}
    one, two = [(await line.http.post("/v1/tokens", headers=admin, json=token)).json() for _ in range(2)]
    assert two == {**one, "token": None}


async def test_keys_come_in_pages(line: Line) -> None:
    admin = await key(line, *ADMIN)
    for number in range(4):
        await make(line, admin, name=str(number))
    seen: list[str] = []
    path = "/v1/keys?limit=2"
    while path:
        page = (await line.http.get(path, headers=admin)).json()
        seen += [row["name"] for row in page["keys"]]
        path = f"/v1/keys?limit=2&cursor={page['next_cursor']}" if page["next_cursor"] else ""
    assert seen == ["3", "2", "1", "0", "test"]
    assert (await line.http.get("/v1/keys?cursor=" + "0" * 12, headers=admin)).status_code == 404


async def token(line: Line, headers: dict[str, str], expect: int = 201, **body: Any) -> dict[str, Any]:
    answer = await line.http.post("/v1/tokens", headers=headers, json={"scopes": ["calls:read"], **body})
    assert answer.status_code == expect, answer.text
    made: dict[str, Any] = answer.json()
    return made


async def test_a_token_is_good_for_its_scopes_its_call_and_its_agent(line: Line) -> None:
    await line.ring()
    row = await line.row()
    desk = await key(line, "calls:read", "calls:write", "keys:write")
    assert (await token(line, desk, 403, scopes=["agents:read"]))["error"] == "scope_too_wide"
    assert (await token(line, desk, 422, scopes=["keys:write"]))["error"] == "not_for_tokens"
    assert (await token(line, desk, 422, ttl_secs=MOST_SECS + 1))["status"] == 422

    async def ask(made: dict[str, Any], path: str, method: str = "GET") -> int:
        return (await line.http.request(method, path, headers=bearer(made["token"]))).status_code

    free = await token(line, desk)
    assert await ask(free, "/v1/calls") == 200
    assert await ask(free, f"/v1/calls/{row.call_id}/hang-up", "POST") == 403
    assert (
        await line.http.post("/v1/tokens", headers=bearer(free["token"]), json={"scopes": ["calls:read"]})
    ).status_code == 401
    ended = await line.http.post(f"/v1/calls/{row.call_id}/hang-up", headers=desk)
    entries = await line.server.services.audit.entries(AuditFilter(action="calls.hang_up"), 9)
    assert ended.status_code in (200, 503), "there is no Twilio here"
    assert [entry.subject_id for entry in entries] == ([row.call_id] if ended.status_code == 200 else [])
    one_call = await token(line, desk, call_id=row.call_id)
    assert await ask(one_call, f"/v1/calls/{row.call_id}") == 200
    assert await ask(one_call, "/v1/calls") == 403
    assert await ask(one_call, "/v1/calls/another") == 403
    one_agent = await token(line, desk, agent="front-desk")
    assert await ask(one_agent, f"/v1/calls/{row.call_id}") == 200
    assert await ask(one_agent, "/v1/calls?agent=front-desk") == 200
    other_agent = await token(line, desk, agent="other")
    assert await ask(other_agent, f"/v1/calls/{row.call_id}") == 404
    assert await ask(other_agent, f"/v1/calls/{row.call_id}/hang-up", "POST") == 403
    for made, number in ((one_agent, 1), (other_agent, 0)):
        assert len((await line.http.get("/v1/calls", headers=bearer(made["token"]))).json()["calls"]) == number
    # No token in an address, but where the route names it.
    problem(await line.http.get(f"/v1/calls?token={free['token']}"), 422)


async def test_a_key_bound_to_an_agent_calls_with_no_other(line: Line) -> None:
    bound = await key(line, "calls:write", agents=["front-desk"])
    body = {"agent": "other", "to": "+15551230177"}
    assert problem(await line.http.post("/v1/calls", headers=bound, json=body), 404)["error"] == "no_such_agent"
    own = await line.http.post("/v1/calls", headers=bound, json=body | {"agent": "front-desk"})
    assert problem(own, 503)["error"] == "no_twilio", "past the door; there is no Twilio here"
    made = await token(line, bound, scopes=["calls:write"])
    told = await line.http.post("/v1/calls", headers=bearer(made["token"]), json=body)
    assert problem(told, 404)["error"] == "no_such_agent", "a token is bound as its key is"
    assert (await token(line, bound, 403, scopes=["calls:write"], agent="other"))["error"] == "agents_too_wide"


async def test_a_revoked_key_takes_its_tokens_with_it_at_once(line: Line) -> None:
    desk = await key(line, "calls:read")
    made = await token(line, desk)
    assert (await line.http.get("/v1/calls", headers=bearer(made["token"]))).status_code == 200
    for row in await line.server.services.keys.list_keys():
        await line.server.services.keys.revoke(row.key_id, now=datetime.now(UTC))
    answer = await line.http.get("/v1/calls", headers=bearer(made["token"]))
    assert problem(answer, 401)["error"] == "key_revoked"


def test_a_token_of_one_process_is_read_by_another_until_it_expires() -> None:
    now = 1_000_000.0
    text, made = Tokens(SECRET, lambda: now).issue("k1", ["calls:read"], 60, call_id="c1", agent="a1")
    assert Tokens(SECRET, lambda: now + 59).read(text) == made
    with pytest.raises(TokenExpired):
        Tokens(SECRET, lambda: now + 60).read(text)
    with pytest.raises(BadToken):
        Tokens(SECRET, lambda: now - 10).read(text)
    with pytest.raises(BadToken):
        Tokens(b"t" * 32, lambda: now).read(text)
    head = jwt.get_unverified_header(text)
    assert (head["alg"], len(head["kid"])) == ("HS256", 16)


def _forge(**changes: Any) -> Callable[[dict[str, Any], bytes, str], str]:
    def forge(claims: dict[str, Any], secret: bytes, kid: str) -> str:
        algorithm = changes.get("algorithm", "HS256")
        headers = {"kid": changes.get("kid", kid)}
        return jwt.encode(claims | changes.get("claims", {}), changes.get("key", secret), algorithm, headers)

    return forge


@pytest.mark.parametrize(
    "forge",
    [
        _forge(algorithm="none", key=None),
        _forge(algorithm="HS512", key=b"s" * 64),
        _forge(key=b"another key of the right length.."),
        _forge(kid="0" * 16),
        _forge(claims={"aud": "somebody else"}),
        _forge(claims={"iss": "somebody else"}),
        _forge(claims={"exp": int(time.time()) + 10 * MOST_SECS}),
        _forge(claims={"nbf": int(time.time()) + 36_000, "exp": int(time.time()) + 36_300}),
        _forge(claims={"sub": 7}),
        _forge(claims={"scope": ["calls:read"]}),
        _forge(claims={"exp": "soon"}),
        lambda claims, secret, kid: jwt.encode(claims, secret, "HS256"),  # no kid
        lambda claims, secret, kid: _forge()({k: v for k, v in claims.items() if k != "jti"}, secret, kid),
        lambda claims, secret, kid: _forge()(claims, secret, kid)[:-2] + "AA",
        lambda claims, secret, kid: _forge()(claims, secret, kid).rsplit(".", 1)[0] + ".",
        lambda claims, secret, kid: "a.b.c",
        lambda claims, secret, kid: "e" * 5000 + ".b.c",
    ],
)
def test_a_forged_token_is_none(forge: Callable[[dict[str, Any], bytes, str], str]) -> None:
    tokens = Tokens(SECRET, time.time)
    text, _ = tokens.issue("k1", ["calls:read"], 60)
    key_of_tokens = derive(SECRET, "browser tokens")
    claims = jwt.decode(text, options={"verify_signature": False})
    kid = jwt.get_unverified_header(text)["kid"]
    assert tokens.read(_forge()(claims, key_of_tokens, kid)).key_id == "k1", "the forger has everything right but one"
    with pytest.raises(BadToken):
        tokens.read(forge(claims, key_of_tokens, kid))


async def test_keys_and_tokens_open_playground_and_metrics_beside_the_secret(settings: Settings) -> None:
    async with serve(reachable(settings, playground_secret="sesame")) as line:
        for scope, path in (("playground:use", "/playground/agents"), ("metrics:read", "/metrics")):
            good, other = await key(line, scope), await key(line, "calls:read")
            made = await token(line, good, scopes=[scope])
            assert (await line.http.get(path, headers=good)).status_code == 200
            assert (await line.http.get(path, headers=bearer(made["token"]))).status_code == 200
            assert (await line.http.get(path, headers=other)).status_code == 403
            assert (await line.http.get(path, headers=bearer("tk_" + "0" * 12 + "_" + "x" * 43))).status_code == 401
        visitor = await key(line, "playground:use")
        made = await token(line, visitor, scopes=["playground:use"], call_id="c1")
        events = await line.http.get(f"/playground/events/c1?token={made['token']}")
        assert events.status_code == 404, "past the door; there is no such call"
        assert (await line.http.get(f"/playground/events/c2?token={made['token']}")).status_code == 403
        assert (await line.http.get("/playground/events/c1?token=a.b.c")).status_code == 401
        assert (await line.http.get(f"/playground/calls/c1?token={made['token']}")).status_code == 401
        bound = await token(line, visitor, scopes=["playground:use"], agent="other")
        offer = {"agent": "front-desk", "sdp": "v=0", "type": "offer"}
        refused = await line.http.post("/playground/offer", json=offer, headers=bearer(bound["token"]))
        assert refused.status_code == 404, "no agent of his"
        assert (await line.http.get("/playground/agents", headers=bearer(bound["token"]))).json()["agents"] == []


async def test_a_key_opens_the_playground_where_no_secret_is_set(line: Line) -> None:
    assert (await line.http.get("/playground/agents", headers=await key(line, "playground:use"))).status_code == 200
    assert (await line.http.get("/playground/agents")).status_code == 404


async def test_an_expired_token_is_refused_and_is_no_wrong_login(line: Line) -> None:
    made = await token(line, await key(line, "calls:read"), ttl_secs=1)
    services = line.server.services
    later = replace(services.gate, tokens=Tokens(services.token_secret, lambda: time.time() + 2))
    line.server.app.state.services = replace(services, gate=later)
    for _ in range(services.settings.max_failed_logins + 2):
        answer: httpx.Response = await line.http.get("/v1/calls", headers=bearer(made["token"]))
        assert problem(answer, 401)["error"] == "token_expired"
