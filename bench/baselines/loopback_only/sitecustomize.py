"""Loaded by Python at its start, from PYTHONPATH: names outside this machine are not looked up."""

import socket
import sys
from typing import Any

_look_up = socket.getaddrinfo


def _look_up_here(host: Any, *arguments: Any, **options: Any) -> Any:
    name = host.decode() if isinstance(host, bytes) else host
    if name not in (None, "", "localhost", "0.0.0.0", "::", "::1") and not str(name).startswith("127."):
        print(f"loopback only: {name} was not looked up", file=sys.stderr, flush=True)  # noqa: T201
        raise socket.gaierror(socket.EAI_NONAME, "the bench stays on this machine")
    return _look_up(host, *arguments, **options)


socket.getaddrinfo = _look_up_here
