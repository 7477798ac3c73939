"""A connection on its way from one process to another: the kernel carries the open socket, nobody copies its bytes."""

import asyncio
import os
import socket
from collections.abc import Callable

_NOTE = b"."
"""Something has to be sent along with a socket."""
_MOST = 16


def make_passage() -> tuple[socket.socket, socket.socket]:
    """Return both ends of what sockets are carried through: (for whoever gives, for whoever takes)."""
    giver, taker = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    giver.setblocking(False)
    return giver, taker


def give(passage: socket.socket, connection: socket.socket) -> bool:
    """Hand the connection over; False when the other side is gone, or takes nothing at the moment."""
    try:
        socket.send_fds(passage, [_NOTE], [connection.fileno()])
    except OSError:
        return False
    return True


class Taking:
    """The other side: gives each connection that comes through to `take`, on the event loop's thread."""

    def __init__(self, passage: socket.socket, take: Callable[[socket.socket], None]) -> None:
        """Take the passage's end, which is then this object's own."""
        passage.setblocking(False)
        self._passage = passage
        self._take = take

    def begin(self) -> None:
        """Take connections from now on."""
        asyncio.get_running_loop().add_reader(self._passage.fileno(), self.take_all)

    def take_all(self) -> None:
        """Take those that have come through by now."""
        while self._passage.fileno() >= 0:
            try:
                note, descriptors, _flags, _address = socket.recv_fds(self._passage, 1, _MOST)
            except (BlockingIOError, InterruptedError):
                return
            except OSError:
                note, descriptors = b"", []
            for descriptor in descriptors:
                os.set_inheritable(descriptor, False)
                connection = socket.socket(fileno=descriptor)
                connection.setblocking(False)
                self._take(connection)
            if not note:
                self.close()  # nobody gives any more

    def close(self) -> None:
        """Take none any more; those that are still on their way are closed by the kernel."""
        if self._passage.fileno() >= 0:
            asyncio.get_running_loop().remove_reader(self._passage.fileno())
            self._passage.close()
