"""A stand-in Gemini: the Live WebSocket protocol over TLS, and generateContent for text. Needs no key and no network.

By hand: `python -m simulators.gemini_live --port 0 --ca-dir DIR` prints one line of JSON, {"base_url", "ca_file"}, when
it is ready, and serves until SIGTERM. Clients have to trust the CA file, for example by SSL_CERT_FILE.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import re
import shutil
import signal
import socket
import sys
import tempfile
from collections.abc import AsyncIterator, Generator, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import uvicorn
from starlette.applications import Starlette
from starlette.responses import JSONResponse
from starlette.routing import Route, WebSocketRoute
from starlette.websockets import WebSocket, WebSocketDisconnect, WebSocketState

from simulators import gemini_wire as wire
from simulators.certificates import issue_certificates
from simulators.gemini_conversation import Conversation, Manner
from simulators.gemini_memory import Memories
from simulators.gemini_text import TextModel
from simulators.recognition import warm_up
from simulators.script import Script, load_scripts

# The SDK's default base URL ends with a slash, so its path begins with two.
_LIVE_PATH = re.compile(
    r"/{1,2}ws/google\.ai\.generativelanguage\.(v1beta|v1alpha)\.GenerativeService\.BidiGenerateContent(Constrained)?"
)


class _QuietServer(uvicorn.Server):
    """uvicorn inside somebody else's loop: the signals stay with the host."""

    @contextlib.contextmanager
    def capture_signals(self) -> Generator[None, None, None]:
        yield


class _WebSocketLine:
    """A conversation's connection. Both methods do nothing once either side has closed it."""

    def __init__(self, websocket: WebSocket) -> None:
        self._websocket = websocket
        self._is_closed = False

    async def send(self, message: wire.Json) -> None:
        if self._is_closed:
            return
        try:
            await self._websocket.send_bytes(wire.encode(message))
        except WebSocketDisconnect:
            self._is_closed = True

    async def close(self, code: int, reason: str) -> None:
        if self._is_closed or self._websocket.client_state is WebSocketState.DISCONNECTED:
            return
        self._is_closed = True
        # The client may leave in the very moment it is sent away; then there is nothing left to do.
        with contextlib.suppress(WebSocketDisconnect):
            await self._websocket.close(code, reason)

    async def messages(self) -> AsyncIterator[str | bytes]:
        """The client's messages until the connection ends, from either side."""
        while True:
            event = await self._websocket.receive()
            if event["type"] == "websocket.disconnect":
                self._is_closed = True
                return
            text: str | None = event.get("text")
            yield text if text is not None else event["bytes"]
            if self._is_closed:
                return


