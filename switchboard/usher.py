"""Brings each connection to the process that shall have it; while there is none, lets it wait for a moment."""

import asyncio
import socket
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from loguru import logger

from switchboard.child import Child
from switchboard.handing_over import give
from switchboard.placement import Placement
from switchboard.reception import peek

_MOST_WAITING = 256
_KEPT_SECS = 0.1
"""A connection stays open here for so long after it was handed over: a process that dies takes none unread with it."""
_PATIENCE_SECS = 10.0
"""Twilio gives a webhook 15 s, and a process that died is followed by another in less than this."""


@dataclass(frozen=True, slots=True)
class _Guest:
    connection: socket.socket
    stream_of: str | None
    until_secs: float


@dataclass(frozen=True, slots=True)
class _Given:
    connection: socket.socket
    stream_of: str | None
    child: Child


class Usher:
    """Every connection given to `hand_over` is then its own to close."""

    def __init__(self, placement: Placement, children: Callable[[], Iterable[Child]]) -> None:
        """Take the table, and where the processes that are up are to be found."""
        self._placement = placement
        self._children = children
        self._waiting: deque[_Guest] = deque()
        self._given: deque[_Given] = deque()

    def hand_over(self, connection: socket.socket, stream_of: str | None) -> None:
        """Give a connection to the process that its stream names, else to the least loaded that takes it."""
        if self._give(connection, stream_of):
            return
        if len(self._waiting) >= _MOST_WAITING:
            self._send_away(connection)
            return
        until_secs = asyncio.get_running_loop().time() + _PATIENCE_SECS
        self._waiting.append(_Guest(connection, stream_of, until_secs))

    def look(self) -> None:
        """Try again with those that wait, and send away those that have waited for long enough."""
        now_secs = asyncio.get_running_loop().time()
        for _ in range(len(self._waiting)):
            guest = self._waiting.popleft()
            if guest.until_secs < now_secs:
                self._send_away(guest.connection)
            elif not self._give(guest.connection, guest.stream_of):
                self._waiting.append(guest)

    def take_back(self, child: Child) -> None:
        """A process is gone: what it was given just now and has not read goes to another one.

        Its calls' sockets close with it, and Twilio asks what comes next in that very millisecond.
        """
        kept = [given for given in self._given if given.child is child]
        self._given = deque(given for given in self._given if given.child is not child)
        for given in kept:
            if peek(given.connection):
                self.hand_over(given.connection, given.stream_of)
            else:
                given.connection.close()

    def close(self) -> None:
        """Send away all that wait."""
        while self._waiting:
            self._waiting.popleft().connection.close()
        while self._given:
            self._given.popleft().connection.close()

    def _give(self, connection: socket.socket, stream_of: str | None) -> bool:
        for name in self._placement.for_connection(stream_of):
            child = next((child for child in self._children() if child.name == name and child.is_up), None)
            if child is not None and give(child.passage, connection):
                self._placement.handed_to(name)
                self._given.append(_Given(connection, stream_of, child))
                asyncio.get_running_loop().call_later(_KEPT_SECS, self._let_go, connection)
                return True
        return False

    def _let_go(self, connection: socket.socket) -> None:
        # Nearly always the first one: they are let go in the order in which they were given.
        for given in self._given:
            if given.connection is connection:
                self._given.remove(given)
                connection.close()
                return

    def _send_away(self, connection: socket.socket) -> None:
        logger.warning("a connection was closed: no server process takes any")
        connection.close()
