"""A stand-in Gemini: the Live WebSocket protocol over TLS, and generateContent for text. Needs no key and no network.

By hand: `python -m simulators.gemini_live --port 0 --ca-dir DIR` prints one line of JSON, {"base_url", "ca_file",
"control_url"}, when it is ready, and serves until SIGTERM. Clients have to trust the CA file, for example by
SSL_CERT_FILE. Another process arms faults at control_url (see fault_control.py).
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import re
import shutil
import signal
import ssl
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from starlette.applications import Starlette
from starlette.responses import JSONResponse
from starlette.routing import Route, WebSocketRoute
from starlette.websockets import WebSocket

from simulators.certificates import issue_certificates, unknown_certificate
from simulators.fault_control import FaultControl
from simulators.faults import FAULTS, Armoury, Strike
from simulators.gemini_conversation import Conversation, Manner
from simulators.gemini_line import LiveLine, LiveProtocol
from simulators.gemini_memory import Memories
from simulators.gemini_text import TextModel
from simulators.loopback import LoopbackServer
from simulators.recognition import warm_up
from simulators.script import Script, load_scripts
from simulators.text_troubles import TextTroubles

# The SDK's default base URL ends with a slash, so its path begins with two.
_LIVE_PATH = re.compile(
    r"/{1,2}ws/google\.ai\.generativelanguage\.(v1beta|v1alpha)\.GenerativeService\.BidiGenerateContent(Constrained)?"
)


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
        keeps_sound: each conversation's `audio` log keeps the samples (58 MB for an hour at 8 kHz).
        fault: a fault to arm from the beginning, once; see simulators/faults.py.

    Attributes:
        base_url: "https://127.0.0.1:PORT", for HttpOptions(base_url=...) or GOOGLE_GEMINI_BASE_URL.
        ca_file: PEM file of the throw-away authority that clients must trust.
        conversations: one log per connection, in the order they came.
        faults: what is armed, and what has hit.
        text_troubles: what the next text requests meet instead of an answer.
        text_model: the text half; `requests` is what it was asked.
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
        keeps_sound: bool = False,
        fault: str | None = None,
    ) -> None:
        self.conversations: list[Conversation] = []
        self.faults = Armoury("gemini")
        self.text_troubles = TextTroubles()
        self.text_model = TextModel(self._refusal, self.text_troubles)
        self._scripts = scripts
        self._reply_delay_ms = reply_delay_ms
        self._playback_speed = playback_speed
        self._keeps_sound = keeps_sound
        self._manner = Manner(scripts or [])
        self._host = host
        self._port = port
        self._ca_dir = ca_dir
        self._key = require_api_key
        self._memories = Memories()
        self._news = asyncio.Event()
        self._server: LoopbackServer | None = None
        self._opening: asyncio.TimerHandle | None = None
        self._stranger: ssl.SSLContext | None = None
        self._stack = contextlib.AsyncExitStack()
        if fault is not None:
            self.faults.arm(fault)

    async def __aenter__(self) -> Self:
        async with contextlib.AsyncExitStack() as stack:
            folder = self._ca_dir or await _temporary_folder(stack)
            certificates = await asyncio.to_thread(issue_certificates, folder, self._host, "localhost")
            scripts = self._scripts if self._scripts is not None else await asyncio.to_thread(load_scripts)
            await asyncio.to_thread(warm_up)
            self._manner = Manner(scripts, self._reply_delay_ms, self._playback_speed, self._keeps_sound)
            self.ca_file = certificates.ca_file
            self._stranger = await asyncio.to_thread(unknown_certificate, self._host, "localhost")
            certificates.server.sni_callback = self._begin_tls
            self._server = await stack.enter_async_context(
                LoopbackServer(
                    self._app(),
                    name="stand-in-gemini",
                    host=self._host,
                    port=self._port,
                    tls=certificates.server,
                    ws=LiveProtocol,
                )
            )
            self.base_url = f"https://{self._host}:{self._server.port}"
            self._act_on_port()
            self._stack = stack.pop_all()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._opening is not None:
            self._opening.cancel()
        for conversation in self.conversations:
            if not conversation.closed:
                await conversation.close(1001, "The server is going away.")
        await self._stack.aclose()

    @property
    def talks(self) -> list[Conversation]:
        """The conversations that do more than read a sentence aloud."""
        return [conversation for conversation in self.conversations if not conversation.is_reading_aloud]

    def arm(self, name: str, *, times: int | None = 1, skip: int = 0, **settings: float) -> None:
        """Makes a fault hit the next occasions of its kind; see `Armoury.arm`.

        connection-refused begins at once. With a number of `times` the port opens again by itself.

        Raises:
            ValueError: no such fault or setting.
        """
        self.faults.arm(name, times=times, skip=skip, **settings)
        self._act_on_port()

    def disarm(self, name: str | None = None) -> None:
        """Makes a fault, or all, hit no more; a closed port is open when this returns.

        Raises:
            ValueError: no such fault.
        """
        self.faults.disarm(name)
        if name in (None, "connection-refused"):
            self._open_port()

    async def drop(self, code: int = 1011, reason: str = "Internal error encountered.") -> None:
        """Closes every open conversation at once."""
        for conversation in [talk for talk in self.conversations if not talk.closed]:
            await conversation.close(code, reason)

    def forget_ended(self) -> None:
        """Drops the logs of conversations that are over, and what their handles stand for."""
        self.conversations[:] = [conversation for conversation in self.conversations if not conversation.closed]
        if not self.conversations:
            self._memories = Memories()

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
        text_model = self.text_model
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
        return _google_error(status, name, text)

    def _act_on_port(self) -> None:
        if self._server is None:
            return
        for strike in self.faults.take("port"):
            self._server.shut()
            if self._opening is not None:
                self._opening.cancel()
                self._opening = None
            if not strike.is_open_ended:
                self._opening = asyncio.get_running_loop().call_later(strike.settings["secs"], self._open_port)

    def _open_port(self) -> None:
        if self._opening is not None:
            self._opening.cancel()
            self._opening = None
        if self._server is not None:
            self._server.open()

    def _begin_tls(self, connection: ssl.SSLObject, _name: str | None, _context: ssl.SSLContext) -> None:
        """Called at each client's hello: the moment to choose a certificate."""
        if self.faults.take("tls") and self._stranger is not None:
            connection.context = self._stranger

    async def _live(self, websocket: WebSocket) -> None:
        if _LIVE_PATH.fullmatch(websocket.url.path) is None:
            await websocket.send_denial_response(await _not_found(websocket))
            return
        refusal = self._refusal(api_key(websocket))
        for strike in self.faults.take("handshake"):
            refusal = _outage(strike)
        if refusal is not None:
            await websocket.send_denial_response(refusal)
            return
        await websocket.accept()
        line = LiveLine(websocket)
        conversation = Conversation(line, self._manner, self._memories, self.faults)
        self.conversations.append(conversation)
        self._news.set()
        try:
            await conversation.run()
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


