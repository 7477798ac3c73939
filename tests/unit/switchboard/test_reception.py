"""Connections: looked at without being read, nobody held up by anybody, handed to another process whole."""

import asyncio
import socket
import time
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, cast

import pytest

from switchboard.child import Child
from switchboard.handing_over import Taking, give, make_passage
from switchboard.link import Link
from switchboard.peeking import PEEK_BYTES, is_enough, stream_of
from switchboard.placement import Placement
from switchboard.port import PortTaken, bind
from switchboard.reception import Reception
from switchboard.usher import Usher

STREAM = b"GET /twilio/stream/host-1-abc HTTP/1.1\r\nHost: x\r\n\r\n"


@pytest.mark.parametrize(
    ("head", "name"),
    [
        (STREAM, "host-1-abc"),
        (b"GET /prefix/twilio/stream/a-1?x=1 HTTP/1.1\r\n", "a-1"),
        (b"GET /twilio/stream HTTP/1.1\r\n", None),
        (b"GET /twilio/stream/ HTTP/1.1\r\n", None),
        (b"GET /twilio/stream/a/b HTTP/1.1\r\n", None),
        (b"GET /twilio/stream/%41 HTTP/1.1\r\n", None),
        (b"GET /?x=/twilio/stream/a HTTP/1.1\r\n", None),
        (b"POST /twilio/stream/a HTTP/1.1\r\n", None),
        (b"\x16\x03\x01\xff", None),
        (b"", None),
    ],
)
def test_a_streams_path_names_its_process(head: bytes, name: str | None):
    assert stream_of(head) == name


def test_a_request_line_is_waited_for_and_an_endless_one_is_not():
    assert not is_enough(STREAM[:20])
    assert is_enough(STREAM)
    assert is_enough(b"G" * PEEK_BYTES)


@dataclass
class Door:
    """A reception whose connections are kept."""

    port: int
    taken: list[tuple[socket.socket, str | None]] = field(default_factory=list[tuple[socket.socket, str | None]])

    async def wait(self, count: int) -> None:
        async with asyncio.timeout(5):
            while len(self.taken) < count:  # noqa: ASYNC110 - the reception tells nobody else
                await asyncio.sleep(0.005)

    async def knock(self, data: bytes = b"") -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        writer.write(data)
        return reader, writer


@asynccontextmanager
async def door() -> AsyncGenerator[Door]:
    with bind("127.0.0.1", 0) as listener:
        opened = Door(listener.getsockname()[1])
        reception = Reception(listener, lambda connection, name: opened.taken.append((connection, name)))
        reception.open()
        try:
            yield opened
        finally:
            reception.close()
            for connection, _ in opened.taken:
                connection.close()


async def test_nothing_is_read_from_a_connection_that_is_looked_at():
    async with door() as opened:
        _, writer = await opened.knock(STREAM + b"body")
        await opened.wait(1)
        connection, name = opened.taken[0]
        assert name == "host-1-abc"
        assert connection.recv(1000) == STREAM + b"body"
        writer.close()


async def test_a_request_line_in_pieces_is_put_together():
    async with door() as opened:
        _, writer = await opened.knock(STREAM[:9])
        await asyncio.sleep(0.03)
        assert opened.taken == []
        writer.write(STREAM[9:])
        await opened.wait(1)
        assert opened.taken[0][1] == "host-1-abc"
        writer.close()


