"""A client of the Live protocol that is the unmodified google-genai SDK."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import soxr
from google import genai
from google.genai import errors, types
from google.genai.live import AsyncSession

from simulators.clips import CLIP_RATE_HZ, caller_samples
from simulators.gemini_live import GeminiEmulator

MODEL = "gemini-3.8-live"


def declare(*names: str, behavior: types.Behavior | None = None) -> list[types.Tool]:
    functions = [types.FunctionDeclaration(name=name, description=name, behavior=behavior) for name in names]
    return [types.Tool(function_declarations=functions)]


def config(**changes: Any) -> types.LiveConnectConfig:
    return types.LiveConnectConfig(
        response_modalities=[types.Modality.AUDIO],
        input_audio_transcription=types.AudioTranscriptionConfig(),
        output_audio_transcription=types.AudioTranscriptionConfig(),
        **changes,
    )


def client_of(emulator: GeminiEmulator, key: str = "any-key", version: str = "v1beta") -> genai.Client:
    context = ssl.create_default_context(cafile=emulator.ca_file)
    # Without a limit on its queue, the client can still read the answer to its close frame behind unread audio.
    arguments = {"ssl": context, "verify": context, "max_queue": None}
    options = types.HttpOptions(base_url=emulator.base_url, api_version=version, async_client_args=arguments)
    return genai.Client(api_key=key, http_options=options)


@dataclass
class Talk:
    """One SDK session and everything the emulator sent in it."""

    session: AsyncSession
    messages: list[types.LiveServerMessage] = field(default_factory=list[types.LiveServerMessage])
    arrived: asyncio.Event = field(default_factory=asyncio.Event)

    async def listen(self) -> None:
        while True:
            async for message in self.session.receive():
                self.messages.append(message)
                self.arrived.set()

    async def until(self, is_reached: Callable[[types.LiveServerMessage], Any], start: int = 0) -> int:
        """Waits for a message; returns the index after it."""
        async with asyncio.timeout(8):
            while True:
                for index, message in enumerate(self.messages[start:], start):
                    if is_reached(message):
                        return index + 1
                self.arrived.clear()
                await self.arrived.wait()

    async def play(self, clip_id: str, *, rate_hz: int = 8000) -> None:
        """Sends a clip and a second of silence, as fast as the line takes them."""
        sound = np.asarray(soxr.resample(caller_samples(clip_id), CLIP_RATE_HZ, rate_hz), dtype="<i2")
        sound = np.concatenate([sound, np.zeros(rate_hz, dtype="<i2")])
        step = rate_hz // 50
        for start in range(0, len(sound), step):
            blob = types.Blob(data=sound[start : start + step].tobytes(), mime_type=f"audio/pcm;rate={rate_hz}")
            await self.session.send_realtime_input(audio=blob)

    async def say(self, text: str) -> None:
        content = types.Content(role="user", parts=[types.Part(text=text)])
        await self.session.send_client_content(turns=content, turn_complete=True)

    async def answer(self, call: types.FunctionCall, response: dict[str, Any], **more: Any) -> None:
        result = types.FunctionResponse(id=call.id, name=call.name, response=response, **more)
        await self.session.send_tool_response(function_responses=[result])

    def text(self, start: int = 0) -> str:
        contents = [message.server_content for message in self.messages[start:] if message.server_content]
        return "".join(c.output_transcription.text or "" for c in contents if c.output_transcription).strip()

    def caller_text(self) -> str:
        contents = [message.server_content for message in self.messages if message.server_content]
        return "".join(c.input_transcription.text or "" for c in contents if c.input_transcription).strip()

    def audio(self, start: int = 0) -> bytes:
        return b"".join(message.data or b"" for message in self.messages[start:])


def is_turn_complete(message: types.LiveServerMessage) -> bool:
    return bool(message.server_content and message.server_content.turn_complete)


def is_interrupted(message: types.LiveServerMessage) -> bool:
    return bool(message.server_content and message.server_content.interrupted)


def called(message: types.LiveServerMessage) -> types.FunctionCall | None:
    calls = message.tool_call.function_calls if message.tool_call else None
    return calls[0] if calls else None


@asynccontextmanager
async def talking(client: genai.Client, setup: types.LiveConnectConfig) -> AsyncIterator[Talk]:
    async with client.aio.live.connect(model=MODEL, config=setup) as session:
        talk = Talk(session)
        listening = asyncio.create_task(talk.listen())
        try:
            yield talk
        finally:
            listening.cancel()
            await asyncio.wait({listening})
            if not listening.cancelled() and not isinstance(listening.exception(), errors.APIError):
                listening.result()
