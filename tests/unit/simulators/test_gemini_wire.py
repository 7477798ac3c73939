"""The stand-in Gemini on the bare wire: what google-genai never sends, and the frames as they really are."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio
from google.genai import types
from websockets.exceptions import InvalidStatus

from simulators.gemini_live import GeminiEmulator
from tests.unit.simulators.wire_client import PATH, SETUP, close_of, dialled, receive_until, send, speech


@pytest_asyncio.fixture
async def emulator() -> AsyncIterator[GeminiEmulator]:
    async with GeminiEmulator(playback_speed=6.0, require_api_key="right") as running:
        yield running


@pytest.mark.parametrize("path", [PATH, "/" + PATH, PATH.replace("v1beta", "v1alpha"), PATH + "?key=right"])
async def test_every_message_of_a_conversation_is_one_the_sdk_knows(emulator: GeminiEmulator, path: str) -> None:
    async with dialled(emulator, path, key=None if "?" in path else "right") as socket:
        assert socket.protocol.extensions == []  # permessage-deflate was offered and refused
        await send(socket, SETUP)
        messages = await receive_until(socket, "sessionResumptionUpdate")
        for message in speech("ask-opening-hours"):
            await send(socket, message)
        messages += await receive_until(socket, "toolCall")
        (call,) = messages[-1]["toolCall"]["functionCalls"]
        result = {"id": call["id"], "name": call["name"], "response": {"open": "09:00", "close": "17:00"}}
        await send(socket, {"tool_response": {"function_responses": [result]}})
        messages += await receive_until(socket, "outputTranscription")
        for message in speech("stop"):
            await send(socket, message)
        messages += await receive_until(socket, "interrupted")
        messages += await receive_until(socket, "turnComplete")
        messages += await receive_until(socket, "generationComplete")
        messages += await receive_until(socket, "turnComplete")
    seen: set[str] = set()
    for message in messages:
        read = types.LiveServerMessage._from_response(response=message, kwargs={})  # pyright: ignore[reportPrivateUsage]
        known = read.model_dump(by_alias=True, exclude_unset=True)
        assert set(known) == set(message)
        assert set(known.get("serverContent") or {}) == set(message.get("serverContent", {}))
        seen |= set(message) | set(message.get("serverContent", {}))
    assert seen == {
        *("setupComplete", "sessionResumptionUpdate", "serverContent", "toolCall", "usageMetadata"),
        *(
            "inputTranscription",
            "outputTranscription",
            "modelTurn",
            "interrupted",
            "generationComplete",
            "turnComplete",
        ),
    }


async def test_it_is_not_resumable_while_it_speaks(emulator: GeminiEmulator) -> None:
    async with dialled(emulator) as socket:
        await send(socket, SETUP)
        await send(socket, {"realtime_input": {"text": "hello there"}})
        messages = await receive_until(socket, "turnComplete")
        messages += await receive_until(socket, "sessionResumptionUpdate")
    updates = [message["sessionResumptionUpdate"] for message in messages if "sessionResumptionUpdate" in message]
    assert [update["resumable"] for update in updates] == [True, False, True]
    assert updates[0]["newHandle"] != updates[2]["newHandle"]


@pytest.mark.parametrize(
    ("frames", "code", "reason"),
    [
        (["{nonsense"], 1007, "Invalid JSON payload"),
        (["[]"], 1007, "must be an object"),
        ([json.dumps({"realtimeInput": {"text": "hi"}})], 1007, "first message must be setup"),
        ([json.dumps({"setup": {}})], 1007, "setup.model"),
        ([json.dumps(SETUP), json.dumps(SETUP)], 1007, "only the first"),
        ([json.dumps(SETUP), '{"shout": {}}'], 1007, 'Unknown name "shout"'),
        ([json.dumps(SETUP), '{"realtimeInput": {"audio": {"data": "%%%%"}}}'], 1007, "base64"),
        ([json.dumps(SETUP), b"\xff\xfe"], 1007, "Invalid JSON payload"),
        (
            [json.dumps({"setup": {"model": "m", "sessionResumption": {"handle": "old"}}})],
            1008,
            "unknown or has expired",
        ),
    ],
)
async def test_bad_messages_close_with_a_code_and_a_reason(
    emulator: GeminiEmulator, frames: list[str | bytes], code: int, reason: str
) -> None:
    async with dialled(emulator) as socket:
        for frame in frames:
            await socket.send(frame)
        closed = await close_of(socket)
    assert closed[0] == code
    assert reason in closed[1]


@pytest.mark.parametrize(
    ("path", "key", "status"),
    [(PATH, "wrong", 401), (PATH, None, 403), (PATH + "?key=wrong", None, 401), ("/ws/x", "right", 404)],
)
async def test_refusals_come_before_the_handshake(
    emulator: GeminiEmulator, path: str, key: str | None, status: int
) -> None:
    with pytest.raises(InvalidStatus) as caught:
        async with dialled(emulator, path, key):
            pass
    assert caught.value.response.status_code == status
    assert caught.value.response.body is not None
    assert json.loads(caught.value.response.body)["error"]["code"] == status


async def test_a_forgotten_handle_and_a_dropped_connection(emulator: GeminiEmulator) -> None:
    async with dialled(emulator) as socket:
        await send(socket, SETUP)
        handle = (await receive_until(socket, "sessionResumptionUpdate"))[-1]["sessionResumptionUpdate"]["newHandle"]
        conversation = await emulator.next_conversation()
        await conversation.close(1011, "Internal error encountered.")
        assert await close_of(socket) == (1011, "Internal error encountered.")
    emulator.forget_handle(handle)
    async with dialled(emulator) as socket:
        await send(socket, {"setup": {"model": "m", "sessionResumption": {"handle": handle}}})
        assert (await close_of(socket))[0] == 1008


async def test_two_conversations_do_not_mix(emulator: GeminiEmulator) -> None:
    async with dialled(emulator) as first, dialled(emulator) as second:
        for socket, clip_id in ((first, "tell-fact"), (second, "ask-fact")):
            await send(socket, {"setup": {"model": "m", "outputAudioTranscription": {}}})
            for message in speech(clip_id):
                await send(socket, message)
        await receive_until(first, "turnComplete")
        await receive_until(second, "turnComplete")
    said = {tuple(heard.clip for heard in talk.heard): talk.said for talk in emulator.conversations}
    assert said == {
        ("tell-fact",): ["Thank you. I will remember that."],
        ("ask-fact",): ["You have not told me the code word yet."],
    }


async def test_leaving_in_the_middle_of_a_word_leaves_nothing_behind(emulator: GeminiEmulator) -> None:
    async with dialled(emulator) as socket:
        await send(socket, SETUP)
        await send(socket, {"realtimeInput": {"text": "hello there"}})
        await receive_until(socket, "modelTurn")
    conversation = await emulator.next_conversation()
    await conversation.until(lambda talk: talk.closed)
    await asyncio.sleep(0.05)
    assert [task.get_name() for task in asyncio.all_tasks() if task.get_name().startswith("gemini")] == []
