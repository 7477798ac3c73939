"""Who may ask: this machine in open mode, an operator with the secret, nobody else."""

from base64 import b64encode

import pytest
from starlette.datastructures import Headers

from api.access import may_ask_openly
from config.settings import Settings
from tests.unit.api.wire import CALL_SID, NUMBER, PUBLIC_URL, Line, reachable, serve, tags

SECRET = "open sesame ü"


@pytest.mark.parametrize(
    "headers",
    [
        {"host": "127.0.0.1:7860"},
        {"host": "localhost"},
        {"host": "[::1]:7860"},
        {"host": "127.0.0.1:7860", "origin": "http://localhost:7860"},
    ],
)
def test_this_machine_may_ask_an_open_server(settings: Settings, headers: dict[str, str]) -> None:
    assert may_ask_openly(settings, Headers(headers))


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"host": ""},
        {"host": "voice.example.com"},
        {"host": "localhost.example.com"},
        {"host": "127.0.0.1.example.com"},
        {"host": "10.0.0.7"},
        {"host": "[::1"},
        {"host": "user@127.0.0.1@evil.example"},
        {"host": "localhost", "x-forwarded-for": "127.0.0.1"},
        {"host": "localhost", "x-forwarded-host": "localhost"},
        {"host": "localhost", "forwarded": "for=127.0.0.1"},
        {"host": "localhost", "via": "1.1 proxy"},
        {"host": "localhost", "x-real-ip": "127.0.0.1"},
        {"host": "localhost", "origin": "https://evil.example"},
        {"host": "localhost", "origin": "null"},
    ],
)
def test_anybody_else_may_not(settings: Settings, headers: dict[str, str]) -> None:
    assert not may_ask_openly(settings, Headers(headers))


def test_two_host_headers_are_one_too_many(settings: Settings) -> None:
    assert not may_ask_openly(settings, Headers(raw=[(b"host", b"localhost"), (b"host", b"localhost")]))


def test_a_server_that_others_can_reach_is_never_open(settings: Settings) -> None:
    assert not may_ask_openly(reachable(settings), Headers({"host": "localhost"}))
    assert not may_ask_openly(reachable(settings, host="0.0.0.0", public_base_url=None), Headers({"host": "localhost"}))


async def test_an_open_server_answers_this_machine_unsigned(open_line: Line) -> None:
    assert tags(await open_line.post("/twilio/voice", {}, CallSid=CALL_SID, To=NUMBER)) == ["Connect"]


@pytest.mark.parametrize(
    "headers",
    [{"Host": "voice.example.com"}, {"X-Forwarded-For": "203.0.113.7"}, {"Origin": "https://evil.example"}],
)
async def test_an_open_server_refuses_everybody_else(open_line: Line, headers: dict[str, str]) -> None:
    answer = await open_line.post("/twilio/voice", headers, CallSid=CALL_SID, To=NUMBER)
    assert answer.status_code == 403
    assert "TWILIO_AUTH_TOKEN" in answer.text


async def test_with_an_auth_token_even_this_machine_must_sign(settings: Settings) -> None:
    async with serve(reachable(settings, public_base_url=None)) as line:
        assert (await line.post("/twilio/voice", {}, CallSid=CALL_SID, To=NUMBER)).status_code == 403
        assert tags(await line.post("/twilio/voice", CallSid=CALL_SID, To=NUMBER)) == ["Connect"]


def basic(secret: str) -> dict[str, str]:
    return {"Authorization": "Basic " + b64encode(f"anyone:{secret}".encode()).decode()}


async def test_metrics_are_open_to_this_machine_only(open_line: Line) -> None:
    answer = await open_line.http.get("/metrics")
    assert answer.status_code == 200
    assert "trunkline_calls_active" in answer.text
    forwarded = await open_line.http.get("/metrics", headers={"X-Forwarded-For": "203.0.113.7"})
    assert forwarded.status_code == 404
    assert "TRUNKLINE_PLAYGROUND_SECRET" in forwarded.json()["error"]


async def test_a_reachable_server_wants_its_secret(settings: Settings) -> None:
    async with serve(reachable(settings, playground_secret=SECRET)) as line:
        nobody = await line.http.get("/metrics")
        assert (nobody.status_code, nobody.headers["www-authenticate"]) == (401, 'Basic realm="Trunkline"')
        for wrong in ("", "Basic", "Basic ****", "Basic " + b64encode(b"no colon").decode(), "Digest x", "Bearer x"):
            assert (await line.http.get("/metrics", headers={"Authorization": wrong})).status_code == 401
        assert (await line.http.get("/metrics", headers=basic("wrong"))).status_code == 401
        assert (await line.http.get("/metrics", headers=basic(SECRET))).status_code == 200
        own = {**basic(SECRET), "Origin": PUBLIC_URL}
        assert (await line.http.get("/metrics", headers=own)).status_code == 200
        foreign = {**basic(SECRET), "Origin": "https://evil.example"}
        assert (await line.http.get("/metrics", headers=foreign)).status_code == 403


async def test_a_bearer_token_is_the_secret_too(settings: Settings) -> None:
    async with serve(reachable(settings, playground_secret="plain")) as line:
        assert (await line.http.get("/metrics", headers={"Authorization": "Bearer plain"})).status_code == 200


async def test_without_a_secret_a_reachable_server_explains_itself(line: Line) -> None:
    answer = await line.http.get("/metrics", headers=basic(""))
    assert answer.status_code == 404
    assert "TRUNKLINE_PLAYGROUND_SECRET" in answer.json()["error"]
