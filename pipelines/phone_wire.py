"""The media socket of a call as its pipelines see it: it may be left, and another one follow it."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

from fastapi import WebSocket, WebSocketDisconnect
from loguru import logger
from starlette.websockets import WebSocketState

from pipelines.phone_socket import ShortWay, short_way_of
from telephony.media_stream import MediaStream, Start

_NORMAL = 1000


class PhoneWire:
    """The socket that a call is on now. What it does not know itself it asks of that socket, for Pipecat's client.

    Attributes:
        websocket: The socket; the one that was left, while the call is away.
        stream: What comes on it.
        short_way: Its short way, where there is one.
        began_ms: Call time at which its stream began: Twilio counts its time stamps from there.
        is_open: Whether the call is on it, as against away from it.
    """

    def __init__(self, websocket: WebSocket, stream: MediaStream) -> None:
        """Take an accepted socket whose `start` has been received."""
        self.websocket = websocket
        self.stream = stream
        self.short_way: ShortWay | None = short_way_of(websocket)
        self.began_ms = 0.0
        self.is_open = True
        self._left: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._attached = asyncio.Event()
        self.on_attached: Callable[[], Awaitable[None]] | None = None
        """What the way out does first on another stream."""

    def __getattr__(self, name: str) -> Any:
        return getattr(self.websocket, name)

    async def close(self) -> None:
        """A pipeline's end is not the socket's: leave it to whoever accepted it."""

    @property
    def stream_sid(self) -> str:
        """The SID of the stream, whose `start` was received."""
        return self.stream.stream_sid

    async def leave(self) -> None:
        """Close the socket, so that Twilio asks what comes next; the call goes on without one."""
        if not self.is_open:
            return
        self.is_open = False
        self._attached.clear()
        websocket, left = self.websocket, self._left
        try:
            if websocket.client_state is websocket.application_state is WebSocketState.CONNECTED:
                await websocket.close(_NORMAL)
        except WebSocketDisconnect:
            logger.debug("the media socket was closed by the other side at the same moment")
        finally:
            if not left.done():
                left.set_result(None)

    def attach(self, websocket: WebSocket, start: Start, now_ms: float) -> asyncio.Future[None]:
        """Go on with another socket, accepted and its `start` received at `now_ms` of call time.

        Returns what is done when the call has left this socket too.
        """
        self.websocket, self.stream, self.short_way = websocket, MediaStream.after(start), short_way_of(websocket)
        self.began_ms = now_ms
        self._left = asyncio.get_running_loop().create_future()
        self.is_open = True
        self._attached.set()
        return self._left

    async def wait_attached(self) -> None:
        """Wait until the call has a socket again."""
        await self._attached.wait()
        if self.on_attached is not None:
            await self.on_attached()
