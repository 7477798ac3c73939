"""What is the same for every request of `/v1`: ids, bodies, addresses, problems, repeated requests, the document."""

import asyncio
import gzip
import json
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Any

import httpx
import pytest
from fastapi import APIRouter, Depends
from loguru import logger
from pydantic import Field

from api import api_keys
from api.errors import answer_to
from api.openapi import document_of
from api.shapes import Given
from calling.errors import BadValue, Forbidden
from config.settings import Settings
from server import create_app
from storage.errors import DatabaseAway
from tests.unit.api.wire import CALLER, Line

JSON = {"Content-Type": "application/json"}
DEEP = "[" * 5000 + "]" * 5000
BODIES: list[tuple[bytes, dict[str, str], int, str]] = [
    (b"{", JSON, 400, "bad_json"),
    (b"\xff\xfe{}", JSON, 400, "bad_json"),
    (DEEP.encode(), JSON, 400, "bad_json"),
    (b'{"a":' * 300 + b"1" + b"}" * 300, JSON, 400, "bad_json"),
    (b'{"agent": "a", "agent": "b"}', JSON, 400, "bad_json"),
    (b'{"agent": NaN}', JSON, 400, "bad_json"),
    (b'{"agent": ' + b"9" * 5000 + b"}", JSON, 400, "bad_json"),
    (b'{"ring_secs": 99999999999999999999}', JSON, 422, "bad_text"),
    (b'{"ring_secs": 1e999}', JSON, 422, "bad_text"),
    (b'{"agent": "a\\u0000b"}', JSON, 422, "bad_text"),
    (b'{"a\\u0000": 1}', JSON, 422, "bad_text"),
    (b'{"variables": {"x": ["\\ud800"]}}', JSON, 422, "bad_text"),
    (b"{}", {"Content-Type": "text/plain"}, 415, "not_json"),
    (b"{}", {"Content-Type": "application/json; charset=utf-16"}, 415, "not_json"),
    (b"{}", {}, 415, "not_json"),
    (b"a=1", {"Content-Type": "application/x-www-form-urlencoded"}, 415, "not_json"),
    (b'"' + b"a" * 65_536 + b'"', JSON, 413, "body_too_large"),
    (b"[]", JSON, 422, "bad_request"),
    (b"null", JSON, 422, "bad_request"),
    (b"", JSON, 422, "bad_request"),
]


def problem(answer: httpx.Response, status: int, error: str) -> dict[str, Any]:
    told: dict[str, Any] = answer.json()
    assert (answer.status_code, told["error"]) == (status, error), answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    assert (told["type"], told["instance"]) == (f"urn:trunkline:problem:{error}", answer.headers["x-request-id"])
    assert told["detail"].endswith((".", "?"))
    assert told["cure"].endswith((".", "?", ")"))
    return told