async def test_those_who_say_nothing_hold_up_nobody(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("switchboard.reception._SILENT_SECS", 0.5)
    monkeypatch.setattr("switchboard.reception._REST_SECS", 0.3)
    async with door() as opened:
        silent = [await opened.knock() for _ in range(50)]
        slow = [await opened.knock(b"GET /tw") for _ in range(5)]
        began = time.monotonic()
        _, writer = await opened.knock(STREAM)
        await opened.wait(1)
        assert time.monotonic() - began < 0.2
        assert opened.taken[0][1] == "host-1-abc"
        await opened.wait(56)  # in the end somebody else decides about the others
        assert [name for _, name in opened.taken[1:]] == [None] * 55
        for _, other in [*silent, *slow, (None, writer)]:
            other.close()


async def test_those_who_leave_at_once_are_forgotten():
    async with door() as opened:
        for data in (b"", b"GET"):
            _, writer = await opened.knock(data)
            await asyncio.sleep(0.02)
            writer.close()
            await writer.wait_closed()
        _, last = await opened.knock(STREAM)
        await opened.wait(1)
        await asyncio.sleep(0.6)
        assert [name for _, name in opened.taken if name] == ["host-1-abc"]
        last.close()


def test_a_port_that_is_taken_is_said_to_be():
    with bind("127.0.0.1", 0) as first:
        first.listen()
        with pytest.raises(PortTaken, match="is taken by another program"):
            bind("127.0.0.1", first.getsockname()[1])


async def test_a_connection_goes_through_the_passage_with_all_that_was_sent():
    giver, taker = make_passage()
    got: list[socket.socket] = []
    taking = Taking(taker, got.append)
    taking.begin()
    pairs = [socket.socketpair() for _ in range(20)]
    with giver:
        for number, (near, far) in enumerate(pairs):
            far.sendall(b"hello %d" % number)
            assert give(giver, near)
            near.close()
        async with asyncio.timeout(5):
            while len(got) < 20:  # noqa: ASYNC110 - nobody else tells
                await asyncio.sleep(0.005)
    for number, (connection, (_, far)) in enumerate(zip(got, pairs, strict=True)):
        assert connection.recv(100) == b"hello %d" % number
        assert not connection.get_inheritable()
        connection.close()
        assert far.recv(1) == b"", "nobody else has it open"
        far.close()
    await asyncio.sleep(0.05)  # the giver's end is closed: taking ends by itself
    taking.take_all()
    taking.close()


def test_a_process_that_is_gone_is_given_nothing():
    giver, taker = make_passage()
    taker.close()
    near, far = socket.socketpair()
    with giver, near, far:
        assert not give(giver, near)


def test_a_process_that_takes_nothing_is_given_no_more():
    giver, taker = make_passage()
    near, far = socket.socketpair()
    with giver, taker, near, far:
        assert not all(give(giver, near) for _ in range(5000))
        assert near.fileno() >= 0


async def test_what_a_dead_process_has_not_read_goes_to_another():
    placement, children, ends = Placement(10), list[Child](), list[socket.socket]()
    usher = Usher(placement, lambda: children)
    for number, name in enumerate("ab"):
        giver, taker = make_passage()
        ours, theirs = socket.socketpair()
        theirs.close()
        link = Link(ours, lambda _body: None, cast(Any, None))
        children.append(Child(number, cast(Any, None), link, giver, name=name))
        placement.join(name)
        ends.append(taker)
    near, far = socket.socketpair()
    read_near, read_far = socket.socketpair()
    for sock in (near, read_near):
        sock.setblocking(False)
    far.sendall(b"GET / HTTP/1.1\r\n\r\n")
    usher.hand_over(near, "a")
    usher.hand_over(read_near, "a")  # of this one all that came has been read
    ends[0].close()
    children[0].link.close()
    placement.leave("a")
    usher.take_back(children[0])
    note, descriptors, _, _ = socket.recv_fds(ends[1], 1, 4)
    assert (note, len(descriptors)) == (b".", 1)
    with socket.socket(fileno=descriptors[0]) as taken:
        assert taken.recv(100) == b"GET / HTTP/1.1\r\n\r\n"
        await asyncio.sleep(0.15)
        assert near.fileno() == -1, "in the end nobody but the process has it open"
    assert read_far.recv(1) == b""
    usher.close()
    for sock in (far, read_far, ends[1], children[0].passage, children[1].passage):
        sock.close()
    children[1].link.close()


async def test_a_connection_waits_while_no_process_is_up_but_not_for_ever(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("switchboard.usher._PATIENCE_SECS", 0.05)
    usher = Usher(Placement(10), list[Child])
    near, far = socket.socketpair()
    usher.hand_over(near, None)
    usher.look()
    assert near.fileno() >= 0
    await asyncio.sleep(0.1)
    usher.look()
    with far:
        assert far.recv(1) == b""
