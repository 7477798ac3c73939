"""The short way of the model's socket: what it brings is what websockets' own way brings."""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass

import pytest
from websockets.asyncio.client import ClientConnection, connect
from websockets.asyncio.server import ServerConnection, serve
from websockets.exceptions import ConnectionClosed, ConnectionClosedError, ConnectionClosedOK
from websockets.frames import Frame, Opcode

from pipelines.model_socket import ModelSocket
from tests.unit.pipelines.wire_model import until

pytestmark = pytest.mark.unit

WORDS = b'{"serverContent": {"outputTranscription": {"text": "%d"}}}'
OTHER = b'{"toolCall": {"number": %d}}'


def frame(payload: bytes, opcode: Opcode = Opcode.TEXT, *, fin: bool = True, mask: bool = False) -> bytes:
    return Frame(opcode, payload, fin).serialize(mask=mask)


@dataclass
class Wire:
    """Both ends of one connection."""

    model: ServerConnection
    client: ClientConnection

    def say(self, *frames: bytes) -> None:
        """Bytes as they are, from the model."""
        self.model.transport.write(b"".join(frames))

    def arrive(self, data: bytes) -> None:
        """Bytes of the model in exactly this piece."""
        self.client.transport.get_protocol().data_received(data)  # type: ignore[union-attr]


@asynccontextmanager
async def wire() -> AsyncGenerator[Wire]:
    models: asyncio.Queue[ServerConnection] = asyncio.Queue()

    async def hold(model: ServerConnection) -> None:
        models.put_nowait(model)
        await model.wait_closed()

    async with serve(hold, "127.0.0.1", 0, compression=None, ping_interval=None, close_timeout=0.2) as server:
        port = server.sockets[0].getsockname()[1]
        url = f"ws://127.0.0.1:{port}"
        async with connect(url, compression=None, ping_interval=None, close_timeout=0.2, proxy=None) as client:
            model = await models.get()
            yield Wire(model, client)
            model.transport.abort()


async def read(socket: ModelSocket, count: int) -> list[bytes | str]:
    async with asyncio.timeout(5):
        return [await socket.recv(decode=False) for _ in range(count)]


# ---- order ----


async def test_speech_and_all_else_come_in_order_however_they_are_cut():
    told = [frame((OTHER if number % 3 == 0 else WORDS) % number) for number in range(7)]
    told.insert(3, frame(b"are you there?", Opcode.PING))
    whole = b"".join(told)
    for size in (1, 2, 3, 7, 50, len(whole)):
        async with wire() as wired:
            heard: list[object] = []

            async def hear(speech: list[bytes] | str | None, heard: list[object] = heard) -> None:
                if speech is not None:
                    heard.append(speech)

            socket = ModelSocket(wired.client, hear)
            for at in range(0, len(whole), size):
                wired.arrive(whole[at : at + size])
            for number in (0, 3, 6):
                heard += await read(socket, 1)
                assert heard[-1] == OTHER % number
            assert heard == [OTHER % 0, "1", "2", OTHER % 3, "4", "5", OTHER % 6]


async def test_long_and_short_messages_come_whole():
    messages = [bytes([65 + number]) * size for number, size in enumerate((0, 125, 126, 65_535, 65_536, 1024 * 1024))]
    async with wire() as wired:
        socket = ModelSocket(wired.client)
        for message in messages:
            await wired.model.send(message)
            await wired.model.send(message, text=True)
        assert await read(socket, 12) == [message for message in messages for _ in range(2)]


async def test_what_waited_before_comes_first():
    async with wire() as wired:
        late = frame(OTHER % 2)
        wired.say(frame(OTHER % 0), frame(OTHER % 1), late[:5])
        await until(lambda: wired.client.protocol.reader.buffer)
        socket = ModelSocket(wired.client)
        wired.say(late[5:])
        await until(lambda: len(wired.client.recv_messages.frames) == 3)
        wired.say(frame(OTHER % 3))
        assert await read(socket, 4) == [OTHER % number for number in range(4)]


@pytest.mark.parametrize("waits", [True, False])
async def test_fragments_come_behind_what_was_whole_and_before_what_follows(waits):
    """The rest of the connection is websockets' then: also what came earlier and was not read yet must be first."""
    async with wire() as wired:
        if waits:
            wired.say(frame(b"0"))
            await until(lambda: len(wired.client.recv_messages.frames))
        socket = ModelSocket(wired.client)
        wired.arrive(
            frame(b"1")
            + frame(b"2", Opcode.BINARY)
            + frame(b"three", fin=False)
            + frame(b"now?", Opcode.PING)
            + frame(b" and a half", Opcode.CONT)
            + frame(b"4")
        )
        wired.arrive(frame(b"5"))
        expected = [b"1", b"2", b"three and a half", b"4", b"5"]
        assert await read(socket, 5 + waits) == [b"0"] * waits + expected


async def test_fragments_reach_who_waits_for_them():
    async with wire() as wired:
        socket = ModelSocket(wired.client)
        reading = asyncio.create_task(read(socket, 3))
        await asyncio.sleep(0)
        wired.say(frame(b"1"), frame(b"2", fin=False))
        await asyncio.sleep(0.02)
        wired.say(frame(b"3", Opcode.CONT), frame(b"4"))
        assert await reading == [b"1", b"23", b"4"]


