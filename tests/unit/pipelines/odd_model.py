"""A Gemini Live endpoint that answers one request as it is told, however odd: each answer is a list of messages."""

import asyncio
import base64
import json
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from google.genai import Client
from websockets.asyncio.server import ServerConnection, serve
from websockets.exceptions import ConnectionClosed

from pipelines.gemini_client import make_client
from simulators.certificates import issue_certificates
from simulators.speech import speak

Message = dict[str, Any] | str | int
"""A message, raw text, or the code to close with."""
TURN_COMPLETE: Message = {"serverContent": {"turnComplete": True}}


def audio(pcm: bytes, mime: str = "audio/pcm;rate=24000") -> Message:
    """A message with sound."""
    part = {"inlineData": {"mimeType": mime, "data": base64.b64encode(pcm).decode()}}
    return {"serverContent": {"modelTurn": {"role": "model", "parts": [part]}}}


def transcript(text: str) -> Message:
    """A message with words of the model."""
    return {"serverContent": {"outputTranscription": {"text": text}}}


def reading(text: str, said: str | None = None) -> list[Message]:
    """All messages of a sentence read aloud, with `said` as its transcript instead."""
    done: Message = {"serverContent": {"generationComplete": True}}
    return [transcript(text if said is None else said), audio(speak(text)), done, TURN_COMPLETE]


@dataclass
class OddModel:
    """What it was asked, how many conversations went on at once at most, and its client."""

    client: Client
    asked: list[str] = field(default_factory=list[str])
    most_at_once: int = 0


@asynccontextmanager
async def odd_model(
    folder: Path, answer: Callable[[str, int], Sequence[Message]], *, think_secs: float = 0.0
) -> AsyncGenerator[OddModel]:
    """Serve; `answer(request, count)` returns what is sent for the count-th request, from 0. Keys go into `folder`."""
    certificates = await asyncio.to_thread(issue_certificates, folder, "127.0.0.1", "localhost")
    now = 0

    async def converse(connection: ServerConnection) -> None:
        nonlocal now
        now += 1
        model.most_at_once = max(model.most_at_once, now)
        try:
            await connection.recv()
            await connection.send(json.dumps({"setupComplete": {}}))
            request = json.loads(await connection.recv())
            content = request.get("client_content") or request["clientContent"]
            text, count = str(content["turns"][0]["parts"][0]["text"]), len(model.asked)
            model.asked.append(text)
            await asyncio.sleep(think_secs)
            for message in answer(text, count):
                if isinstance(message, int):
                    await connection.close(message, "as told")
                else:
                    await connection.send(message if isinstance(message, str) else json.dumps(message))
            await connection.wait_closed()
        except ConnectionClosed:
            return
        finally:
            now -= 1

    async with serve(converse, "127.0.0.1", 0, ssl=certificates.server) as server:
        port = server.sockets[0].getsockname()[1]
        client = make_client(api_key="x", base_url=f"https://127.0.0.1:{port}", ca_file=certificates.ca_file)
        model = OddModel(client)
        yield model
