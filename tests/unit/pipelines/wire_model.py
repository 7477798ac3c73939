"""A Gemini Live endpoint whose every connection is held by the test, and a listener that notes what a link tells it."""

import asyncio
import base64
import json
import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from http import HTTPStatus
from pathlib import Path
from typing import Any

from google.genai import Client
from google.genai.types import Content, FunctionResponse, LiveServerContent, LiveServerMessage, Part, Transcription
from websockets.asyncio.server import Request, Response, ServerConnection, serve
from websockets.exceptions import ConnectionClosed

from config.pipeline import GeminiConnection, GeminiLive
from pipelines.gemini_client import make_client
from pipelines.gemini_setup import LiveSetup
from pipelines.link_listener import Beginning, Cause, Resumption
from pipelines.model_failures import ModelFailure
from pipelines.model_link import ModelLink
from pipelines.outbox import Audio
from simulators.certificates import issue_certificates

Json = dict[str, Any]
READY: Json = {"setupComplete": {}}
NEVER_SAID_MS = 1e12
"""Later than anything that was spoken: nothing is said again."""


class Line:
    """One connection, at the model's end. `number` counts from 0; `setup` is its first message."""

    def __init__(self, socket: ServerConnection, number: int) -> None:
        self.socket, self.number = socket, number
        self.setup: Json = {}
        self.got: list[Json] = []

    async def begin(self) -> None:
        """Read the setup and say that we are ready."""
        self.setup = json.loads(await self.socket.recv())["setup"]
        await self.say(READY)

    async def say(self, *messages: Json | str) -> None:
        for message in messages:
            await self.socket.send(message if isinstance(message, str) else json.dumps(message))

    async def give_handle(self, handle: str) -> None:
        await self.say({"sessionResumptionUpdate": {"newHandle": handle, "resumable": True}})

    async def play_dead(self) -> None:
        """Read and answer nothing any more, not even a close."""
        self.socket.transport.pause_reading()
        await self.socket.wait_closed()

    async def listen(self) -> None:
        """Read until the other side has gone."""
        async for message in self.socket:
            self.got.append(json.loads(message))

    async def hear(self, count: int) -> None:
        """Read until there are so many messages."""
        while len(self.got) < count:
            self.got.append(json.loads(await self.socket.recv()))

    @property
    def handle(self) -> str | None:
        """What it was asked to resume."""
        return self.setup.get("sessionResumption", {}).get("handle")

    @property
    def numbers(self) -> list[int]:
        """The first sample of each piece of audio: `numbered` gives each its own."""
        sounds = [message["realtime_input"]["audio"] for message in self.got if "audio" in _realtime(message)]
        return [int.from_bytes(base64.urlsafe_b64decode(sound["data"])[:2], "little") for sound in sounds]

    @property
    def texts(self) -> list[str]:
        """What it was told in words in step with the audio."""
        return [_realtime(message)["text"] for message in self.got if "text" in _realtime(message)]

    @property
    def contents(self) -> list[tuple[list[str], bool]]:
        """Turns that it was told, and whether it was to answer."""
        found = [message["client_content"] for message in self.got if "client_content" in message]
        return [
            (
                [turn["parts"][0]["text"] for turn in content.get("turns", [])],
                content.get("turnComplete", content.get("turn_complete")),
            )
            for content in found
        ]

    @property
    def results(self) -> list[str]:
        """The ids of the calls that it was given results of."""
        found = [message["tool_response"] for message in self.got if "tool_response" in message]
        return [response["id"] for answer in found for response in answer["functionResponses"]]


def _realtime(message: Json) -> Json:
    return message.get("realtime_input", {})


@dataclass
class WireModel:
    """`refusals`: HTTP statuses (and bodies) that the next handshakes are answered with."""

    client: Client
    port: int
    lines: list[Line] = field(default_factory=list[Line])
    refusals: list[tuple[int, str]] = field(default_factory=list[tuple[int, str]])
    asked_at: list[float] = field(default_factory=list[float])
    """When each connection was asked for, seconds of the monotonic clock."""


Converse = Callable[[Line], Awaitable[None]]


@asynccontextmanager
async def wire_model(folder: Path, converse: Converse) -> AsyncGenerator[WireModel]:
    """Serve; `converse(line)` holds a connection from its first message on."""
    certificates = await asyncio.to_thread(issue_certificates, folder, "127.0.0.1", "localhost")

    def refuse(connection: ServerConnection, _request: Request) -> Response | None:
        model.asked_at.append(time.monotonic())
        if not model.refusals:
            return None
        status, body = model.refusals.pop(0)
        return connection.respond(HTTPStatus(status), body)

    async def hold(socket: ServerConnection) -> None:
        line = Line(socket, len(model.lines))
        model.lines.append(line)
        try:
            await converse(line)
        except ConnectionClosed:
            return

    async with serve(
        hold, "127.0.0.1", 0, ssl=certificates.server, process_request=refuse, close_timeout=0.1, ping_interval=None
    ) as server:
        port = server.sockets[0].getsockname()[1]
        client = make_client(api_key="x", base_url=f"https://127.0.0.1:{port}", ca_file=certificates.ca_file)
        model = WireModel(client, port)
        try:
            yield model
        finally:
            for line in model.lines:  # also those that play dead
                line.socket.transport.abort()


