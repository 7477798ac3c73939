"""Notices that the other side of a TCP connection has left, without reading what it sent."""

from __future__ import annotations

import asyncio
import select
import socket

_POLL_SECS = 0.1
# Linux tells the peer's FIN even behind unread data; elsewhere only a connection that is gone in both directions.
_GONE = getattr(select, "POLLRDHUP", 0) | select.POLLHUP | select.POLLERR


async def peer_gone(transport: asyncio.BaseTransport) -> None:
    """Returns once the other side has closed or reset the connection, or we have."""
    connection: socket.socket | None = transport.get_extra_info("socket")
    if connection is None:
        return
    poll = select.poll()
    while not transport.is_closing():
        descriptor = connection.fileno()
        if descriptor < 0:
            return
        poll.register(descriptor, _GONE)
        is_gone = any(events & _GONE for _, events in poll.poll(0))
        poll.unregister(descriptor)
        if is_gone:
            return
        await asyncio.sleep(_POLL_SECS)
