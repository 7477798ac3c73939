"""The port that the server listens on: what connections to it are like."""

import asyncio
import socket

import pytest

from simulators.loopback import LoopbackServer
from switchboard.port import bind


@pytest.mark.parametrize("host", ["127.0.0.1", "[::1]"])
async def test_small_pieces_are_sent_at_once(host: str) -> None:
    told: list[int] = []

    async def serve(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        told.append(writer.get_extra_info("socket").getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY))
        writer.close()

    listener = bind(host, 0)
    async with await asyncio.start_server(serve, sock=listener):
        reader, writer = await asyncio.open_connection(host.strip("[]"), listener.getsockname()[1])
        assert await reader.read() == b""
        writer.close()
    assert [bool(value) for value in told] == [True]


async def test_the_stand_ins_do_so_too() -> None:
    async def app(scope: dict[str, object], _receive: object, send: object) -> None:
        raise AssertionError(scope, send)

    async with LoopbackServer(app, name="anything") as server:
        [listener] = [sock for each in server._server.servers for sock in each.sockets]
        assert listener.proto == socket.IPPROTO_TCP
