"""Outgoing requests end in time, and with one of two errors."""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager

import pytest

from net.outgoing import OutgoingFailed, OutgoingRefused, open_outgoing

Reply = Callable[[asyncio.StreamWriter], Awaitable[None]]


@asynccontextmanager
async def answering(reply: Reply) -> AsyncGenerator[str]:
    """A server that reads one request and then does `reply`; yields its address."""
    writers: list[asyncio.StreamWriter] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writers.append(writer)
        await reader.readuntil(b"\r\n\r\n")
        await reply(writer)

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    try:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    finally:
        for writer in writers:
            writer.close()
        server.close()


def sending(text: str) -> Reply:
    async def reply(writer: asyncio.StreamWriter) -> None:
        writer.write(text.encode())
        await writer.drain()

    return reply


def with_body(status: str, body: str) -> str:
    return f"HTTP/1.1 {status}\r\nContent-Length: {len(body)}\r\n\r\n{body}"


async def post(url: str, **options: float) -> object:
    async with open_outgoing() as outgoing:
        return await outgoing.post_json(url, {"a": 1}, bearer="key", **options)


async def test_json_comes_back() -> None:
    async with answering(sending(with_body("200 OK", '{"ok": true}'))) as url:
        assert await post(url) == {"ok": True}


@pytest.mark.parametrize(("body", "expected"), [('{"error": "no"}', {"error": "no"}), ("<html>", None)])
async def test_a_refusal_carries_status_and_answer(body: str, expected: object) -> None:
    async with answering(sending(with_body("429 Too Many Requests", body))) as url:
        with pytest.raises(OutgoingRefused) as refusal:
            await post(url)
    assert (refusal.value.status, refusal.value.answer) == (429, expected)


async def test_a_redirect_is_not_followed() -> None:
    text = "HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:1/\r\nContent-Length: 0\r\n\r\n"
    async with answering(sending(text)) as url:
        with pytest.raises(OutgoingRefused) as refusal:
            await post(url)
    assert refusal.value.status == 302


async def test_what_is_no_json_is_a_failure() -> None:
    async with answering(sending(with_body("200 OK", "<html>"))) as url:
        with pytest.raises(OutgoingFailed, match="no JSON"):
            await post(url)


async def test_an_answer_that_drips_ends_at_the_deadline() -> None:
    async def drip(writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n")
        for _ in range(100):
            writer.write(b" ")
            await asyncio.sleep(0.02)

    async with answering(drip) as url:
        with pytest.raises(OutgoingFailed, match=r"no answer within 0\.2 s"):
            await post(url, deadline_secs=0.2)


async def test_an_answer_without_end_is_cut_off() -> None:
    async with answering(sending(with_body("200 OK", " " * 2_000_000))) as url:
        with pytest.raises(OutgoingFailed, match="larger than"):
            await post(url)
