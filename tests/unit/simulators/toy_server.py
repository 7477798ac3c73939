"""A server for the stand-in Twilio to call: answers fixed TwiML, checks signatures with Twilio's SDK, keeps a log."""

import asyncio
import base64
import json
import socket
import ssl
from collections.abc import AsyncGenerator, Awaitable, Callable, Generator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route, WebSocketRoute
from starlette.websockets import WebSocket, WebSocketDisconnect
from twilio.request_validator import RequestValidator

from simulators.telephone_audio import encode_ulaw

AUTH_TOKEN = "toy-auth-token"


def make_tone(ms: int, level: int = 8000, rate_hz: int = 8000) -> np.ndarray[Any, np.dtype[np.int16]]:
    """A 440 Hz tone as PCM16."""
    return (level * np.sin(np.arange(ms * rate_hz // 1000) * 2 * np.pi * 440 / rate_hz)).astype(np.int16)


@dataclass(frozen=True)
class Webhook:
    path: str
    form: dict[str, str]
    headers: dict[str, str]
    is_genuine: bool


class ToyStream:
    """The server's end of one media stream."""

    def __init__(self, websocket: WebSocket, is_genuine: bool) -> None:
        self.websocket = websocket
        self.is_genuine = is_genuine
        self.received: list[dict[str, Any]] = []
        self.stream_sid = ""

    async def read(self, event: str = "") -> dict[str, Any]:
        """The next message, or the next with this `event`."""
        while True:
            message = json.loads(await self.websocket.receive_text())
            self.received.append(message)
            if message["event"] == "start":
                self.stream_sid = message["streamSid"]
            if event in ("", message["event"]):
                return message

    async def read_to_end(self) -> None:
        try:
            while True:
                await self.read()
        except WebSocketDisconnect:
            return

    async def send(self, event: str, **content: Any) -> None:
        await self.websocket.send_text(json.dumps({"event": event, "streamSid": self.stream_sid, **content}))

    async def speak(self, ms: int, level: int = 8000) -> None:
        payload = base64.b64encode(encode_ulaw(make_tone(ms, level))).decode()
        await self.send("media", media={"payload": payload})

    async def mark(self, name: str) -> None:
        await self.send("mark", mark={"name": name})

    def events(self, event: str) -> list[dict[str, Any]]:
        return [message for message in self.received if message["event"] == event]


async def listen(stream: ToyStream) -> None:
    """Say nothing, hear everything."""
    await stream.read_to_end()


@dataclass
class ToyServer:
    base_url: str
    public_url: str
    answers: dict[str, str | int] = field(default_factory=dict[str, str | int])
    on_stream: Callable[[ToyStream], Awaitable[None]] = listen
    webhooks: list[Webhook] = field(default_factory=list[Webhook])
    streams: list[ToyStream] = field(default_factory=list[ToyStream])

    @property
    def stream_url(self) -> str:
        return "ws" + self.public_url.removeprefix("http") + "/media"

    def forget(self) -> "ToyServer":
        """Be as new, for the next test."""
        self.answers.clear()
        self.webhooks.clear()
        self.streams.clear()
        self.on_stream = listen
        return self

    def connect(self, inside: str = "", attributes: str = "") -> str:
        return f'<Response><Connect {attributes}><Stream url="{self.stream_url}">{inside}</Stream></Connect></Response>'

    def posted(self, path: str) -> list[dict[str, str]]:
        """Forms posted to a path. Fails when one of them was not signed as Twilio signs."""
        found = [webhook for webhook in self.webhooks if webhook.path == path]
        assert all(webhook.is_genuine for webhook in found), f"a forged request to {path}"
        return [webhook.form for webhook in found]

    async def answer(self, request: Request) -> Response:
        form = {name: str(value) for name, value in (await request.form()).items()}
        url = self.public_url + request.url.path + (f"?{request.url.query}" if request.url.query else "")
        is_genuine = RequestValidator(AUTH_TOKEN).validate(url, form, request.headers.get("x-twilio-signature", ""))
        fields = form | dict(request.query_params)
        self.webhooks.append(Webhook(request.url.path, fields, dict(request.headers), is_genuine))
        answer = self.answers.get(request.url.path, "<Response/>")
        if isinstance(answer, int):
            return Response("trouble", status_code=answer)
        return Response(answer, media_type="text/xml")

    async def take_stream(self, websocket: WebSocket) -> None:
        signature = websocket.headers.get("x-twilio-signature", "")
        # Not `validate`: for wss:// it also tries the URL with port 80.
        is_genuine = signature == RequestValidator(AUTH_TOKEN).compute_signature(self.stream_url, {})
        await websocket.accept()
        stream = ToyStream(websocket, is_genuine)
        self.streams.append(stream)
        try:
            await self.on_stream(stream)
        except WebSocketDisconnect:
            return
        if websocket.client_state.name == "CONNECTED":
            await websocket.close()


class _Server(uvicorn.Server):
    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.stop = asyncio.Event()

    @contextmanager
    def capture_signals(self) -> Generator[None]:
        yield

    async def main_loop(self) -> None:
        await self.on_tick(0)
        await self.stop.wait()


@asynccontextmanager
async def serve_toy(*, public_url: str = "", tls: ssl.SSLContext | None = None) -> AsyncGenerator[ToyServer]:
    """Serve on loopback. `public_url` is the name the server goes by; `tls` a server context."""
    listener = socket.socket()
    listener.bind(("127.0.0.1", 0))
    base_url = f"{'https' if tls else 'http'}://127.0.0.1:{listener.getsockname()[1]}"
    toy = ToyServer(base_url, public_url or base_url)
    app = Starlette(
        routes=[
            WebSocketRoute("/media", toy.take_stream),
            Route("/{path:path}", toy.answer, methods=["GET", "POST"]),
        ]
    )
    config = uvicorn.Config(
        app, lifespan="off", log_config=None, ws="websockets-sansio", ws_ping_interval=None, timeout_graceful_shutdown=1
    )
    config.load()
    config.ssl = tls
    server = _Server(config)
    serving = asyncio.create_task(server.serve(sockets=[listener]))
    try:
        yield toy
    finally:
        server.stop.set()
        await serving
        listener.close()
