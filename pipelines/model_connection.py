"""One connection to the model, from its first packet to its last."""

import asyncio
import base64
import json
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AsyncExitStack
from typing import Any, cast

from google.genai import Client
from google.genai.live import AsyncSession
from google.genai.types import Content, LiveConnectConfig, LiveServerMessage
from loguru import logger
from websockets.asyncio.client import ClientConnection

from pipelines.gemini_setup import model_path
from pipelines.model_failures import NotReady
from pipelines.model_socket import ModelSocket
from pipelines.outbox import Audio, Contents, Item, Text, ToolResult
from telemetry import metrics

_KNOWN_KINDS = {field.alias for field in LiveServerMessage.model_fields.values()} | {"error", "code"}
_CLOSE_SECS = 1.5
"""More than the socket's own deadline for a close: what takes longer would take for ever."""


class ModelConnection:
    """Opened once, closed once. Closing ends within two seconds, whatever the other side does or does not."""

    def __init__(self) -> None:
        """Prepare; nothing is sent yet."""
        self._stack = AsyncExitStack()
        self._session: AsyncSession | None = None
        self._wire: ClientConnection | None = None
        self._short: ModelSocket | None = None
        self._is_counted = False

    @property
    def session(self) -> AsyncSession:
        """What messages come from. Raises RuntimeError before the connection stands."""
        if self._session is None:
            raise RuntimeError("the connection does not stand yet")
        return self._session

    def hear_by(self, hear: Callable[[list[bytes] | str | None], Awaitable[None]]) -> None:
        """Give messages that are nothing but speech to `hear`, in order with all others, which come from `session`.

        `hear` gets the pieces of voice, or the words, of one message; None when nothing more lies ready to be read.
        """
        session = self.session
        self._short = ModelSocket(self._socket, hear)
        session._ws = cast(Any, self._short)  # pyright: ignore[reportPrivateUsage]

    @property
    def last_is_of_unknown_kind(self) -> bool:
        """Whether google-genai knows nothing in the last message, and raised for it, but no error is told in it either.

        What Google has added since is nothing to us, however often it comes.
        """
        try:
            told: object = json.loads(self._short.last_message if self._short is not None else b"")
        except ValueError:
            return False
        return isinstance(told, dict) and not _KNOWN_KINDS & cast("dict[str, object]", told).keys()

    def send_now(self, audio: Audio) -> bool:
        """Send audio without waiting; False when that is not possible now: `send` tells why, or waits."""
        return self._short is not None and self._short.send_now(_message_of(audio))

    async def open(self, client: Client, model: str, config: LiveConnectConfig, history: Sequence[Content]) -> None:
        """Connect, set up, wait until the model is ready, and tell it what was said before.

        Raises:
            NotReady: the model answered the setup with something else.
            Exception: whatever google-genai and websockets raise; `sort_failure` knows them.
        """
        if not self._is_counted:
            self._is_counted = True
            metrics.MODEL_CONNECTIONS.inc()
        connecting = client.aio.live.connect(model=model_path(model), config=config)
        self._session = session = await self._stack.enter_async_context(connecting)
        self._wire = cast(ClientConnection, session._ws)  # pyright: ignore[reportPrivateUsage]
        if session.setup_complete is None:
            raise NotReady
        if history:
            await session.send_client_content(turns=list(history), turn_complete=True)

    async def send(self, item: Item) -> None:
        """Send one item. Raises what the socket raises, and ValueError or TypeError for what JSON cannot hold."""
        session = self.session
        match item:
            case Audio():
                await self._socket.send(_message_of(item), text=True)
            case Text():
                await session.send_realtime_input(text=item.text)
            case Contents():
                await session.send_client_content(turns=list(item.turns) or None, turn_complete=item.is_complete)
            case ToolResult():
                await session.send_tool_response(function_responses=item.response)

    async def close(self) -> None:
        """Say goodbye; cut off a peer that does not take it. Never raises but for cancellation."""
        if self._is_counted:
            self._is_counted = False
            metrics.MODEL_CONNECTIONS.dec()
        closing = asyncio.create_task(self._stack.aclose(), name="model connection closing")
        await asyncio.wait({closing}, timeout=_CLOSE_SECS)
        if not closing.done() and self._wire is not None:
            # A peer that reads nothing leaves the goodbye in our own buffer, and websockets waits until it is sent.
            self._socket.transport.abort()
            await asyncio.wait({closing}, timeout=_CLOSE_SECS)
        if not closing.done():
            closing.cancel()
            await asyncio.wait({closing})
        if not closing.cancelled() and (error := closing.exception()) is not None:
            # The other side may be gone in any way there is; nothing of that matters any more.
            logger.bind(problem=type(error).__name__).debug("a connection to the model did not close as it should")

    @property
    def _socket(self) -> ClientConnection:
        if self._wire is None:
            raise RuntimeError("the connection does not stand yet")
        return self._wire


def _message_of(audio: Audio) -> bytes:
    """What google-genai would send, without the models it builds for it: twenty times a second and call."""
    data = base64.urlsafe_b64encode(audio.pcm)
    return b'{"realtime_input": {"audio": {"data": "%b", "mime_type": "audio/pcm;rate=%d"}}}' % (data, audio.hz)
