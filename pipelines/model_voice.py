"""The messages that are most of what a Live model sends: nothing but a piece of its voice, or of its words."""

import base64
import binascii
import json
from typing import Any, cast

VOICE_HZ = 24_000
"""PCM16 mono at this rate is what a Live model speaks (https://ai.google.dev/gemini-api/docs/live-guide)."""
_MIME_TYPE = f"audio/pcm;rate={VOICE_HZ}"
_MARKS = (b'"inlineData"', b'"outputTranscription"')

Json = dict[str, Any]


def read_speech(message: bytes) -> list[bytes] | str | None:
    """Return the pieces of voice (PCM16 at `VOICE_HZ`, any number of bytes) or the words of a server's message.

    None when there is anything else in it, or anything odd about it: then it takes the way of all messages.
    """
    if _MARKS[0] not in message and _MARKS[1] not in message:
        return None
    try:
        whole: Any = json.loads(message)
        [(name, content)] = whole.items()
        [(kind, told)] = content.items()
        if name != "serverContent":
            return None
        if kind == "outputTranscription":
            [(field, words)] = told.items()
            return words if field == "text" and isinstance(words, str) and words else None
        if kind != "modelTurn" or not told.keys() <= {"parts", "role"}:
            return None
        pieces = [_piece_of(part) for part in cast(list[Json], told["parts"])]
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
