"""The HTTP and WebSocket server under the app: uvicorn, with our limits and our way to stop."""

import asyncio
import contextlib
import socket
import ssl
from collections.abc import AsyncGenerator, Awaitable, Callable, Generator
from typing import Any

import uvicorn
from loguru import logger
from starlette.types import ASGIApp, Receive, Scope, Send
from uvicorn.protocols.utils import ClientDisconnected

from api.media_socket import MediaSocket
from api.request_heads import patient_for
from pipelines.live import LiveCalls
from switchboard.port import PortTaken
from telephony.media_stream import MAX_MESSAGE_BYTES

# A call that was told to end has this long to say goodbye and write its row.
_LAST_WORDS_SECS = 15.0
# After that its socket is closed; uvicorn cancels a task that is still there after this.
_LAST_CALLS_SECS = 5
# A call that is cut off has this long to write its row.
_CUT_OFF_SECS = 5.0
# After the last call of a stopping server, Twilio has this long to ask what comes next.
_LAST_QUESTION_SECS = 1.5
_POLL_SECS = 0.01
_NORMAL = 1000  # RFC 6455, section 7.4.1


class WebServer(uvicorn.Server):
    """uvicorn without signal handlers, which first lets the calls end and then closes its sockets."""

    def __init__(
        self,
        app: ASGIApp,
        live: LiveCalls,
        drain_secs: float,
        leave: Callable[[], Awaitable[None]] | None = None,
        certificate: ssl.SSLContext | None = None,
        slow_request_secs: float = 20.0,
    ) -> None:
        """Take the app, whose lifespan somebody else runs, and the calls that may go on for a while at the end.

        `leave` is awaited when they are over: whoever brings connections by `take` brings none from then on.
        With a `certificate` the server speaks TLS. A request whose head is not there after `slow_request_secs` is cut
        off.
        """
        self._sockets = _Sockets(app)
        super().__init__(
            uvicorn.Config(
                self._sockets,
                lifespan="off",
                http=patient_for(slow_request_secs),
                ws=MediaSocket,
                ssl_context_factory=None if certificate is None else lambda _config, _default: certificate,
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
        self._hurry = asyncio.Event()
        self._leave = leave
        self._taking: set[asyncio.Task[None]] = set()

    @contextlib.asynccontextmanager
    async def running(self, listener: socket.socket | None) -> AsyncGenerator[None]:
        """Serve inside the block: on a bound socket, or, without one, what `take` is given.

        Raises `PortTaken` when another program listens there already.
        """
        sockets = [] if listener is None else [listener]
        serving = asyncio.create_task(self.serve(sockets), name="web-server")
        while not self.started and not serving.done():  # noqa: ASYNC110 - uvicorn has a flag and no event
            await asyncio.sleep(_POLL_SECS)
        if serving.done():
            try:
                await serving
            except OSError as error:
                where = "a connection" if listener is None else listener.getsockname()
                raise PortTaken(f"cannot listen on {where} ({error.strerror})") from error
        try:
            yield
        finally:
            self.should_exit = True
            await serving

    @contextlib.contextmanager
    def capture_signals(self) -> Generator[None]:
        """Leave the process's signals alone: whoever runs the server decides when it stops."""
        yield

    def take(self, connection: socket.socket) -> None:
        """Serve a connection that somebody else accepted, as if it had come in here. It is then this object's own."""
        taking = asyncio.create_task(self._begin(connection), name="a connection handed over")
        self._taking.add(taking)
        taking.add_done_callback(self._taking.discard)

    async def _begin(self, connection: socket.socket) -> None:
        try:
            await asyncio.get_running_loop().connect_accepted_socket(self._make_protocol, connection)
        except OSError:
            connection.close()  # whoever it was has left

    def _make_protocol(self) -> asyncio.Protocol:
        protocol: Any = self.config.http_protocol_class
        made: asyncio.Protocol = protocol(
            config=self.config, server_state=self.server_state, app_state=self.lifespan.state
        )
        return made

    def stop_at_once(self) -> None:
        """Wait for no call any more: neither for its end nor for its goodbye."""
        self.force_exit = True
        self._hurry.set()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """End the calls while the port still answers and Twilio can ask what comes next, then close every socket."""
        self._live.is_draining = True
        draining = asyncio.create_task(self._drain(), name="drain")
        hurrying = asyncio.create_task(self._hurry.wait(), name="a second signal")
        try:
            await asyncio.wait({draining, hurrying}, return_when=asyncio.FIRST_COMPLETED)
            if draining.done():
                draining.result()
            else:
                await self._cut_off()
        finally:
            for task in (draining, hurrying):
                task.cancel()
            await asyncio.wait({draining, hurrying})
            if self._leave is not None:
                await self._leave()
            await super().shutdown(sockets)

    async def _drain(self) -> None:
        if self._live.count == 0:
            return
        logger.bind(calls=self._live.count).info("waiting for calls to end")
        if not await self._live.drain(self._drain_secs):  # those left were told to end just now
            logger.bind(calls=self._live.count).info("the calls that are left are told to end")
            await self._live.drain(_LAST_WORDS_SECS)
        await asyncio.sleep(_LAST_QUESTION_SECS)

    async def _cut_off(self) -> None:
        """End what is left without a word of ours; every row still tells how its call ended."""
        await self._live.drain(0)
        sockets = list(self._sockets.tasks)
        for task in sockets:
            task.cancel()
        if sockets:
            logger.bind(sockets=len(sockets)).warning("calls are cut off")
            await asyncio.wait(sockets, timeout=_CUT_OFF_SECS)
            await asyncio.sleep(_LAST_QUESTION_SECS)


class _Sockets:
    """The app, knowing the tasks of its sockets, and closing in order those that are cancelled.

    Otherwise each of them would be logged as a fault of the app.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app
        self.tasks: set[asyncio.Task[Any]] = set()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        task = asyncio.current_task()
        if scope["type"] != "websocket" or task is None:
            await self._app(scope, receive, send)
            return
        self.tasks.add(task)
        try:
            await self._app(scope, receive, send)
        except asyncio.CancelledError:
            # Nobody but this server's own end cancels it, so nothing waits for the cancellation to arrive.
            try:
                await send({"type": "websocket.close", "code": _NORMAL})
            except (RuntimeError, ClientDisconnected):
                logger.debug("a socket was closed before its call was cut off")
        finally:
            self.tasks.discard(task)
