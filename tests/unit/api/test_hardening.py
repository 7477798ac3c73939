"""What every answer tells a browser, which pages may ask, requests that come in drops, and TLS."""

import asyncio
import contextlib
import json
import ssl
import time
from pathlib import Path
from typing import Any

import httpx
import pytest
import trustme
from websockets.asyncio.client import connect

from config.errors import ConfigError
from config.settings import Settings
from server import RunningServer
from switchboard.start_failure import CannotStart
from tests.unit.api.test_calls import key
from tests.unit.api.wire import CONNECTED, PUBLIC_URL, Line, reachable, serve, start_message

DESK = "https://desk.example.com"


async def test_every_answer_tells_the_browser_to_be_careful(line: Line) -> None:
    for path, status in (
        ("/v1/calls", 401),
        ("/nowhere", 404),
        ("/livez", 200),
        ("/metrics", 404),
        ("/twilio/voice", 405),
    ):
        answer = await line.http.get(path)
        assert answer.status_code == status
        told = answer.headers
        assert told["x-content-type-options"] == "nosniff"
        assert told["x-frame-options"] == "DENY"
        assert told["content-security-policy"].startswith("default-src 'none'")
        assert told["cache-control"] == "no-store"
        assert told["strict-transport-security"] == "max-age=31536000"
        assert "server" not in told
    page = await line.http.get("/playground")
    assert "script-src 'self'" in page.headers["content-security-policy"], "pages keep their own"


async def test_plain_http_promises_no_https(open_line: Line) -> None:
    assert "strict-transport-security" not in (await open_line.http.get("/livez")).headers


async def test_no_other_page_may_ask_unless_it_is_named(settings: Settings) -> None:
    preflight = {
        "Origin": DESK,
        "Access-Control-Request-Method": "POST",
        "Access-Control-Request-Headers": "authorization, if-none-match, if-range, range",
    }
    async with serve(reachable(settings)) as line:
        answer = await line.http.options("/v1/calls", headers=preflight)
        assert answer.status_code == 405
        assert not [name for name in answer.headers if name.startswith("access-control")]
    async with serve(reachable(settings, cors_origins=[DESK])) as line:
        answer = await line.http.options("/v1/calls", headers=preflight)
        assert (answer.status_code, answer.headers["access-control-allow-origin"]) == (200, DESK)
        assert "access-control-allow-credentials" not in answer.headers
        asked = await line.http.get("/v1/calls", headers=await key(line, "calls:read") | {"Origin": DESK})
        assert (asked.status_code, asked.headers["access-control-allow-origin"]) == (200, DESK)
        assert (await line.http.get("/v1/calls", headers={"Origin": DESK})).headers[
            "access-control-allow-origin"
        ] == DESK
        for origin in ("https://evil.example", f"{DESK}.evil.example", "null", "http://desk.example.com"):
            answer = await line.http.options("/v1/calls", headers=preflight | {"Origin": origin})
            assert "access-control-allow-origin" not in answer.headers
        assert "access-control-allow-origin" not in (await line.http.get("/metrics", headers={"Origin": DESK})).headers


@pytest.mark.parametrize(
    ("settings_", "told"),
    [
        ({"cors_origins": "*"}, "leave out the *"),
        ({"cors_origins": "https://*.example.com"}, "leave out the *"),
        ({"cors_origins": "https://desk.example.com/"}, "must be an origin"),
        ({"cors_origins": "desk.example.com"}, "must be an origin"),
        ({"trusted_proxies": "localhost"}, "must be an IP address"),
        ({"trusted_proxies": "10.0.0.1/8"}, "must be an IP address"),
        ({"tls_cert_file": __file__}, "must be set too"),
        ({"tls_cert_file": __file__, "tls_key_file": __file__}, "must be 1 with TRUNKLINE_TLS_CERT_FILE"),
        ({"tls_cert_file": __file__, "tls_key_file": __file__, "processes": 2}, "or let a proxy speak TLS"),
        ({"max_reads_per_minute": 0}, "MAX_READS"),
    ],
)
def test_a_setting_that_would_open_too_much_is_refused(settings_: dict[str, Any], told: str) -> None:
    with pytest.raises(ConfigError, match=told.replace("*", r"\*")):
        Settings.load(env_file=None, host="127.0.0.1", **settings_)


async def read_out(reader: asyncio.StreamReader) -> bytes:
    """Read until the server closes, also when it does so in the middle of what we send."""
    told = b""
    with contextlib.suppress(ConnectionResetError):
        while piece := await reader.read(1000):
            told += piece
    return told


