"""The stand-in Gemini, held a conversation with by the unmodified google-genai SDK."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest
import pytest_asyncio
from google import genai
from google.genai import errors, types

from simulators.clips import CLIP_RATE_HZ, caller_samples
from simulators.gemini_live import GeminiEmulator
from simulators.speech import speak
from tests.unit.simulators.sdk_client import (
    called,
    client_of,
    config,
    declare,
    is_interrupted,
    is_turn_complete,
    talking,
)

GREETING = 'Say exactly this to the caller: "Good morning, Blue Door Dental. How can I help?"'
LONG = (
    'Say "We have one minute left. All our lines are busy. Please call again in a few minutes. Our office is closed at'
    ' the moment. Please call again tomorrow. I am sorry, something went wrong on my side. Could you say that again?"'
)
DESK = ("opening_hours", "book_appointment", "cancel_appointment", "end_call")


@pytest_asyncio.fixture
async def emulator() -> AsyncIterator[GeminiEmulator]:
    async with GeminiEmulator(playback_speed=10.0) as running:
        yield running


async def test_a_greeting_a_question_and_a_tool(emulator: GeminiEmulator) -> None:
    async with talking(client_of(emulator), config(tools=declare(*DESK))) as talk:
        await talk.say(GREETING)
        heard_up_to = await talk.until(is_turn_complete)
        assert talk.text() == "Good morning, Blue Door Dental. How can I help?"
        assert talk.audio() == speak(talk.text())
        usage = talk.messages[heard_up_to - 1].usage_metadata
        assert usage is not None
        assert usage.response_tokens_details is not None
        assert usage.response_tokens_details[0].modality == types.MediaModality.AUDIO

        await talk.play("ask-opening-hours")
        index = await talk.until(called, heard_up_to)
        call = called(talk.messages[index - 1])
        assert call is not None
        assert (call.name, call.args) == ("opening_hours", {"day": "monday"})
        await asyncio.sleep(0.05)
        assert talk.audio(heard_up_to) == b""  # a BLOCKING call: nothing until the result
        await talk.answer(call, {"open": "09:00", "close": "17:00"})
        await talk.until(is_turn_complete, index)
        assert talk.caller_text() == "Hi, what are your opening hours on Monday?"
        assert talk.text(index).startswith("On Monday we are open from nine to five.")
    conversation = emulator.conversations[0]
    assert conversation.script == "receptionist"
    assert [heard.clip for heard in conversation.heard] == ["ask-opening-hours"]
    assert [result.response for result in conversation.tool_results] == [{"open": "09:00", "close": "17:00"}]
    await conversation.until(lambda conversation: conversation.closed)


async def test_clips_out_of_order_and_an_unknown_one(emulator: GeminiEmulator) -> None:
    """The emulator answers what it hears, never the next line of its script."""
    clips = ["name-alex", "unknown-remark", "wait-book", "hello"]
    async with talking(client_of(emulator), config(tools=declare(*DESK))) as talk:
        start = 0
        for clip_id in clips:
            await talk.play(clip_id, rate_hz=16_000)
            start = await talk.until(is_turn_complete, start)
    conversation = emulator.conversations[0]
    assert [heard.clip for heard in conversation.heard] == ["name-alex", None, "wait-book", "hello"]
    length_secs = len(caller_samples("unknown-remark")) / CLIP_RATE_HZ
    remark = conversation.heard[1].text
    assert remark.startswith("[speech ")
    assert float(remark.split()[1]) == pytest.approx(length_secs, abs=0.3)
    assert remark in talk.caller_text()
    assert conversation.said == [
        "Thank you, Alex. How can I help?",
        "I am sorry, I did not catch that. Could you say it again?",
        "Of course. Which day and time would suit you?",
        "Hello! How can I help?",
    ]


async def test_speech_over_a_reply_interrupts_it(emulator: GeminiEmulator) -> None:
    async with talking(client_of(emulator), config()) as talk:
        await talk.say(LONG)
        await talk.until(lambda message: message.data)
        await talk.play("stop")
        cut = await talk.until(is_interrupted)
        complete = await talk.until(is_turn_complete)
        assert complete == cut + 1
        before = [message.server_content for message in talk.messages[:cut] if message.server_content]
        assert not any(content.generation_complete for content in before)
        await talk.until(is_turn_complete, complete)
        assert talk.text(complete) == "Sure. I am listening."
    assert len(emulator.conversations[0].interruptions) == 1


async def test_speech_during_a_blocking_call_cancels_it(emulator: GeminiEmulator) -> None:
    async with talking(client_of(emulator), config(tools=declare(*DESK))) as talk:
        await talk.play("ask-opening-hours")
        call = called(talk.messages[await talk.until(called) - 1])
        assert call is not None
        await talk.play("hello")
        index = await talk.until(lambda message: message.tool_call_cancellation)
        cancellation = talk.messages[index - 1].tool_call_cancellation
        assert cancellation is not None
        assert cancellation.ids == [call.id]
        await talk.answer(call, {"open": "09:00", "close": "17:00"})  # too late: not spoken
        await talk.until(is_turn_complete, await talk.until(is_turn_complete, index))
        assert talk.text() == "Hello! How can I help?"
    assert [result.is_expected for result in emulator.conversations[0].tool_results] == [False]


@pytest.mark.parametrize(
    ("scheduling", "is_cut", "is_spoken"),
    [
        (types.FunctionResponseScheduling.WHEN_IDLE, False, True),
        (types.FunctionResponseScheduling.INTERRUPT, True, True),
        (types.FunctionResponseScheduling.SILENT, False, False),
    ],
)
async def test_a_non_blocking_call_lets_the_conversation_go_on(
    emulator: GeminiEmulator, scheduling: types.FunctionResponseScheduling, is_cut: bool, is_spoken: bool
) -> None:
    tools = declare(*DESK, behavior=types.Behavior.NON_BLOCKING)
    async with talking(client_of(emulator), config(tools=tools)) as talk:
        await talk.play("ask-opening-hours")
        call = called(talk.messages[await talk.until(called) - 1])
        assert call is not None
        start = await talk.until(is_turn_complete)  # before the result
        await talk.say(LONG)
        await talk.until(lambda message: message.data, start)
        await talk.answer(call, {"closed": True}, scheduling=scheduling)
        start = await talk.until(is_turn_complete, start)
        assert ("Could you say that again?" in talk.text()) != is_cut
        if is_spoken:
            await talk.until(is_turn_complete, start)
        assert ("on Monday we are closed." in talk.text()) == is_spoken
        assert any(is_interrupted(message) for message in talk.messages) == is_cut


async def test_a_resumed_session_goes_on_where_it_was(emulator: GeminiEmulator) -> None:
    client = client_of(emulator, version="v1alpha")
    async with talking(client, config(session_resumption=types.SessionResumptionConfig())) as talk:
        await talk.play("tell-fact")
        done = await talk.until(is_turn_complete)
        index = await talk.until(lambda message: message.session_resumption_update, done)
        updates = [m.session_resumption_update for m in talk.messages if m.session_resumption_update]
        assert [update.resumable for update in updates][-2:] == [None, True] or updates[-2].resumable is False
        update = talk.messages[index - 1].session_resumption_update
        assert update is not None
        handle = update.new_handle
        leaving = asyncio.create_task(emulator.conversations[0].go_away(0.05))
        away = await talk.until(lambda message: message.go_away)
        go_away = talk.messages[away - 1].go_away
        assert go_away is not None
        assert go_away.time_left == "0.05s"
        await leaving
    resumption = types.SessionResumptionConfig(handle=handle)
    async with talking(client, config(session_resumption=resumption)) as talk:
        await talk.play("ask-fact")
        await talk.until(is_turn_complete)
        assert talk.text() == "The code word is pineapple."
    assert [conversation.is_resumed for conversation in emulator.conversations] == [False, True]


async def test_an_open_call_survives_a_lost_connection(emulator: GeminiEmulator) -> None:
    client = client_of(emulator)
    setup = config(tools=declare(*DESK), session_resumption=types.SessionResumptionConfig())
    async with talking(client, setup) as talk:
        await talk.play("ask-opening-hours")
        call = called(talk.messages[await talk.until(called) - 1])
        assert call is not None
        await emulator.conversations[0].close()
    handle = emulator.conversations[0].last_handle
    setup = config(tools=declare(*DESK), session_resumption=types.SessionResumptionConfig(handle=handle))
    async with talking(client, setup) as talk:
        await talk.answer(call, {"closed": True})
        await talk.until(is_turn_complete)
        assert talk.text() == "I am sorry, on Monday we are closed."


async def test_an_unknown_handle_is_refused(emulator: GeminiEmulator) -> None:
    resumption = types.SessionResumptionConfig(handle="handle-of-yesterday")
    with pytest.raises(errors.APIError) as caught:
        async with talking(client_of(emulator), config(session_resumption=resumption)):
            pass
    assert caught.value.code == 1008
    assert "handle is unknown" in str(caught.value)


async def test_history_and_its_nudge_make_one_reply(emulator: GeminiEmulator) -> None:
    setup = config(history_config=types.HistoryConfig(initial_history_in_client_content=True))
    async with talking(client_of(emulator), setup) as talk:
        await talk.say(GREETING)
        await asyncio.sleep(0.05)
        assert talk.messages == []  # history alone makes the model say nothing
        await talk.session.send_realtime_input(text=" ")
        await talk.session.send_realtime_input(text=" ")
        start = await talk.until(is_turn_complete)
        await talk.session.send_realtime_input(text=" ")
        await talk.session.send_realtime_input(text="The caller pressed the key 5.")
        await talk.until(is_turn_complete, start)
        assert talk.text(start) == "You pressed five."
    assert len(emulator.conversations[0].said) == 2


async def test_the_client_may_mark_activity_itself(emulator: GeminiEmulator) -> None:
    detection = types.AutomaticActivityDetection(disabled=True)
    setup = config(realtime_input_config=types.RealtimeInputConfig(automatic_activity_detection=detection))
    async with talking(client_of(emulator), setup) as talk:
        await talk.play("goodbye")  # unmarked: not heard
        await talk.session.send_realtime_input(activity_start=types.ActivityStart())
        await talk.play("tell-fact")
        await talk.session.send_realtime_input(activity_end=types.ActivityEnd())
        await talk.until(is_turn_complete)
        assert talk.text() == "Thank you. I will remember that."
    assert [heard.clip for heard in emulator.conversations[0].heard] == ["tell-fact"]


async def test_no_interruptions_when_the_client_wants_none(emulator: GeminiEmulator) -> None:
    handling = types.RealtimeInputConfig(activity_handling=types.ActivityHandling.NO_INTERRUPTION)
    async with talking(client_of(emulator), config(realtime_input_config=handling)) as talk:
        await talk.say(GREETING)
        await talk.until(lambda message: message.data)
        await talk.play("hello")
        start = await talk.until(is_turn_complete)
        await talk.until(is_turn_complete, start)
        assert not any(is_interrupted(message) for message in talk.messages)
        assert talk.text(start) == "Hello! How can I help?"


@pytest.mark.parametrize(("key", "status"), [("wrong", 401), ("right", None)])
async def test_a_wrong_key_is_refused_before_the_handshake(key: str, status: int | None) -> None:
    async with GeminiEmulator(require_api_key="right", playback_speed=6.0) as emulator:
        client = client_of(emulator, key)
        if status is None:
            async with talking(client, config()) as talk:
                await talk.say(GREETING)
                await talk.until(is_turn_complete)
            return
        with pytest.raises(Exception, match=str(status)):
            async with talking(client, config()):
                pass
        assert emulator.conversations == []


async def test_by_hand_it_serves_until_told_and_is_trusted_by_ssl_cert_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`python -m simulators.gemini_live`, and an SDK that knows of it by environment variables alone."""
    emulator = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "simulators.gemini_live", "--port", "0", "--ca-dir", str(tmp_path)),
        "--until-stdin-ends",
        cwd=Path(__file__).parents[3],
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
    )
    assert emulator.stdin is not None
    assert emulator.stdout is not None
    ready = json.loads(await emulator.stdout.readline())
    assert ready["ca_file"] == str(tmp_path / "ca.pem")
    async with httpx.AsyncClient(trust_env=False) as http:
        fault = ready["control_url"] + "/fault"
        assert (await http.post(fault, json={"name": "http-503"})).json()["armed"] == ["http-503"]
        assert (await http.post(fault, json={"name": "connection-refused", "times": None})).status_code == 200
        with pytest.raises(httpx.ConnectError):
            await http.get(ready["base_url"])
        assert (await http.request("DELETE", fault, json={"name": "connection-refused"})).status_code == 200
        with pytest.raises(httpx.ConnectError, match="CERTIFICATE"):
            await http.get(ready["base_url"])
        assert (await http.delete(fault)).json() == {"armed": [], "hits": ["connection-refused"]}
    monkeypatch.setenv("GOOGLE_API_KEY", "any")
    monkeypatch.setenv("GOOGLE_GEMINI_BASE_URL", ready["base_url"])
    monkeypatch.setenv("SSL_CERT_FILE", ready["ca_file"])
    async with talking(genai.Client(), config()) as talk:
        await talk.session.send_realtime_input(text=GREETING)
        await talk.until(lambda message: message.data)
    # As when the process that has started it was killed. What SIGTERM does is tested where the server stops its own.
    emulator.stdin.close()
    assert await asyncio.wait_for(emulator.wait(), 10) == 0