_OWN_FAULTS = {name for name, fault in FAULTS.items() if fault.side == "gemini"}
_OUTAGES = {
    "http-401": (401, "UNAUTHENTICATED", "API key not valid. Please pass a valid API key."),
    "http-403": (403, "PERMISSION_DENIED", "The caller does not have permission to use this model."),
    "http-429": (429, "RESOURCE_EXHAUSTED", "You exceeded your current quota, please check your plan and billing."),
    "http-503": (503, "UNAVAILABLE", "The model is overloaded. Please try again later."),
}


def _outage(strike: Strike) -> JSONResponse:
    return _google_error(*_OUTAGES[strike.name])


def _google_error(status: int, name: str, text: str) -> JSONResponse:
    """An error in the shape of Google's APIs."""
    return JSONResponse({"error": {"code": status, "message": text, "status": name}}, status_code=status)


async def _not_found(request: Any) -> JSONResponse:
    return _google_error(404, "NOT_FOUND", f"Not found: {request.url.path}")


async def _temporary_folder(stack: contextlib.AsyncExitStack) -> Path:
    folder = await asyncio.to_thread(tempfile.mkdtemp, prefix="stand-in-gemini-")
    stack.push_async_callback(asyncio.to_thread, shutil.rmtree, folder)
    return Path(folder)


async def _serve_until_told(options: argparse.Namespace) -> None:
    loop = asyncio.get_running_loop()
    told = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, told.set)
    if options.until_stdin_ends:
        # Whoever holds the other end writes nothing: it is readable when he is gone, however he went.
        loop.add_reader(sys.stdin.fileno(), told.set)
    emulator = GeminiEmulator(
        host=options.host,
        port=options.port,
        ca_dir=options.ca_dir,
        reply_delay_ms=options.reply_delay_ms,
        fault=options.fault,
    )
    async with emulator, FaultControl(emulator) as control:
        ready = {"base_url": emulator.base_url, "ca_file": str(emulator.ca_file), "control_url": control.url}
        print(json.dumps(ready), flush=True)
        await told.wait()


def main(arguments: Sequence[str] | None = None) -> None:
    """The command line; returns when it is told to stop."""
    parser = argparse.ArgumentParser(prog="python -m simulators.gemini_live", description="A stand-in Gemini.")
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=0, help="0 takes a free one")
    parser.add_argument("--ca-dir", type=Path, default=None, help="where ca.pem is written")
    parser.add_argument("--reply-delay-ms", type=int, default=0)
    parser.add_argument("--fault", choices=sorted(_OWN_FAULTS), default=None, help="armed once from the beginning")
    parser.add_argument("--until-stdin-ends", action="store_true", help="end with the process that started it")
    asyncio.run(_serve_until_told(parser.parse_args(arguments)))


if __name__ == "__main__":
    main(sys.argv[1:])