async def drip(line: Line, head: bytes, drops: bytes, every_secs: float) -> tuple[bytes, float]:
    """Send a head, then byte after byte; returns what came and after how many seconds the server closed."""
    host, port = line.server.base_url.removeprefix("http://").split(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    began = time.monotonic()
    writer.write(head)
    reading = asyncio.create_task(read_out(reader), name="what the server says")
    for drop in drops:
        await asyncio.wait({reading}, timeout=every_secs)
        if reading.done():
            break
        writer.write(bytes([drop]))
    async with asyncio.timeout(5):
        told = await reading
    writer.close()
    return told, time.monotonic() - began


def post(path: str, *headers: str) -> bytes:
    return "\r\n".join([f"POST {path} HTTP/1.1", "Host: localhost", *headers, "", ""]).encode()


GET = b"GET /livez HTTP/1.1\r\nHost: localhost\r\n\r\n"
SLOW = {
    "silent": (b"", b""),
    "head": (b"", GET[:-2] + b"X: " + b"x" * 100),
    "v1 body": (post("/v1/calls", "Content-Type: application/json", "Content-Length: 900"), b"{" * 900),
    "twilio body": (post("/twilio/voice", "Content-Length: 900"), b"x" * 900),
    "chunked body": (post("/playground/offer", "Transfer-Encoding: chunked"), b"1\r\nx\r\n" * 90),
    "second head": (GET, GET[:-2] + b"X: " + b"x" * 100),
}


async def test_requests_that_come_in_drops_are_cut_off_and_hold_up_nobody(settings: Settings) -> None:
    async with serve(settings.model_copy(update={"slow_request_secs": 0.3})) as line:
        dripping = [drip(line, head, drops, 0.02) for head, drops in SLOW.values()]
        slow = asyncio.gather(*dripping)
        await asyncio.sleep(0.1)
        assert (await line.http.get("/livez")).status_code == 200
        for name, (told, secs) in zip(SLOW, await slow, strict=True):
            assert b"HTTP/1.1 408 " in told, name
            assert 0.2 < secs < 3, name


BODIES = (b"\x00", b"\xff\xfe", b"[" * 60_000, b'{"a":' * 10_000, b'{"agent": "\\u0000"}')
JSON = {"Content-Type": "application/json"}
FORM = {"Content-Type": "application/x-www-form-urlencoded"}

NOT_REQUESTS = {
    "long header": (GET[:-2] + b"X: " + b"x" * 40_000 + b"\r\n\r\n", 431),
    "header without an end": (GET[:-2] + b"X: " + b"x" * 1_000_000, 431),
    "many headers": (GET[:-2] + b"X: y\r\n" * 9_000 + b"\r\n", 431),
    "long address": (GET.replace(b"/livez", b"/" + b"x" * 70_000), 431),
    "no host": (b"GET /livez HTTP/1.1\r\n\r\n", 400),
    "two hosts": (GET[:-2] + b"Host: example.com\r\n\r\n", 400),
    "no chunk": (post("/v1/calls", "Transfer-Encoding: chunked") + b"zz\r\n", 400),
    "two lengths": (post("/v1/calls", "Content-Length: 1", "Content-Length: 2"), 400),
    "TLS": (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc", 400),
    "endless trailer": (post("/twilio/voice", "Transfer-Encoding: chunked") + b"0\r\nX: " + b"x" * 2_000_000, 431),
}


async def test_what_is_no_request_is_told_so_and_kept_nowhere(
    open_line: Line, caplog: pytest.LogCaptureFixture
) -> None:
    host, port = open_line.server.base_url.removeprefix("http://").split(":")
    for name, (sent, status) in NOT_REQUESTS.items():
        reader, writer = await asyncio.open_connection(host, int(port))
        writer.write(sent)
        async with asyncio.timeout(5):
            head, _, body = (await read_out(reader)).partition(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 %d " % status), name
        assert b"application/problem+json" in head, name
        told = json.loads(body)
        assert told["status"] == status, name
        assert f"x-request-id: {told['instance']}".encode() in head, name
        writer.close()
    assert caplog.records == [], "strangers could fill the log"


async def test_trailers_are_no_headers_and_many_small_requests_no_large_one(line: Line) -> None:
    api_key = (await key(line, "calls:read"))["Authorization"]
    host, port = line.server.base_url.removeprefix("http://").split(":")
    for named, status in (([], b" 401 "), ([f"Authorization: {api_key}"], b" 403 ")):
        reader, writer = await asyncio.open_connection(host, int(port))
        first = post("/v1/calls", "Transfer-Encoding: chunked", *named)
        writer.write(first + f"0\r\nAuthorization: {api_key}\r\n\r\n".encode())
        assert status in await reader.readline()
        writer.close()
    reader, writer = await asyncio.open_connection(host, int(port))
    writer.write(GET * 900 + GET[:-2] + b"Connection: close\r\n\r\n")
    async with asyncio.timeout(10):
        assert (await read_out(reader)).count(b"HTTP/1.1 200 ") == 901
    writer.close()


async def test_a_body_that_no_text_can_be_made_of_is_refused(open_line: Line) -> None:
    for path in ("/v1/calls", "/v1/keys", "/v1/tokens", "/playground/offer", "/playground/room"):
        for body in BODIES:
            assert 400 <= (await open_line.http.post(path, content=body, headers=JSON)).status_code < 500, path
    for path in ("/playground/door", "/twilio/voice", "/twilio/status"):
        for body in BODIES:
            assert (await open_line.http.post(path, content=body, headers=FORM)).status_code < 500, path


async def test_a_body_that_is_too_large_is_refused_unread(open_line: Line) -> None:
    for path in ("/v1/keys", "/playground/offer", "/twilio/voice"):
        answer = await open_line.http.post(path, content=b" " * 100_000, headers={"Content-Type": "application/json"})
        assert answer.status_code == 413


def certify(folder: Path) -> tuple[trustme.CA, dict[str, Any]]:
    authority = trustme.CA()
    issued = authority.issue_cert("localhost", "127.0.0.1")
    issued.private_key_and_cert_chain_pem.write_to_path(folder / "both.pem")
    issued.cert_chain_pems[0].write_to_path(folder / "cert.pem")
    issued.private_key_pem.write_to_path(folder / "key.pem")
    return authority, {"tls_cert_file": folder / "cert.pem", "tls_key_file": folder / "key.pem", "processes": 1}


async def test_the_server_speaks_tls_1_2_and_newer_and_takes_streams_by_it(settings: Settings, tmp_path: Path) -> None:
    authority, files = certify(tmp_path)
    trusting = ssl.create_default_context()
    authority.configure_trust(trusting)
    async with serve(reachable(settings, **files)) as line:
        base = line.server.base_url
        assert base.startswith("https://127.0.0.1:")
        async with httpx.AsyncClient(base_url=base, verify=trusting, trust_env=False) as http:
            assert (await http.get("/livez")).json() == {"status": "alive"}
            form = {"CallSid": "CA" + "1" * 32, "To": "+15551230100", "From": "+15557654321"}
            answer = await http.post("/twilio/voice", data=form, headers=line.sign(f"{PUBLIC_URL}/twilio/voice", form))
            given = dict(
                part.split('"')[1::2]
                for part in answer.text.split("<Parameter ")[1:]  # name="..." value="..."
            )
            signed = line.sign(f"{line.server.settings.stream_base_url}/twilio/stream", {})
            url = f"wss{base.removeprefix('https')}/twilio/stream"
            async with connect(url, additional_headers=signed, compression=None, proxy=None, ssl=trusting) as stream:
                await stream.send(CONNECTED)
                await stream.send(start_message(given))
                await line.eventually(lambda: bool(line.calls.given))
        for version, is_taken in ((ssl.TLSVersion.TLSv1_2, True), (ssl.TLSVersion.TLSv1_3, True)):
            only = ssl.create_default_context()
            authority.configure_trust(only)
            only.minimum_version = only.maximum_version = version
            assert await shakes_hands(base, only) is is_taken
        old = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        authority.configure_trust(old)
        old.set_ciphers("ALL:@SECLEVEL=0")
        old.options &= ~ssl.OP_NO_TLSv1_1
        with pytest.warns(DeprecationWarning, match="TLSv1_1"):
            old.minimum_version = old.maximum_version = ssl.TLSVersion.TLSv1_1
        assert not await shakes_hands(base, old)


async def shakes_hands(base: str, context: ssl.SSLContext) -> bool:
    host, port = base.removeprefix("https://").split(":")
    try:
        _, writer = await asyncio.open_connection(host, int(port), ssl=context, server_hostname="localhost")
    except (ssl.SSLError, ConnectionError):
        return False
    writer.close()
    return True


async def test_a_certificate_that_cannot_be_used_is_named_at_start(settings: Settings, tmp_path: Path) -> None:
    _, files = certify(tmp_path)
    (tmp_path / "none.pem").write_text("not a certificate")
    other = trustme.CA().issue_cert("localhost")
    other.private_key_pem.write_to_path(tmp_path / "other.pem")
    for changes in ({"tls_cert_file": tmp_path / "none.pem"}, {"tls_key_file": tmp_path / "other.pem"}):
        with pytest.raises(CannotStart, match="TRUNKLINE_TLS_CERT_FILE") as failed:
            async with RunningServer(settings.model_copy(update=files | changes)):
                pass
        assert failed.value.exit_code == 2