class GeminiEmulator:
    """A stand-in Gemini, serving in the running loop between `async with` and its end.

    Args:
        scripts: what it may say; all shipped ones by default. The best fit is chosen for each conversation.
        host: address to listen on.
        port: TCP port; 0 takes a free one.
        ca_dir: folder that `ca.pem` is written to; a temporary one by default.
        reply_delay_ms: how long it thinks before each reply.
        require_api_key: refuse other keys with 401 and no key with 403, before the WebSocket is accepted.
        playback_speed: how many times faster than real time replies are sent and assumed to be played.

    Attributes:
        base_url: "https://127.0.0.1:PORT", for HttpOptions(base_url=...) or GOOGLE_GEMINI_BASE_URL.
        ca_file: PEM file of the throw-away authority that clients must trust.
        conversations: one log per connection, in the order they came.
    """

    base_url: str
    ca_file: Path

    def __init__(
        self,
        *,
        scripts: Sequence[Script] | None = None,
        host: str = "127.0.0.1",
        port: int = 0,
        ca_dir: Path | None = None,
        reply_delay_ms: int = 0,
        require_api_key: str | None = None,
        playback_speed: float = 1.0,
    ) -> None:
        self.conversations: list[Conversation] = []
        self._scripts = scripts
        self._reply_delay_ms = reply_delay_ms
        self._playback_speed = playback_speed
        self._manner = Manner(scripts or [])
        self._host = host
        self._port = port
        self._ca_dir = ca_dir
        self._key = require_api_key
        self._memories = Memories()
        self._news = asyncio.Event()
        self._stack = contextlib.AsyncExitStack()

    async def __aenter__(self) -> Self:
        async with contextlib.AsyncExitStack() as stack:
            folder = self._ca_dir or await _temporary_folder(stack)
            certificates = await asyncio.to_thread(issue_certificates, folder, self._host, "localhost")
            scripts = self._scripts if self._scripts is not None else await asyncio.to_thread(load_scripts)
            await asyncio.to_thread(warm_up)
            self._manner = Manner(scripts, self._reply_delay_ms, self._playback_speed)
            self.ca_file = certificates.ca_file
            listener = stack.enter_context(socket.socket(socket.AF_INET, socket.SOCK_STREAM))
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listener.bind((self._host, self._port))
            self.base_url = f"https://{self._host}:{listener.getsockname()[1]}"
            server = _QuietServer(
                uvicorn.Config(
                    self._app(),
                    ssl_context_factory=lambda config, default: certificates.server,
                    ws="websockets-sansio",
                    # Compressing audio that is compressed by nobody's telephone costs more than everything else here.
                    ws_per_message_deflate=False,
                    ws_ping_interval=None,
                    lifespan="off",
                    access_log=False,
                    log_config=None,
                    log_level="warning",
                    timeout_graceful_shutdown=1,
                )
            )
            serving = asyncio.create_task(server.serve(sockets=[listener]), name="stand-in-gemini")
            stack.push_async_callback(_stop, server, serving)
            while not server.started:
                if serving.done():
                    await serving
                await asyncio.sleep(0.005)
            self._stack = stack.pop_all()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for conversation in self.conversations:
            if not conversation.closed:
                await conversation.close(1001, "The server is going away.")
        await self._stack.aclose()

    def forget_handle(self, handle: str) -> None:
        """Makes a resumption handle expire."""
        self._memories.forget(handle)

    async def next_conversation(self, count: int = 1, *, timeout_secs: float = 5.0) -> Conversation:
        """Waits until there have been `count` connections with a setup, and returns that one.

        Raises:
            TimeoutError: there were fewer.
        """
        async with asyncio.timeout(timeout_secs):
            while len(self.conversations) < count:
                self._news.clear()
                await self._news.wait()
            conversation = self.conversations[count - 1]
            await conversation.until(lambda talk: bool(talk.setup), timeout_secs=timeout_secs)
        return conversation

    def _app(self) -> Starlette:
        text_model = TextModel(self._refusal)
        return Starlette(
            routes=[
                Route("/{version}/models", text_model.list_models),
                Route("/{version}/models/{call:path}", text_model.generate, methods=["POST"]),
                Route("/{rest:path}", _not_found, methods=["GET", "POST"]),
                WebSocketRoute("/{rest:path}", self._live),
            ]
        )

    def _refusal(self, key: str | None) -> JSONResponse | None:
        """The answer to a request with a wrong key, in the shape of Google's errors; None when the key is right."""
        if self._key is None or key == self._key:
            return None
        if key is None:
            status, name, text = 403, "PERMISSION_DENIED", "Method doesn't allow unregistered callers. Use an API key."
        else:
            status, name, text = 401, "UNAUTHENTICATED", "API key not valid. Please pass a valid API key."
        return JSONResponse({"error": {"code": status, "message": text, "status": name}}, status_code=status)

    async def _live(self, websocket: WebSocket) -> None:
        if _LIVE_PATH.fullmatch(websocket.url.path) is None:
            await websocket.send_denial_response(await _not_found(websocket))
            return
        refusal = self._refusal(api_key(websocket))
        if refusal is not None:
            await websocket.send_denial_response(refusal)
            return
        await websocket.accept()
        line = _WebSocketLine(websocket)
        conversation = Conversation(line, self._manner, self._memories)
        self.conversations.append(conversation)
        self._news.set()
        try:
            await conversation.run(line.messages())
        except BaseException:
            await line.close(1011, "Internal error encountered.")
            raise


def api_key(request: Any) -> str | None:
    """The key a client presents: header x-goog-api-key, `?key=`, or `Authorization: Token` (ephemeral ones)."""
    token = str(request.headers.get("authorization", ""))
    return (
        request.headers.get("x-goog-api-key")
        or request.query_params.get("key")
        or (token.removeprefix("Token ") if token.startswith("Token ") else None)
    )


async def _not_found(request: Any) -> JSONResponse:
    return JSONResponse(
        {"error": {"code": 404, "message": f"Not found: {request.url.path}", "status": "NOT_FOUND"}}, status_code=404
    )


async def _temporary_folder(stack: contextlib.AsyncExitStack) -> Path:
    folder = await asyncio.to_thread(tempfile.mkdtemp, prefix="stand-in-gemini-")
    stack.push_async_callback(asyncio.to_thread, shutil.rmtree, folder)
    return Path(folder)


async def _stop(server: uvicorn.Server, serving: asyncio.Task[None]) -> None:
    server.should_exit = True
    await serving


async def _serve_until_told(options: argparse.Namespace) -> None:
    loop = asyncio.get_running_loop()
    told = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, told.set)
    async with GeminiEmulator(
        host=options.host, port=options.port, ca_dir=options.ca_dir, reply_delay_ms=options.reply_delay_ms
    ) as emulator:
        print(json.dumps({"base_url": emulator.base_url, "ca_file": str(emulator.ca_file)}), flush=True)
        await told.wait()


def main(arguments: Sequence[str] | None = None) -> None:
    """The command line; returns when it is told to stop."""
    parser = argparse.ArgumentParser(prog="python -m simulators.gemini_live", description="A stand-in Gemini.")
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=0, help="0 takes a free one")
    parser.add_argument("--ca-dir", type=Path, default=None, help="where ca.pem is written")
    parser.add_argument("--reply-delay-ms", type=int, default=0)
    asyncio.run(_serve_until_told(parser.parse_args(arguments)))


if __name__ == "__main__":
    main(sys.argv[1:])
