"""What a new process reads before its event loop runs: what it is to be."""

import socket

from switchboard.messages import BadMessage, Begin, Decoder


class NoSupervisor(Exception):
    """This verb is for the processes that a supervisor starts; `serve` is the one to use."""


def open_sockets(messages: int, passage: int) -> tuple[socket.socket, socket.socket]:
    """Return the inherited sockets. Raises `NoSupervisor` when there are none."""
    try:
        return socket.socket(fileno=messages), socket.socket(fileno=passage)
    except OSError as error:
        raise NoSupervisor(NoSupervisor.__doc__) from error


def read_begin(messages: socket.socket) -> Begin:
    """Wait for the supervisor's first message. Raises `NoSupervisor`. Nothing behind it is read."""
    decoder = Decoder()
    try:
        while byte := messages.recv(1):
            for envelope in decoder.feed(byte):
                if isinstance(envelope.body, Begin):
                    return envelope.body
                raise NoSupervisor(NoSupervisor.__doc__)
    except (OSError, BadMessage) as error:
        raise NoSupervisor(NoSupervisor.__doc__) from error
    raise NoSupervisor(NoSupervisor.__doc__)
