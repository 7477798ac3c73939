"""The TCP port that the whole server listens on."""

import errno
import socket


class PortTaken(Exception):
    """The address to listen on is in use or not ours."""


def bind(host: str, port: int) -> socket.socket:
    """Return a TCP socket bound to the address, not yet listening; port 0 takes a free one. Raises `PortTaken`."""
    address = host.strip("[]")
    listener = socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET, socket.SOCK_STREAM)
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
