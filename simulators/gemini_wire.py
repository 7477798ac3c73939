"""The Gemini Live wire protocol (BidiGenerateContent): client messages in, server messages out. Pure.

Source: what google-genai 2.34 sends and its `types.LiveServerMessage`. Clients mix snake_case and camelCase at every
level; everything here is camelCase inside. Client bytes are URL-safe base64, ours are standard base64.
"""

from __future__ import annotations

import base64
import binascii
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast

import numpy as np

from simulators.clips import Samples

Json = dict[str, Any]

DEFAULT_INPUT_RATE_HZ = 16_000
OUTPUT_MIME = "audio/pcm;rate=24000"
# What hangs below these keys is the application's own: its names must arrive as they were sent.
_OPAQUE = frozenset({"args", "response", "parameters", "parametersJsonSchema", "responseSchema", "responseJsonSchema"})
_KINDS = frozenset({"setup", "clientContent", "realtimeInput", "toolResponse", "contextUpdate"})


class BadMessage(ValueError):
    """The client sent something that the protocol does not allow; the text is the close reason (code 1007)."""


@dataclass(frozen=True, slots=True)
class Audio:
    """One piece of caller audio: mono PCM16."""

    samples: Samples
    rate_hz: int


def camel(key: str) -> str:
    """mime_type -> mimeType; camelCase stays as it is."""
    return re.sub(r"_([a-z0-9])", lambda match: match[1].upper(), key)


def camel_keys(value: Any) -> Any:
    """The value with camelCase keys everywhere, except inside args, schemas and results."""
    if isinstance(value, dict):
        pairs = ((camel(key), item) for key, item in cast(Json, value).items())
        return {key: item if key in _OPAQUE else camel_keys(item) for key, item in pairs}
    if isinstance(value, list):
        return [camel_keys(item) for item in cast(list[Any], value)]
    return value


def parse_message(raw: str | bytes) -> tuple[str, Json]:
    """One client message: its kind (setup, clientContent, realtimeInput, toolResponse, contextUpdate) and its body.

    Raises:
        BadMessage: not JSON, not an object, or not exactly one known kind.
    """
    try:
        message = json.loads(raw)
    except (ValueError, UnicodeDecodeError) as error:
        raise BadMessage(f"Invalid JSON payload received. {error}") from error
    if not isinstance(message, dict):
        raise BadMessage("Invalid JSON payload received. A message must be an object.")
    message = cast(Json, camel_keys(message))
    unknown = sorted(set(message) - _KINDS)
    if unknown:
        raise BadMessage(f'Invalid JSON payload received. Unknown name "{unknown[0]}": Cannot find field.')
    if len(message) != 1:
        raise BadMessage("Invalid value: a message must hold exactly one of its fields.")
    kind, body = next(iter(message.items()))
    if body is None:
        body = {}
    if not isinstance(body, dict):
        raise BadMessage(f'Invalid value at "{kind}": must be an object.')
    return kind, cast(Json, body)


def parse_audio(blob: Any) -> Audio:
    """A Blob {data, mimeType} of realtimeInput. Any rate may stand in the mime type; 16 kHz when none does.

    Raises:
        BadMessage: not PCM, not base64, half a sample, or a rate that is no rate.
    """
    if not isinstance(blob, dict):
        raise BadMessage('Invalid value at "realtimeInput.audio": must be an object.')
    fields = cast(Json, blob)
    mime = str(fields.get("mimeType", "audio/pcm"))
    if not mime.startswith("audio/pcm"):
        raise BadMessage(f"Unsupported mime type: {mime[:60]}")
    rate = re.search(r"rate=(\d+)", mime)
    rate_hz = int(rate[1]) if rate else DEFAULT_INPUT_RATE_HZ
    if not 8_000 <= rate_hz <= 48_000:
        raise BadMessage(f"Unsupported sample rate: {rate_hz}")
    data = decode_base64(fields.get("data", ""))
    if len(data) % 2:
        raise BadMessage('Invalid value at "realtimeInput.audio.data": half a 16-bit sample.')
    return Audio(np.frombuffer(data, dtype="<i2").astype(np.int16), rate_hz)