async def test_bodies_and_addresses_that_cannot_be_read_are_problems(open_line: Line) -> None:
    http = open_line.http
    for body, headers, status, error in BODIES:
        answer = await http.post("/v1/calls", content=body, headers=headers)
        problem(answer, status, error)

    async def pieces() -> AsyncIterator[bytes]:
        for _ in range(70):
            yield b" " * 1024

    problem(await http.post("/v1/calls", content=pieces(), headers=JSON), 413, "body_too_large")
    problem(await http.get("/v1/nothing"), 404, "no_such_path")
    problem(await http.get("/v1/calls/"), 404, "no_such_path")
    problem(await http.get("/v1/calls/%2e%2e%2f%2e%2e%2fetc%2fpasswd"), 404, "no_such_path")
    for trick in ("..%2f..%2fetc%2fpasswd", "....//etc/passwd", "..\\..\\etc", "%2e%2e", "c1;ls", "c1'--", "c%00"):
        for part in ("", "/recording", "/events"):
            assert (await http.get(f"/v1/calls/{trick}{part}")).status_code in (404, 422), trick
    wrong = await http.put("/v1/calls", content=b"{}", headers=JSON)
    problem(wrong, 405, "wrong_method")
    assert wrong.headers["allow"] == "GET, POST"
    wrong = await http.post("/v1/agents/front-desk", content=b"{}", headers=JSON)
    assert wrong.headers["allow"] == "DELETE, GET, PATCH, PUT"
    packed = await http.post("/v1/calls", content=gzip.compress(b"{}"), headers=JSON | {"Content-Encoding": "gzip"})
    assert "compressed" in problem(packed, 415, "body_encoded")["detail"]
    assert packed.headers["accept-encoding"] == "identity"
    problem(await http.get("/v1/calls?limit=1&limit=2"), 422, "unknown_parameter")
    unknown = problem(await http.get("/v1/calls?limt=1"), 422, "unknown_parameter")
    assert unknown["cure"] == "Did you mean 'limit'?"
    assert problem(await http.get("/v1/openapi.json?x=1"), 422, "unknown_parameter")["cure"] == "Remove it."
    for query in ("agent=%00", "agent=%ff", "agent=%ed%a0%80"):
        problem(await http.get(f"/v1/calls?{query}"), 422, "bad_text")
    problem(await http.get("/v1/calls/%00"), 422, "bad_text")
    for limit in ("true", "1.0", "1_0", "99999999999999999999999", "", "%20"):
        assert problem(await http.get(f"/v1/calls?limit={limit}"), 422, "bad_text")["detail"].startswith("limit: ")
    for moment in ("0.0", "1700000000", "0001-01-01T00:00:00%2B14:00", "9999-12-31T23:59:59-14:00", "2026-03-01"):
        problem(await http.get(f"/v1/audit?until={moment}"), 422, "bad_request")
    for odd in (1700000000, True, "0001-01-01T00:00:00+14:00", "2027-03-01"):
        wish = {"name": "test", "scopes": ["calls:read"], "expires_at": odd}
        (fault,) = problem(await http.post("/v1/keys", json=wish), 422, "bad_request")["errors"]
        assert fault["where"].endswith("expires_at"), fault
    typo = {"name": "test", "scope": ["calls:read"], "scopes": ["calls:read"]}
    (fault,) = problem(await http.post("/v1/keys", json=typo), 422, "bad_request")["errors"]
    assert fault == {"where": "scope", "problem": "is not a field", "cure": "did you mean 'scopes'?"}
    (fault,) = problem(await http.get("/v1/calls?limit=0"), 422, "bad_request")["errors"]
    assert fault == {"where": "limit", "problem": "must be >= 1 (got '0')", "cure": ""}


async def test_each_answer_has_an_id_and_a_fault_of_ours_tells_nothing_but_it(open_line: Line) -> None:
    http = open_line.http
    for path in ("/livez", "/v1/calls", "/v1/none", "/none"):
        assert (await http.get(path, headers={"X-Request-Id": "my-own.id_1"})).headers["x-request-id"] == "my-own.id_1"
        for odd in ("short", "x" * 65, "with space in", "<script>alert(1)"):
            made = (await http.get(path, headers={"X-Request-Id": odd})).headers["x-request-id"]
            assert made != odd
            assert len(made) == 16

    secret = f"the number {CALLER} and the word swordfish"

    async def fail(*_: object) -> None:
        raise ValueError(secret)

    open_line.server.services.store.get_call = fail  # pyright: ignore[reportAttributeAccessIssue]
    lines: list[str] = []
    sink = logger.add(
        lambda message: lines.append(f"{message} {message.record['extra']}"), level="ERROR", diagnose=False
    )
    try:
        answer = await http.get("/v1/calls/c1", headers={"X-Request-Id": "find-me-again"})
    finally:
        logger.remove(sink)
    problem(answer, 500, "unexpected")
    log = "\n".join(lines)
    assert "find-me-again" in log
    assert "ValueError" in log
    assert "in fail" in log
    assert "swordfish" not in log + answer.text

    async def away(*_: object) -> None:
        raise DatabaseAway("postgresql://host is away")

    open_line.server.services.store.get_call = away  # pyright: ignore[reportAttributeAccessIssue]
    gone = await http.get("/v1/calls/c1")
    assert gone.headers["retry-after"] == "5"
    assert "postgresql" not in problem(gone, 503, "database_away")["detail"]


class Wish(Given):
    word: str = Field(max_length=10)


