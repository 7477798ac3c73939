"""The WebSocket under one Live conversation, down to its TCP connection."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import Any, cast

from starlette.websockets import WebSocket, WebSocketDisconnect, WebSocketState
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol

from simulators import gemini_wire as wire
from simulators.dead_peer import peer_gone

_TRANSPORT = "simulators.transport"


class LiveProtocol(WebSocketsSansIOProtocol):
    """uvicorn's WebSocket that shows its application the transport: some faults are below WebSocket."""

    async def run_asgi(self) -> None:
        cast(dict[str, Any], self.scope)["extensions"][_TRANSPORT] = self.transport
        await super().run_asgi()


class LiveLine:
    """A conversation's connection. Sending and closing do nothing once either side has closed it.

    Attributes:
        close_code: how it ended, once it has; 1005 also stands for a connection lost without a word.
        is_closed_by_us: did our side close it first?
    """

    def __init__(self, websocket: WebSocket) -> None:
        self.close_code: int | None = None
        self.is_closed_by_us = False
        self._websocket = websocket
        self._transport = cast(asyncio.Transport, websocket.scope["extensions"][_TRANSPORT])
        self._is_closed = False
        self._is_dead = False

    async def send(self, message: wire.Json) -> None:
        await self.send_raw(wire.encode(message))

    async def send_raw(self, frame: bytes) -> None:
        """One binary frame of any content."""
        if self._is_closed:
            return
        try:
            await self._websocket.send_bytes(frame)
        except WebSocketDisconnect:
            self._is_closed = True

    async def close(self, code: int, reason: str) -> None:
        if self._is_dead:
            self._transport.abort()
        if self._is_closed or self._websocket.client_state is WebSocketState.DISCONNECTED:
            return
        self._is_closed = self.is_closed_by_us = True
        # The client may leave in the very moment it is sent away; then there is nothing left to do.
        with contextlib.suppress(WebSocketDisconnect):
            await self._websocket.close(code, reason)

    async def play_dead(self) -> None:
        """Reads and sends nothing any more, with TCP left open. Returns once the client has gone."""
        self._is_closed = self._is_dead = True
        self._transport.pause_reading()
        await peer_gone(self._transport)
        self._transport.abort()

    async def messages(self) -> AsyncIterator[str | bytes]:
        """The client's messages until the connection ends, from either side."""
        while True:
            event = await self._websocket.receive()
            if event["type"] == "websocket.disconnect":
                self._is_closed = True
                self.close_code = int(event.get("code") or 1005)
                return
            if self._is_dead:
                self._transport.pause_reading()  # receiving has resumed it
                continue
            text: str | None = event.get("text")
            yield text if text is not None else event["bytes"]