def decode_base64(data: Any) -> bytes:
    """Standard or URL-safe base64, with or without padding.

    Raises:
        BadMessage: it is neither.
    """
    text = str(data).replace("-", "+").replace("_", "/").rstrip("=")
    try:
        return base64.b64decode(text + "=" * (-len(text) % 4), validate=True)
    except (binascii.Error, ValueError) as error:
        raise BadMessage(f"Invalid value: base64 decoding failed. {error}") from error


def content_text(content: Any) -> str:
    """The text of a Content {role, parts: [{text}]}; parts without text count as nothing."""
    if isinstance(content, str):
        return content
    if not isinstance(content, dict):
        return ""
    parts = cast(list[Any], cast(Json, content).get("parts") or [])
    texts = [str(cast(Json, part).get("text") or "") for part in parts if isinstance(part, dict)]
    return "\n".join(text for text in texts if text)


def declared_tools(setup: Mapping[str, Any]) -> dict[str, bool]:
    """The declared functions of a setup: name -> is it BLOCKING? A function that does not say is (the caller waits)."""
    tools: dict[str, bool] = {}
    for tool in cast(list[Any], setup.get("tools") or []):
        for declaration in cast(list[Json], cast(Json, tool).get("functionDeclarations") or []):
            tools[str(declaration.get("name"))] = declaration.get("behavior") != "NON_BLOCKING"
    return tools


def setup_complete(session_id: str) -> Json:
    return {"setupComplete": {"sessionId": session_id}}


def audio_part(pcm: bytes) -> Json:
    """24 kHz mono PCM16 of the model's turn."""
    data = base64.b64encode(pcm).decode("ascii")
    return server_content(
        modelTurn={"role": "model", "parts": [{"inlineData": {"mimeType": OUTPUT_MIME, "data": data}}]}
    )


def server_content(**fields: Any) -> Json:
    return {"serverContent": fields}


def tool_call(calls: Sequence[tuple[str, str, Mapping[str, Any]]]) -> Json:
    """`calls`: (id, name, args) of each function to call."""
    return {"toolCall": {"functionCalls": [{"id": id_, "name": name, "args": dict(args)} for id_, name, args in calls]}}


def tool_call_cancellation(ids: Sequence[str]) -> Json:
    return {"toolCallCancellation": {"ids": list(ids)}}


def resumption_update(handle: str | None) -> Json:
    """A new handle, or None: this is no moment to resume from."""
    if handle is None:
        return {"sessionResumptionUpdate": {"resumable": False}}
    return {"sessionResumptionUpdate": {"newHandle": handle, "resumable": True}}


def go_away(time_left_secs: float) -> Json:
    """`timeLeft` is a protobuf Duration in JSON: seconds with an s."""
    return {"goAway": {"timeLeft": f"{time_left_secs:g}s"}}


def usage_metadata(*, heard_secs: float, said_secs: float, text_in: int, text_out: int) -> Json:
    """Token counts as the service has them: 25 tokens for a second of audio, about one for four characters of text.

    Source: Gemini API documentation, "Understand and count tokens" and the Live API guide. `text_*`: characters.
    """
    counts_in = {"AUDIO": round(heard_secs * 25), "TEXT": (text_in + 3) // 4}
    counts_out = {"AUDIO": round(said_secs * 25), "TEXT": (text_out + 3) // 4}

    def details(counts: dict[str, int]) -> list[Json]:
        return [{"modality": modality, "tokenCount": count} for modality, count in counts.items() if count]

    return {
        "promptTokenCount": sum(counts_in.values()),
        "responseTokenCount": sum(counts_out.values()),
        "totalTokenCount": sum(counts_in.values()) + sum(counts_out.values()),
        "promptTokensDetails": details(counts_in),
        "responseTokensDetails": details(counts_out),
    }


def encode(message: Json) -> bytes:
    """A server message as the service frames it: JSON in a binary frame."""
    return json.dumps(message, separators=(",", ":")).encode()
