"""A client of the Live protocol on the bare WebSocket, for what google-genai hides."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import json
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed

from simulators.clips import caller_samples
from simulators.gemini_live import GeminiEmulator

PATH = "/ws/google.ai.generativelanguage.v1beta.GenerativeService.BidiGenerateContent"
SETUP: dict[str, Any] = {
    "setup": {
        "model": "models/gemini-3.8-live",
        "generation_config": {"response_modalities": ["AUDIO"]},
        "input_audio_transcription": {},
        "outputAudioTranscription": {},
        "sessionResumption": {},
        "tools": [{"functionDeclarations": [{"name": "opening_hours"}, {"name": "book_appointment"}]}],
    }
}


@asynccontextmanager
async def dialled(
    emulator: GeminiEmulator, path: str = PATH, key: str | None = "right"
) -> AsyncIterator[ClientConnection]:
    context = ssl.create_default_context(cafile=emulator.ca_file)
    url = emulator.base_url.replace("https", "wss") + path
    headers = {"x-goog-api-key": key} if key else {}
    # Without a limit on its queue, the client can still read the answer to its close frame behind unread audio.
    async with connect(url, ssl=context, additional_headers=headers, max_queue=None) as socket:
        yield socket


async def send(socket: ClientConnection, message: dict[str, Any]) -> None:
    await socket.send(json.dumps(message))


async def receive_until(socket: ClientConnection, field: str) -> list[dict[str, Any]]:
    """All messages up to the one with a field at the top or in serverContent. Every frame must be binary."""
    messages: list[dict[str, Any]] = []
    async with asyncio.timeout(8):
        while True:
            frame = await socket.recv()
            assert isinstance(frame, bytes)
            messages.append(json.loads(frame))
            if field in messages[-1] or field in messages[-1].get("serverContent", {}):
                return messages


async def close_of(socket: ClientConnection) -> tuple[int, str]:
    async with asyncio.timeout(5):
        with contextlib.suppress(ConnectionClosed):
            async for _ in socket:
                pass
    assert socket.close_code is not None
    return socket.close_code, socket.close_reason or ""


def speech(clip_id: str) -> list[dict[str, Any]]:
    sound = caller_samples(clip_id).tobytes() + bytes(48_000)
    pieces = [sound[start : start + 9600] for start in range(0, len(sound), 9600)]
    mime = "audio/pcm;rate=24000"
    return [
        {"realtimeInput": {"audio": {"data": base64.urlsafe_b64encode(piece).decode(), "mimeType": mime}}}
        for piece in pieces
    ]