async def test_a_repeated_post_is_done_once_and_answered_again(line: Line) -> None:
    done: list[str] = []
    go_on = asyncio.Event()
    router = APIRouter(prefix="/v1/wishes")

    @router.post("", status_code=201)
    async def grant(wish: Wish, _by: str = Depends(api_keys.needs("calls:write"))) -> dict[str, Any]:  # pyright: ignore[reportUnusedFunction]
        done.append(wish.word)
        if wish.word == "slow":
            await go_on.wait()
        if wish.word == "fault":
            raise ValueError
        if wish.word == "refused":
            raise DatabaseAway("away")
        return {"word": wish.word, "count": len(done)}

    line.server.app.include_router(router)
    keys = line.server.services.keys
    one, other = [
        f"Bearer {(await keys.create('test', ['calls:write'], now=datetime.now(UTC))).text}" for _ in range(2)
    ]

    async def ask(key: str, word: str = "first", by: str = one, **more: Any) -> httpx.Response:
        headers = {"Idempotency-Key": key, "Authorization": by}
        return await line.http.post("/v1/wishes", headers=headers, json={"word": word} | more)

    first, again = await ask("a"), await ask("a")
    assert (first.status_code, first.json(), "idempotency-replayed" in first.headers) == (
        201,
        {"word": "first", "count": 1},
        False,
    )
    assert (again.status_code, again.json(), again.headers["idempotency-replayed"]) == (201, first.json(), "true")
    assert again.headers["content-type"] == first.headers["content-type"]
    problem(await ask("a", "second"), 422, "other_request_before")
    assert (await ask("a", by=other)).json()["count"] == 2, "another key's key is another key"
    assert (await ask("b")).json()["count"] == 3
    assert (await line.http.post("/v1/wishes", json={"word": "x"}, headers={"Authorization": one})).json()["count"] == 4
    slow = asyncio.create_task(ask("c", "slow"), name="a slow one")
    await line.eventually(lambda: done[-1] == "slow")
    early = await ask("c", "slow")
    assert early.headers["retry-after"] == "1"
    problem(early, 409, "still_at_it")
    problem(await ask("c", "other"), 422, "other_request_before")
    go_on.set()
    assert (await slow).json() == (await ask("c", "slow")).json()
    assert done.count("slow") == 1
    for _ in range(2):
        problem(await ask("d", "refused"), 503, "database_away")
    assert done.count("refused") == 2, "a refusal may be tried again"
    for _ in range(2):
        problem(await ask("f", "too long for it"), 422, "bad_request")
    assert (await ask("f", "fits")).status_code == 201, "what was never carried out binds no key"
    for _ in range(2):
        assert (await ask("e", "fault")).json()["error"] == "unexpected"
    assert done.count("fault") == 1, "nobody knows what a fault has done"
    problem(await ask("g", by="Bearer tk_x"), 401, "bad_key")
    problem(await ask("x" * 201), 422, "bad_idempotency_key")


def test_what_a_call_is_refused_for_is_told_with_its_field_and_its_cure() -> None:
    of_field = answer_to(BadValue("to: this is no telephone number; write it like +15551230100."), "/v1/calls")
    told = json.loads(bytes(of_field.body))
    assert told["errors"] == [
        {"where": "to", "problem": "this is no telephone number", "cure": "write it like +15551230100"}
    ]
    assert (told["detail"], told["cure"]) == ("to: this is no telephone number.", "Write it like +15551230100.")
    of_agent = answer_to(
        Forbidden("The agent survey may not place calls; write outbound: {enabled: true}."), "/v1/calls"
    )
    told = json.loads(bytes(of_agent.body))
    assert (told["detail"], told["cure"]) == (
        "The agent survey may not place calls.",
        "Write outbound: {enabled: true}.",
    )
    told = json.loads(bytes(answer_to(Forbidden("to: outbound.block forbids this number."), "/v1/calls").body))
    assert told["cure"] == "Change the agent's `outbound`, or call another number."


def test_the_document_holds_v1_alone_and_every_answer_of_it() -> None:
    app = create_app(Settings.load(env_file=None, host="127.0.0.1", public_base_url=None))
    made = json.loads(json.dumps(document_of(app)))
    assert made["openapi"].startswith("3.1")
    assert made["components"]["securitySchemes"]["ApiKey"]["scheme"] == "bearer"
    assert all(path.startswith("/v1/") for path in made["paths"])
    for path, methods in made["paths"].items():
        for method, operation in methods.items():
            where = f"{method} {path}"
            statuses = set(operation["responses"])
            assert {"401", "403", "422", "429", "500", "503"} <= statuses, where
            assert all(operation.get(told) for told in ("summary", "description", "tags")), where
            named = {one["name"] for one in operation.get("parameters", ())}
            assert (method == "post") == ("Idempotency-Key" in named), where
            for status, response in operation["responses"].items():
                assert "X-Request-Id" in response["headers"], where
                if status[0] in "45":
                    schema = response["content"]["application/problem+json"]["schema"]
                    assert schema == {"$ref": "#/components/schemas/Problem"}, where


@pytest.mark.parametrize("path", ["/v1/openapi.json"])
async def test_the_document_wants_a_key_of_any_kind(line: Line, path: str) -> None:
    problem(await line.http.get(path), 401, "key_needed")
    made = await line.server.services.keys.create("test", ["calls:read"], now=datetime.now(UTC))
    answer = await line.http.get(path, headers={"Authorization": f"Bearer {made.text}"})
    assert answer.json()["info"]["title"] == "Trunkline"
