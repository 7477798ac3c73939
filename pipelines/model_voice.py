"""The messages that are most of what a Live model sends: nothing but a piece of its voice, read by a short way."""

import base64
import binascii
import json
from collections.abc import Awaitable, Callable
from typing import Any, cast

VOICE_HZ = 24_000
"""PCM16 mono at this rate is what a Live model speaks (https://ai.google.dev/gemini-api/docs/live-guide)."""
_MIME_TYPE = f"audio/pcm;rate={VOICE_HZ}"
_MARK = b'"inlineData"'

Json = dict[str, Any]


def voice_of(message: bytes) -> list[bytes] | None:
    """Return the pieces of voice (PCM16 at `VOICE_HZ`, any number of bytes) of a server's message.

    None when there is anything else in it, or anything odd about it: then it takes the way of all messages.
    """
    if _MARK not in message:
        return None
    try:
        whole: Any = json.loads(message)
        [(name, content)] = whole.items()
        [(turn_name, turn)] = content.items()
        if name != "serverContent" or turn_name != "modelTurn" or not turn.keys() <= {"parts", "role"}:
            return None
        pieces = [_piece_of(part) for part in cast(list[Json], turn["parts"])]
        return pieces if pieces and all(pieces) else None
    except (ValueError, TypeError, AttributeError, KeyError, RecursionError):
        return None


def _piece_of(part: Json) -> bytes:
    [(name, data)] = part.items()
    if name != "inlineData" or data.keys() != {"mimeType", "data"} or data["mimeType"] != _MIME_TYPE:
        raise ValueError
    text: str = data["data"]
    if "-" in text or "_" in text:
        return base64.urlsafe_b64decode(text)
    return binascii.a2b_base64(text)


class VoiceFilter:
    """A socket as google-genai knows it, which keeps the voice out of its hands and gives it to `hear` instead.

    Its `recv` returns every other message, as the socket does, and in order: `hear` is awaited before what comes next.
    """

    def __init__(self, socket: Any, hear: Callable[[list[bytes]], Awaitable[None]]) -> None:
        """Take websockets' connection, and who takes the pieces of one message."""
        self._socket = socket
        self._hear = hear

    def __getattr__(self, name: str) -> Any:
        return getattr(self._socket, name)

    async def recv(self, decode: bool | None = None) -> bytes | str:
        """Return the next message that is not only voice; raises what the socket raises."""
        while True:
            message = await self._socket.recv(decode=decode)
            voice = voice_of(message) if isinstance(message, bytes) else None
            if voice is None:
                return message
            await self._hear(voice)