class Told:
    """Implements `LinkListener`. Everything that was told, and what is to be answered."""

    def __init__(self) -> None:
        self.messages: list[LiveServerMessage] = []
        self.ready: list[tuple[Beginning, Cause]] = []
        self.lost: list[tuple[Cause, ModelFailure | None]] = []
        self.attempts: list[ModelFailure] = []
        self.failed: list[tuple[Cause, ModelFailure]] = []
        self.going: list[float | None] = []
        self.malformed: list[int] = []
        self.resumable = self.pauses = 0
        self.voice = b""
        self.is_idle = True
        self.said: list[Content] = []
        self.going_on = Resumption(NEVER_SAID_MS)
        self.on_message: Callable[[LiveServerMessage], Awaitable[None]] | None = None
        self.on_lost: Callable[[], Awaitable[None]] | None = None

    @property
    def texts(self) -> list[str]:
        """What the model said, as its transcription tells."""
        contents = [message.server_content for message in self.messages if message.server_content]
        return [content.output_transcription.text or "" for content in contents if content.output_transcription]

    async def link_voice(self, pcm: bytes) -> None:
        self.voice += pcm

    async def link_pause(self) -> None:
        self.pauses += 1

    async def link_words(self, words: str) -> None:
        content = LiveServerContent(output_transcription=Transcription(text=words))
        await self.link_message(LiveServerMessage(server_content=content))

    async def link_message(self, message: LiveServerMessage) -> None:
        self.messages.append(message)
        if self.on_message is not None:
            await self.on_message(message)

    def link_ready(self, beginning: Beginning, cause: Cause, took_secs: float) -> None:
        assert took_secs >= 0
        self.ready.append((beginning, cause))

    async def link_lost(self, cause: Cause, failure: ModelFailure | None) -> None:
        self.lost.append((cause, failure))
        if self.on_lost is not None:
            await self.on_lost()

    def link_attempt_failed(self, failure: ModelFailure) -> None:
        self.attempts.append(failure)

    def link_failed(self, cause: Cause, failure: ModelFailure) -> None:
        self.failed.append((cause, failure))

    def link_going(self, time_left_secs: float | None) -> None:
        self.going.append(time_left_secs)

    def link_resumable(self) -> None:
        self.resumable += 1

    def link_malformed(self, count: int) -> None:
        self.malformed.append(count)

    def history(self) -> Sequence[Content]:
        return self.said

    def resumption(self, beginning: Beginning) -> Resumption:
        return self.going_on

    def as_prompt(self, result: FunctionResponse) -> str:
        return f"{result.name}: {result.response}"

    def is_quiet(self) -> bool:
        return self.is_idle


def setup_with(model: str = "gemini-3.8-live", **connection: float) -> LiveSetup:
    """A setup; keyword arguments: fields of `connection:`."""
    settings = GeminiLive(model=model, connection=GeminiConnection(**connection))  # pyright: ignore[reportArgumentType]
    return LiveSetup(settings, "en-US", "Be brief.")


def link_to(client: Client, *, begins_with_content: bool = False, **connection: float) -> ModelLink:
    """A link, not yet open."""
    return ModelLink(client, setup_with(**connection), begins_with_content=begins_with_content)


def numbered(number: int) -> Audio:
    """20 ms of sound that can be told from all others; spoken 20 ms after the one before."""
    return Audio(number.to_bytes(2, "little") * 160, 8000, number * 20.0)


def turn(role: str, text: str) -> Content:
    return Content(role=role, parts=[Part(text=text)])


def spoken(text: str) -> Json:
    """A message with words of the model."""
    return {"serverContent": {"outputTranscription": {"text": text}}}


async def until(is_reached: Callable[[], object], timeout_secs: float = 5.0) -> None:
    """Wait for something that nobody tells about."""
    async with asyncio.timeout(timeout_secs):
        while not is_reached():  # noqa: ASYNC110
            await asyncio.sleep(0.01)


def link_tasks() -> list[str]:
    """Names of the tasks of links that run now."""
    return [task.get_name() for task in asyncio.all_tasks() if task.get_name().startswith("model link")]
