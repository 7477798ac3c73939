"""One end of the socket between the supervisor and a process: messages told, questions asked and answered."""

import asyncio
import itertools
import socket
from collections.abc import Awaitable, Callable
from typing import TypeVar

from loguru import logger

from switchboard.messages import BadMessage, Body, Decoder, Done, Envelope, encode

_READ_BYTES = 256 * 1024

_B = TypeVar("_B")

Answer = Callable[[Body], Awaitable[Body]]
"""Answers a question; runs in a task of its own, so that one which takes long holds up nobody."""
Hear = Callable[[Body], None]
"""Takes a message that wants no answer; in the order in which they were told, and before what came after it."""


class NoAnswer(Exception):
    """The other end is gone, or did not answer in time."""


class Link:
    """One end. `run` reads until the other end is gone; everything may be told from the first moment on."""

    def __init__(self, sock: socket.socket, hear: Hear, answer: Answer) -> None:
        """Take a connected stream socket, which is then this object's own, and who takes messages and questions."""
        sock.setblocking(False)
        self._socket = sock
        self._hear = hear
        self._answer = answer
        self._numbers = itertools.count(1)
        self._waiting: dict[int, asyncio.Future[Body]] = {}
        self._answering: set[asyncio.Task[None]] = set()
        self._unsent = bytearray()
        self._is_closed = False

    @property
    def is_closed(self) -> bool:
        """Whether the other end is gone."""
        return self._is_closed

    def tell(self, body: Body) -> None:
        """Send a message that wants no answer. Immediate; to an end that is gone it does nothing."""
        self._send(Envelope(body=body))

    async def ask(self, body: Body, wanted: type[_B], timeout_secs: float) -> _B:
        """Ask, and return the answer. Raises `NoAnswer` when there is none, in time and of that kind."""
        number = next(self._numbers)
        self._waiting[number] = future = asyncio.get_running_loop().create_future()
        try:
            self._send(Envelope(body=body, ask=number))
            if self._is_closed:
                raise NoAnswer(NoAnswer.__doc__)
            async with asyncio.timeout(timeout_secs):
                given = await future
        except TimeoutError as error:
            raise NoAnswer(NoAnswer.__doc__) from error
        finally:
            del self._waiting[number]
        if not isinstance(given, wanted):
            raise NoAnswer(f"{type(given).__name__} is no answer to {type(body).__name__}")
        return given

    async def run(self) -> None:
        """Read until the other end is gone or sends what is no message; then everything is closed."""
        loop, decoder = asyncio.get_running_loop(), Decoder()
        try:
            while data := await loop.sock_recv(self._socket, _READ_BYTES):
                for envelope in decoder.feed(data):
                    self._take(envelope)
            if decoder.has_rest:
                logger.warning("the other end of a switchboard's line died in the middle of a message")
        except ConnectionError:
            logger.debug("the other end of a switchboard's line is gone")
        except BadMessage as error:
            logger.bind(problem=str(error)).error("what came over a switchboard's line cannot be read; it is closed")
        finally:
            self.close()

    def close(self) -> None:
        """Close this end; whoever waits for an answer gets none."""
        if self._is_closed:
            return
        self._is_closed = True
        for future in self._waiting.values():
            if not future.done():
                future.set_exception(NoAnswer(NoAnswer.__doc__))
        for task in self._answering:
            task.cancel()
        if self._unsent:
            asyncio.get_running_loop().remove_writer(self._socket.fileno())
        self._socket.close()

    def _take(self, envelope: Envelope) -> None:
        if envelope.answers is not None:
            future = self._waiting.get(envelope.answers)
            if future is not None and not future.done():  # an answer that comes too late is nobody's any more
                future.set_result(envelope.body)
        elif envelope.ask is None:
            self._hear(envelope.body)
        else:
            task = asyncio.create_task(self._reply(envelope.body, envelope.ask), name=f"answer {envelope.body.kind}")
            self._answering.add(task)
            task.add_done_callback(self._answering.discard)

    async def _reply(self, body: Body, number: int) -> None:
        try:
            given = await self._answer(body)
        except Exception:
            logger.exception("a question over a switchboard's line could not be answered")
            given = Done()
        self._send(Envelope(body=given, answers=number))

    def _send(self, envelope: Envelope) -> None:
        if self._is_closed:
            return
        data = encode(envelope)
        if not self._unsent:
            data = data[self._write(data) :]
            if data and not self._is_closed:
                asyncio.get_running_loop().add_writer(self._socket.fileno(), self._flush)
        self._unsent += data

    def _flush(self) -> None:
        del self._unsent[: self._write(bytes(self._unsent))]
        if not self._unsent and not self._is_closed:
            asyncio.get_running_loop().remove_writer(self._socket.fileno())

    def _write(self, data: bytes) -> int:
        try:
            return self._socket.send(data)
        except (BlockingIOError, InterruptedError):
            return 0
        except OSError:
            return len(data)  # the other end is gone; reading finds out