async def test_pings_are_answered():
    async with wire() as wired:
        socket = ModelSocket(wired.client)
        pong = await wired.model.ping()
        wired.say(frame(b"1"))
        async with asyncio.timeout(5):
            await pong
        pong = await socket.ping()
        async with asyncio.timeout(5):
            await pong
        assert await read(socket, 1) == [b"1"]


# ---- the end ----


async def close(wired: Wire) -> None:
    await wired.model.close(1000, "the end")


async def abort(wired: Wire) -> None:
    wired.model.transport.abort()


async def half_a_frame(wired: Wire) -> None:
    wired.say(frame(b"5" * 1000)[:500])
    wired.model.transport.close()


async def half_a_message(wired: Wire) -> None:
    wired.say(frame(b"5", fin=False))
    wired.model.transport.close()


Ending = Callable[[Wire], Awaitable[None]]
ENDINGS: list[tuple[Ending, type[ConnectionClosed]]] = [
    (close, ConnectionClosedOK),
    (abort, ConnectionClosedError),
    (half_a_frame, ConnectionClosedError),
    (half_a_message, ConnectionClosedError),
]


@pytest.mark.parametrize("phase", ["before", "unread", "waiting"])
@pytest.mark.parametrize(("end", "error"), ENDINGS)
async def test_a_peer_that_goes_is_told_after_all_it_said(end, error, phase):
    async with wire() as wired:
        if phase == "before":
            wired.say(frame(b"1"), frame(b"2"))
            await until(lambda: len(wired.client.recv_messages.frames) == 2)
            await end(wired)
            await wired.client.wait_closed()
            socket = ModelSocket(wired.client)
        elif phase == "unread":
            socket = ModelSocket(wired.client)
            wired.arrive(frame(b"1"))
            wired.arrive(frame(b"2"))
            await end(wired)
            await wired.client.wait_closed()
        else:
            socket = ModelSocket(wired.client)
            wired.say(frame(b"1"), frame(b"2"))
        assert await read(socket, 2) == [b"1", b"2"]
        reading = asyncio.create_task(read(socket, 1))
        await asyncio.sleep(0)
        if phase == "waiting":
            await end(wired)
        with pytest.raises(error):
            await reading
        assert not socket.send_now(b"too late")


@pytest.mark.parametrize(
    ("odd", "code"),
    [
        (frame(b"x" * (1024 * 1024 + 1)), 1009),
        (frame(b"masked", mask=True), 1002),
        (frame(b"", Opcode.CONT), 1002),
        (b"\xc1\x01x", 1002),
        (b"\x83\x00", 1002),
        (frame(b"half", fin=False) + frame(b"another"), 1002),
    ],
    ids=["oversized", "masked", "continues nothing", "compressed", "unknown", "two at once"],
)
async def test_what_is_against_the_protocol_is_websockets_to_refuse(odd, code):
    async with wire() as wired:
        socket = ModelSocket(wired.client)
        wired.arrive(frame(b"1") + frame(b"2") + odd)
        assert await read(socket, 2) == [b"1", b"2"]
        with pytest.raises(ConnectionClosedError) as caught:
            await read(socket, 1)
        assert caught.value.sent is not None
        assert caught.value.sent.code == code


async def test_a_connection_that_we_close_ends_while_much_is_unread():
    async with wire() as wired:
        socket = ModelSocket(wired.client)
        await asyncio.gather(*(wired.model.send(b"%d" % number) for number in range(1000)))
        async with asyncio.timeout(5):
            await socket.close()
        with pytest.raises(ConnectionClosed):
            await read(socket, 1001)


# ---- back-pressure ----


async def test_a_model_that_is_not_read_has_to_wait():
    async with wire() as wired:
        socket = ModelSocket(wired.client)
        message, count = b"x" * 30_000, 1500

        async def talk() -> None:
            for number in range(count):
                await wired.model.send(message + b"%d" % number)

        talking = asyncio.create_task(talk())
        await until(lambda: not wired.client.transport.is_reading())
        await asyncio.sleep(0.05)
        assert not talking.done()
        assert await read(socket, count) == [message + b"%d" % number for number in range(count)]
        await talking
        assert wired.client.transport.is_reading()


async def test_fragments_after_a_pause_are_still_read():
    async with wire() as wired:
        socket = ModelSocket(wired.client)
        for number in range(300):
            wired.arrive(frame(b"%d" % number))
        assert not wired.client.transport.is_reading()
        wired.arrive(frame(b"300", fin=False))
        wired.say(frame(b"", Opcode.CONT), frame(b"301"))
        assert await read(socket, 302) == [b"%d" % number for number in range(302)]


async def test_a_message_is_sent_at_once_until_nothing_is_taken_any_more():
    async with wire() as wired:
        socket = ModelSocket(wired.client)
        sent = [b"y" * size for size in (0, 1, 125, 126, 65_535, 65_536)]
        for payload in sent:
            assert socket.send_now(payload)
            await socket.send(b"between")
            assert await wired.model.recv(decode=False) == payload
            assert await wired.model.recv() == b"between"
        wired.model.transport.pause_reading()
        count = 0
        while socket.send_now(b"z" * 10_000):
            count += 1
            await asyncio.sleep(0)
            assert count < 5000
        wired.model.transport.resume_reading()
        async with asyncio.timeout(5):
            assert [await wired.model.recv(decode=False) for _ in range(count)] == [b"z" * 10_000] * count
        assert socket.send_now(b"again")
