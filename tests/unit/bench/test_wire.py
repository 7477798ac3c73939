"""The two far ends on real sockets: a caller's media stream, and the stand-in model over TLS."""

import asyncio
import base64
import json
import ssl
import time
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from picows import ws_connect  # pyright: ignore[reportUnknownVariableType]
from websockets.asyncio.client import ClientConnection, connect
from websockets.asyncio.server import ServerConnection, serve

from bench.caller import Caller, CallNotes
from bench.caller_voice import CallerVoice
from bench.loudness import LOUD_PEAK, is_loud_pcm, is_loud_ulaw, trim
from bench.measures import first_words_ms
from bench.media_line import MediaLine
from bench.model import load_model
from bench.model import serve as serve_model
from simulators.telephone_audio import encode_ulaw

PATH = "/ws/google.ai.generativelanguage.v1beta.GenerativeService.BidiGenerateContent"
LOUD = np.full(160, 3 * LOUD_PEAK, np.int16)
QUIET = np.full(160, LOUD_PEAK // 10, np.int16)


def test_loud_is_the_same_in_every_coding_and_length() -> None:
    for pcm, is_loud in ((LOUD, True), (-LOUD, True), (QUIET, False)):
        assert is_loud_pcm(pcm.tobytes()) is is_loud
        assert is_loud_ulaw(encode_ulaw(pcm)) is is_loud
        assert is_loud_ulaw(encode_ulaw(np.concatenate([QUIET, QUIET, pcm]))) is is_loud
    clip = np.concatenate([QUIET, QUIET, QUIET, LOUD, LOUD[:70], QUIET])
    assert len(trim(clip, 160)) == 160 * 4  # two frames before the first loud one, and no sample after the last
    assert len(trim(clip, 160, lead_frames=0)) == 160 * 2
    with pytest.raises(ValueError, match="silent"):
        trim(QUIET, 160)


async def test_a_media_line_speaks_as_twilio_does_and_notes_what_it_hears() -> None:
    got: list[dict[str, Any]] = []
    played = asyncio.Event()

    async def answer(socket: ServerConnection) -> None:
        async for text in socket:
            got.append(json.loads(text))
            if got[-1]["event"] == "start":
                media = {"payload": base64.b64encode(encode_ulaw(LOUD)).decode()}
                await socket.send(json.dumps({"event": "media", "streamSid": "MZ1", "media": media}))
                await socket.send(json.dumps({"event": "mark", "streamSid": "MZ1", "mark": {"name": "a"}}))
                await socket.send(json.dumps({"event": "clear", "streamSid": "MZ1"}))
            if got[-1]["event"] == "mark":
                played.set()

    async with serve(answer, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        line = MediaLine("CA1", "MZ1")
        await ws_connect(lambda: line, f"ws://127.0.0.1:{port}")
        notes = CallNotes("CA1", is_burst=False, started_at=time.monotonic())
        line.give_to(Caller(CallerVoice((b"aGlzcw==",), ((b"c2F5",),)), notes, until=time.monotonic() + 60, seed=1))
        line.begin("AC1", {"token": "t"})
        line.tick(time.monotonic())
        async with asyncio.timeout(5):
            await played.wait()
        await line.hang_up()
    assert [message["event"] for message in got] == ["connected", "start", "media", "mark", "stop"]
    assert got[1]["start"]["customParameters"] == {"token": "t"}
    assert (got[1]["streamSid"], got[1]["start"]["callSid"]) == ("MZ1", "CA1")
    assert got[2]["media"] == {"track": "inbound", "chunk": "1", "timestamp": "20", "payload": "aGlzcw=="}
    assert [message.get("sequenceNumber") for message in got] == [None, "1", "2", "3", "4"]
    assert got[3]["mark"] == {"name": "a"}
    assert len(first_words_ms([notes])) == 1
    assert not notes.problem
    assert line.over.is_set()


async def test_a_stream_that_the_server_closes_is_a_failed_call() -> None:
    async def close(socket: ServerConnection) -> None:
        await socket.close()

    async with serve(close, "127.0.0.1", 0) as server:
        line = MediaLine("CA1", "MZ1")
        notes = CallNotes("CA1", is_burst=False)
        line.give_to(Caller(CallerVoice((b"",), ((b"",),)), notes, until=0.0, seed=1))
        await ws_connect(lambda: line, f"ws://127.0.0.1:{server.sockets[0].getsockname()[1]}")
        async with asyncio.timeout(5):
            await line.closed.wait()
    assert notes.problem == "the server closed the stream"
    assert line.over.is_set()


@asynccontextmanager
async def talking(folder: Path) -> AsyncGenerator[tuple[ClientConnection, dict[str, Any]]]:
    """A conversation with the model that is set up; and the model's report, filled at the end."""
    model = load_model(answer_delay_ms=20.0)
    server = await serve_model(model, folder)
    report: dict[str, Any] = {}
    trust = ssl.create_default_context(cafile=folder / "ca.pem")
    url = f"wss://localhost:{server.sockets[0].getsockname()[1]}{PATH}"
    try:
        async with connect(url, ssl=trust) as socket, asyncio.timeout(10):
            await socket.send(json.dumps({"setup": {"outputAudioTranscription": {}, "inputAudioTranscription": {}}}))
            assert "setupComplete" in json.loads(await socket.recv())
            yield socket, report
    finally:
        server.close()
        report |= model.report()


async def say(socket: ClientConnection, pcm: np.ndarray[Any, np.dtype[np.int16]], frames: int) -> None:
    data = base64.urlsafe_b64encode(pcm.tobytes()).decode()
    audio = {"audio": {"data": data, "mime_type": "audio/pcm;rate=8000"}}
    for _ in range(frames):
        await socket.send(json.dumps({"realtime_input": audio}))


async def content_until(socket: ClientConnection, name: str) -> list[dict[str, Any]]:
    """What serverContent held, until one of them has `name`."""
    found: list[dict[str, Any]] = []
    while not found or name not in found[-1]:
        found.append(json.loads(await socket.recv()).get("serverContent", {}))
    return found


async def test_the_model_greets_is_broken_off_and_answers_what_it_heard(tmp_path: Path) -> None:
    async with talking(tmp_path) as (socket, report):
        turns = [{"role": "user", "parts": [{"text": "Greet the caller."}]}]
        await socket.send(json.dumps({"client_content": {"turns": turns, "turnComplete": True}}))
        greeting = await content_until(socket, "modelTurn")
        sound = base64.b64decode(greeting[-1]["modelTurn"]["parts"][0]["inlineData"]["data"])
        assert is_loud_pcm(sound[: 24_000 // 50 * 2])  # the first frame counts as the first word
        await say(socket, QUIET, 20)  # hiss does not interrupt it
        await say(socket, LOUD, 5)
        await say(socket, LOUD, 1)  # 120 ms of voice do
        broken = await content_until(socket, "interrupted")
        assert not any("generationComplete" in content for content in broken)
        answer = await content_until(socket, "modelTurn")
        assert {"inputTranscription", "outputTranscription"} <= {name for content in answer for name in content}
    assert report["conversations"] == report["answers"] == report["interruptions"] == 1
    assert report["bad_messages"] == 0
    assert report["late_p95_ms"] >= 0


async def test_a_message_that_is_none_is_counted_and_ends_the_conversation(tmp_path: Path) -> None:
    async with talking(tmp_path) as (socket, report):
        await socket.send("{")
        await socket.wait_closed()
        assert socket.close_code == 1007
    assert report["bad_messages"] == 1
