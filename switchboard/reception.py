"""The door: takes connections, looks where they want to go, and hands each one to a process. No byte is read."""

import asyncio
import errno
import socket
from collections.abc import Callable

from loguru import logger

from switchboard.peeking import PEEK_BYTES, is_enough, stream_of

BACKLOG = 2048
_AT_ONCE = 64
"""So many are taken in one go; then it is somebody else's turn on the loop."""
_SILENT_SECS = 3.0
"""A connection that has said nothing by then is handed over as it is: the process knows what to do with it."""
_REST_SECS = 0.5
"""So long the rest of a request line is waited for."""
_LOOK_AGAIN_SECS = 0.01
_PAUSE_SECS = 0.2

HandOver = Callable[[socket.socket, str | None], None]
"""Takes a connection, and the process that a stream's path names. The socket is then the taker's to close."""


class Reception:
    """Takes what comes in on a listening socket. Nobody who is slow holds up anybody else."""

    def __init__(self, listener: socket.socket, hand_over: HandOver) -> None:
        """Take the bound socket, which whoever made it closes, and who gets the connections."""
        self._listener = listener
        self._hand_over = hand_over
        self._looking: dict[socket.socket, asyncio.TimerHandle] = {}
        self._is_open = False

    def open(self) -> None:
        """Listen. Raises OSError when another program listens there already."""
        self._listener.listen(BACKLOG)
        self._is_open = True
        self._resume()

    def close(self) -> None:
        """Take nobody any more; who has not said yet what he wants is sent away."""
        self._is_open = False
        loop = asyncio.get_running_loop()
        loop.remove_reader(self._listener.fileno())
        for connection, timer in self._looking.items():
            timer.cancel()
            loop.remove_reader(connection.fileno())
            connection.close()
        self._looking.clear()

    def _resume(self) -> None:
        if self._is_open:
            asyncio.get_running_loop().add_reader(self._listener.fileno(), self._accept)

    def _accept(self) -> None:
        for _ in range(_AT_ONCE):
            try:
                connection, _address = self._listener.accept()
            except (BlockingIOError, InterruptedError, ConnectionAbortedError):
                return
            except OSError as error:
                self._pause(error)
                return
            connection.setblocking(False)
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self._begin(connection)

    def _pause(self, error: OSError) -> None:
        """No more files, most likely: those that wait in the kernel's queue are taken when there are some again."""
        loop = asyncio.get_running_loop()
        loop.remove_reader(self._listener.fileno())
        loop.call_later(_PAUSE_SECS, self._resume)
        name = errno.errorcode.get(error.errno or 0, "")
        logger.bind(problem=f"{name} {error.strerror}").error("no connection can be taken for a moment")

    def _begin(self, connection: socket.socket) -> None:
        head = peek(connection)
        if head and is_enough(head):
            self._hand_over(connection, stream_of(head))
            return
        loop = asyncio.get_running_loop()
        self._looking[connection] = loop.call_later(_SILENT_SECS, self._finish, connection)
        if head is None:
            loop.add_reader(connection.fileno(), self._look, connection)
        else:
            self._look(connection)

    def _look(self, connection: socket.socket) -> None:
        """Something came. Its socket stays readable, so from now on it is the clock that looks again."""
        loop = asyncio.get_running_loop()
        loop.remove_reader(connection.fileno())
        self._looking.pop(connection).cancel()
        self._look_again(connection, loop.time() + _REST_SECS)

    def _look_again(self, connection: socket.socket, until_secs: float) -> None:
        loop, head = asyncio.get_running_loop(), peek(connection)
        if head == b"":
            self._looking.pop(connection, None)
            connection.close()  # he has left
        elif head is None or is_enough(head) or loop.time() >= until_secs:
            self._finish(connection)
        else:
            self._looking[connection] = loop.call_later(_LOOK_AGAIN_SECS, self._look_again, connection, until_secs)

    def _finish(self, connection: socket.socket) -> None:
        asyncio.get_running_loop().remove_reader(connection.fileno())
        self._looking.pop(connection, None)
        self._hand_over(connection, stream_of(peek(connection) or b""))


def peek(connection: socket.socket) -> bytes | None:
    """Return what has come so far; empty when the other side has left, None when nothing has come yet."""
    try:
        return connection.recv(PEEK_BYTES, socket.MSG_PEEK)
    except (BlockingIOError, InterruptedError):
        return None
    except OSError:
        return b""
