"""The HTTP and WebSocket server under the app: uvicorn, with our limits and our way to stop."""

import asyncio
import contextlib
import errno
import socket
from collections.abc import AsyncGenerator, Generator

import uvicorn
from loguru import logger
from starlette.types import ASGIApp

from pipelines.live import LiveCalls
from telephony.media_stream import MAX_MESSAGE_BYTES

# A call that was told to end has this long to say goodbye and write its row before its task is cancelled.
_LAST_CALLS_SECS = 10
# After the last call of a stopping server, Twilio has this long to ask what comes next.
_LAST_QUESTION_SECS = 0.5
_POLL_SECS = 0.01


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


class WebServer(uvicorn.Server):
    """uvicorn without signal handlers, which first lets the calls end and then closes its sockets."""

    def __init__(self, app: ASGIApp, live: LiveCalls, drain_secs: float) -> None:
        """Take the app, whose lifespan somebody else runs, and the calls that may go on for a while at the end."""
        super().__init__(
            uvicorn.Config(
                app,
                lifespan="off",
                ws="websockets-sansio",
                ws_max_size=MAX_MESSAGE_BYTES,
                # mu-law does not compress, and a deflate window per call is memory for nothing.
                ws_per_message_deflate=False,
                access_log=False,
                # The peer and the scheme are what they are: no header of the request may say otherwise.
                proxy_headers=False,
                server_header=False,
                log_config=None,
                timeout_graceful_shutdown=_LAST_CALLS_SECS,
            )
        )
        self._live = live
        self._drain_secs = drain_secs

    @contextlib.asynccontextmanager
    async def running(self, listener: socket.socket) -> AsyncGenerator[None]:
        """Serve on a bound socket inside the block. Raises `PortTaken` when another program listens there already."""
        serving = asyncio.create_task(self.serve([listener]), name="web-server")
        while not self.started and not serving.done():  # noqa: ASYNC110 - uvicorn has a flag and no event
            await asyncio.sleep(_POLL_SECS)
        if serving.done():
            try:
                await serving
            except OSError as error:
                raise PortTaken(f"cannot listen on {listener.getsockname()} ({error.strerror})") from error
        try:
            yield
        finally:
            self.should_exit = True
            await serving

    @contextlib.contextmanager
    def capture_signals(self) -> Generator[None]:
        """Leave the process's signals alone: whoever runs the server decides when it stops."""
        yield

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """End the calls while Twilio can still ask what comes next, then close every socket."""
        if self._live.count == 0:
            self._live.is_draining = True
        elif not self.force_exit:
            logger.bind(calls=self._live.count).info("waiting for calls to end")
            if not await self._live.drain(self._drain_secs):  # those left were told to end just now
                await self._live.drain(_LAST_CALLS_SECS)
            await asyncio.sleep(_LAST_QUESTION_SECS)
        await super().shutdown(sockets)
