"""The TCP port that the whole server listens on."""

import errno
import socket


class PortTaken(Exception):
    """The address to listen on is in use or not ours."""


def bind(host: str, port: int) -> socket.socket:
    """Return a TCP socket bound to the address, not yet listening; port 0 takes a free one. Raises `PortTaken`."""
    address = host.strip("[]")
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    # asyncio turns Nagle's algorithm off for what says that it is TCP. It would hold back a frame of a voice, or the
    # body of an answer, until the far end has acknowledged what came before: up to 40 ms, and the way there and back.
    listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((address, port))
        listener.setblocking(False)
    except OSError as error:
        listener.close()
        if error.errno == errno.EADDRINUSE:
            raise PortTaken(
                f"port {port} of {host} is taken by another program; stop it, or set TRUNKLINE_PORT"
            ) from error
        raise PortTaken(f"cannot listen on {host}:{port} ({error.strerror}); correct TRUNKLINE_HOST") from error
    return listener
