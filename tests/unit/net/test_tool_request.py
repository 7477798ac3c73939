"""A tool's request on the wire: where it may go, how often it is sent, how much of an answer is read."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from net.pinned import AddressGuard, AddressRefused
from net.tool_request import RequestFailed, ToolRequest, ToolRequests


@asynccontextmanager
async def service(*answers: str) -> AsyncGenerator[tuple[str, list[str], ToolRequests]]:
    """A service that gives these answers in turn; yields its address, what it was sent, and who may ask it."""
    left, seen = list(answers), list[str]()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        seen.append((await reader.readuntil(b"\r\n\r\n")).decode())
        writer.write(left.pop(0).encode() if left else b"")
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    host = f"127.0.0.1:{server.sockets[0].getsockname()[1]}"
    requests = ToolRequests(AddressGuard(frozenset({host})))
    try:
        yield f"http://{host}", seen, requests
    finally:
        await requests.close()
        server.close()


def asking(url: str, **changes: Any) -> ToolRequest:
    return ToolRequest(**{"method": "GET", "url": url, "hosts": frozenset({"127.0.0.1"}), **changes})


OK = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok"
BUSY = "HTTP/1.1 503 X\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"


async def test_what_may_be_repeated_is_sent_again_and_nothing_else() -> None:
    async with service(BUSY, OK) as (url, seen, requests):
        assert (await requests.send(asking(url, may_repeat=True, retries=1))).body == b"ok"
        assert len(seen) == 2
    async with service(BUSY, OK) as (url, seen, requests):
        assert (await requests.send(asking(url, method="POST", retries=3))).status == 503
        assert len(seen) == 1
    async with service("", OK) as (url, seen, requests):  # it breaks off: was it done?
        with pytest.raises(RequestFailed, match="broke off"):
            await requests.send(asking(url, method="POST", retries=3))
        assert len(seen) == 1


async def test_redirects_are_followed_only_where_the_tool_may_go() -> None:
    away = "HTTP/1.1 302 X\r\nLocation: https://evil.example.com/\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
    async with service(away) as (url, _, requests):
        with pytest.raises(RequestFailed) as failed:
            await requests.send(asking(url, redirects=1))
        assert failed.value.why == "not_allowed"
    here = away.replace("https://evil.example.com/", "/other")
    async with service(here, OK) as (url, seen, requests):
        assert (await requests.send(asking(url, redirects=1, headers={"X-Key": "k"}))).body == b"ok"
        assert seen[1].startswith("GET /other ")
        assert "x-key: k" in seen[1].lower()
    async with service(away) as (url, _, requests):
        assert (await requests.send(asking(url))).status == 302


async def test_an_answer_that_is_too_large_or_compressed_is_refused() -> None:
    async with service(OK) as (url, _, requests):
        with pytest.raises(RequestFailed, match="larger than 1 bytes"):
            await requests.send(asking(url, max_bytes=1))
    async with service(OK.replace("Connection", "Content-Encoding: gzip\r\nConnection")) as (url, _, requests):
        with pytest.raises(RequestFailed, match="compressed"):
            await requests.send(asking(url))


@pytest.mark.parametrize("url", ["http://127.0.0.1:9/", "https://localhost/", "https://2130706433/", "https://[::1]/"])
async def test_a_private_address_is_not_connected(url: str) -> None:
    requests = ToolRequests(AddressGuard())
    host = url.split("//")[1].split("/")[0].removesuffix(":9").strip("[]")
    with pytest.raises(RequestFailed) as failed:
        await requests.send(asking(url, hosts=frozenset({host})))
    assert failed.value.why == "not_allowed"
    await requests.close()


async def test_a_name_with_one_private_address_among_its_addresses_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    async def getaddrinfo(*_: Any, **__: Any) -> Any:
        return [(2, 1, 6, "", ("8.8.8.8", 443)), (2, 1, 6, "", ("10.0.0.1", 443))]

    monkeypatch.setattr(asyncio.get_running_loop(), "getaddrinfo", getaddrinfo)
    with pytest.raises(AddressRefused):
        await AddressGuard().addresses("both.example.com", 443)


async def test_the_connection_goes_to_the_address_that_was_checked_and_the_name_stays(monkeypatch: Any) -> None:
    async with service(OK) as (url, seen, _):
        port = url.rsplit(":", 1)[1]
        answers = [[(2, 1, 6, "", ("127.0.0.1", int(port)))]]  # a second look-up would find nothing

        async def getaddrinfo(*_: Any, **__: Any) -> Any:
            return answers.pop(0)

        requests = ToolRequests(AddressGuard(frozenset({f"stock.example.com:{port}"})))
        await requests.prepare()
        monkeypatch.setattr(asyncio.get_running_loop(), "getaddrinfo", getaddrinfo)
        asked = asking(f"http://stock.example.com:{port}/", hosts=frozenset({"stock.example.com"}))
        assert (await requests.send(asked)).body == b"ok"
        assert f"host: stock.example.com:{port}" in seen[0].lower()
        await requests.close()
