"""A small server in somebody else's event loop: the stand-ins' own port, which can also be closed for a while."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
from collections.abc import Generator
from types import TracebackType
from typing import Any, Self

import uvicorn

_POLL_SECS = 0.005
_BACKLOG = 2048


class _GuestServer(uvicorn.Server):
    """uvicorn that leaves the process's signals alone, and stops when told, at once."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.told = asyncio.Event()

    @contextlib.contextmanager
    def capture_signals(self) -> Generator[None]:
        yield

    async def main_loop(self) -> None:
        await self.on_tick(0)
        await self.told.wait()


class LoopbackServer:
    """Serves an ASGI application between `async with` and its end.

    Args:
        app: the application.
        name: names the task it runs in.
        host: address to listen on.
        port: TCP port; 0 takes a free one.
        tls: serves TLS by this context.
        ws: protocol class of WebSockets; None: there are none.
        has_date: answers have a `Date` header; False: `app` gives them one of its own.

    Attributes:
        port: where it listens (once it is entered).
    """

    def __init__(
        self,
        app: Any,
        *,
        name: str,
        host: str = "127.0.0.1",
        port: int = 0,
        tls: ssl.SSLContext | None = None,
        ws: type[asyncio.Protocol] | None = None,
        has_date: bool = True,
    ) -> None:
        self.port = port
        self._name = name
        self._host = host
        config = uvicorn.Config(
            app,
            ws=ws or "none",
            # Compressing audio that is compressed by nobody's telephone costs more than everything else here.
            ws_per_message_deflate=False,
            ws_ping_interval=None,
            lifespan="off",
            date_header=has_date,
            access_log=False,
            log_config=None,
            timeout_graceful_shutdown=1,
        )
        config.load()
        config.ssl = tls
        self._server = _GuestServer(config)
        self._serving: asyncio.Task[None] | None = None
        self._attaching: asyncio.Task[None] | None = None
        self._is_shut = False
        # While the port is shut this socket keeps it from being taken by another process: bound, but not listening.
        self._reserved: socket.socket | None = None

    async def __aenter__(self) -> Self:
        listener = self._bound()
        self.port = listener.getsockname()[1]
        serving = self._serving = asyncio.create_task(self._server.serve(sockets=[listener]), name=self._name)
        while not self._server.started and not serving.done():  # noqa: ASYNC110 - uvicorn has a flag, no event
            await asyncio.sleep(_POLL_SECS)
        if serving.done():
            await serving
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._attaching is not None:
            await self._attaching
        self._server.told.set()
        if self._serving is not None:
            await self._serving
        if self._reserved is not None:
            self._reserved.close()

    def shut(self) -> None:
        """Closes the port: who dials it now is refused. Connections that are open stay open."""
        self._is_shut = True
        if self._attaching is None and self._reserved is None:
            self._stop_listening()

    def open(self) -> None:
        """Opens the port again; from the return of this on nobody is refused."""
        self._is_shut = False
        if self._reserved is None:
            return
        listener, self._reserved = self._reserved, None
        listener.listen(_BACKLOG)
        self._attaching = asyncio.create_task(self._attach(listener), name=f"{self._name} opens")

    async def _attach(self, listener: socket.socket) -> None:
        await self._server.startup(sockets=[listener])
        self._attaching = None
        if self._is_shut:
            self._stop_listening()

    def _stop_listening(self) -> None:
        for server in self._server.servers:
            server.close()
        self._reserved = self._bound()

    def _bound(self) -> socket.socket:
        # As in `switchboard/port.py`: for what does not say that it is TCP, asyncio leaves small frames held back.
        bound = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            bound.bind((self._host, self.port))
        except OSError:
            bound.close()
            raise
        return bound
