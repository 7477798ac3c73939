"""Requests before they are one: how long a head may take and be, and what is answered to bytes that are no request."""

import asyncio
import logging
from http import HTTPStatus
from secrets import token_hex
from typing import Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from api.errors import HeadTooLarge, NoRequest, SlowHead, answer_to

MOST_HEAD_BYTES = 32 * 1024
"""The longest request line and headers together; the parser itself would keep whatever comes."""
_ERRORS = logging.getLogger("uvicorn.error.requests")
"""uvicorn warns of all bytes that are no request: any stranger could fill the log."""
_ERRORS.setLevel(logging.ERROR)
_MOST_FRAMING_BYTES = 1024 * 1024
"""What may come with a body without being of it: sizes of chunks (5 bytes with each) and trailers."""


class _Refused(Exception):
    """The parser stops at the head that it has just read."""


def patient_for(head_secs: float) -> type[asyncio.Protocol]:
    """Return uvicorn's HTTP protocol with bounds for the head of a request, which has `head_secs` to come."""

    class BoundedProtocol(HttpToolsProtocol):
        """Closes a connection that says nothing, whose head comes in drops or never ends, or that speaks no HTTP."""

        _head_timer: asyncio.TimerHandle | None = None
        _is_in_head = False
        _has_begun_here = False
        _spare_bytes = 0
        _why: Exception | None = None

        def connection_made(self, transport: Any) -> None:
            super().connection_made(transport)
            self.logger = _ERRORS
            self._expect_head()

        def data_received(self, data: bytes) -> None:
            self._has_begun_here = False
            self._spare_bytes += len(data)
            super().data_received(data)
            if self.transport.is_closing():
                return
            # After an answer uvicorn closes who says nothing; who has begun to say something is ours again.
            if self._head_timer is None and self._is_in_head:
                self._expect_head()
            if self._has_begun_here:
                self._spare_bytes = 0  # what came before it in the same piece was another request's
            elif self._spare_bytes > (MOST_HEAD_BYTES if self._is_in_head else _MOST_FRAMING_BYTES):
                self._refuse(HeadTooLarge())

        def on_message_begin(self) -> None:
            super().on_message_begin()
            self._is_in_head = self._has_begun_here = True

        def on_header(self, name: bytes, value: bytes) -> None:
            if self._is_in_head:  # a trailer is no header: it came behind whatever a proxy has looked at
                super().on_header(name, value)

        def on_headers_complete(self) -> None:
            self._is_in_head = False
            self._head_is_there()
            if len(self.url) + sum(len(name) + len(value) + 4 for name, value in self.headers) > MOST_HEAD_BYTES:
                self._why = HeadTooLarge()
                raise _Refused
            parser: Any = self.parser
            if parser.get_http_version() == "1.1" and [name for name, _ in self.headers].count(b"host") != 1:
                self._why = NoRequest("The request must have one Host header, and has none or several.")
                raise _Refused
            super().on_headers_complete()

        def on_body(self, body: bytes) -> None:
            self._spare_bytes -= len(body)
            super().on_body(body)

        def send_400_response(self, msg: str) -> None:
            self._refuse(self._why or NoRequest("What was sent is no HTTP request, or its body is not framed as one."))

        def handle_websocket_upgrade(self) -> None:
            self._head_is_there()
            super().handle_websocket_upgrade()

        def connection_lost(self, exc: Exception | None) -> None:
            self._head_is_there()
            super().connection_lost(exc)

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
                self._refuse(SlowHead())

        def _refuse(self, why: Exception) -> None:
            cycle: Any = self.cycle
            if cycle is None or cycle.response_complete or not cycle.response_started:
                self.transport.write(_on_the_wire(why))
            self.transport.close()

    return BoundedProtocol


def _on_the_wire(why: Exception) -> bytes:
    """Return a whole answer as bytes. No route is known yet, so it is the API's problem, whoever asked."""
    request_id = token_hex(8)
    answer = answer_to(why, "/v1/", request_id)
    headers = [*answer.raw_headers, (b"x-request-id", request_id.encode()), (b"connection", b"close")]
    lines = [f"HTTP/1.1 {answer.status_code} {HTTPStatus(answer.status_code).phrase}".encode()]
    lines += [name + b": " + value for name, value in headers]
    return b"\r\n".join([*lines, b"", bytes(answer.body)])
