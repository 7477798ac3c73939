"""Connections whose requests never quite begin: each has so long for a request's head, and is then closed."""

import asyncio
from typing import Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

_TOO_SLOW = (
    b"HTTP/1.1 408 Request Timeout\r\nconnection: close\r\ncontent-type: text/plain; charset=utf-8\r\n"
    b"content-length: 28\r\n\r\nThe request came too slowly."
)


def patient_for(head_secs: float) -> type[asyncio.Protocol]:
    """Return uvicorn's HTTP protocol with a limit to how long the head of a request may take, in seconds."""

    class PatientProtocol(HttpToolsProtocol):
        """Closes a connection that says nothing, or whose request line and headers come in drops."""

        _head_timer: asyncio.TimerHandle | None = None

        def connection_made(self, transport: Any) -> None:
            super().connection_made(transport)
            self._expect_head()

        def data_received(self, data: bytes) -> None:
            super().data_received(data)
            # After an answer uvicorn closes who says nothing; who has begun to say something is ours again.
            if self._head_timer is None and self._is_in_head:
                self._expect_head()

        def on_message_begin(self) -> None:
            super().on_message_begin()
            self._is_in_head = True

        def on_headers_complete(self) -> None:
            self._is_in_head = False
            self._head_is_there()
            super().on_headers_complete()

        def handle_websocket_upgrade(self) -> None:
            self._head_is_there()
            super().handle_websocket_upgrade()

        def connection_lost(self, exc: Exception | None) -> None:
            self._head_is_there()
            super().connection_lost(exc)

        _is_in_head = False

        def _expect_head(self) -> None:
            self._head_timer = self.loop.call_later(head_secs, self._cut_off)

        def _head_is_there(self) -> None:
            if self._head_timer is not None:
                self._head_timer.cancel()
                self._head_timer = None

        def _cut_off(self) -> None:
            self._head_timer = None
            cycle: Any = self.cycle
            if cycle is not None and not cycle.response_complete:
                return  # one request is being answered; the next one behind it waits, and costs nothing
            if not self.transport.is_closing():
                self.transport.write(_TOO_SLOW)
                self.transport.close()

    return PatientProtocol
