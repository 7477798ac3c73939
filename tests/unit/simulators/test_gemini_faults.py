"""Each fault of the stand-in Gemini, seen at the wire by independent clients: websockets and google-genai."""

from __future__ import annotations

import asyncio
import base64
import itertools
import json
import ssl
import time
from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio
from google.genai import types
from websockets.exceptions import InvalidStatus

from simulators.faults import FAULTS
from simulators.gemini_faults import UNKNOWN_TOOL
from simulators.gemini_live import GeminiEmulator
from simulators.script import ScriptError, parse_script
from simulators.speech import speak
from tests.unit.simulators.sdk_client import called, client_of, config, declare, is_turn_complete, talking
from tests.unit.simulators.wire_client import SETUP, close_of, dialled, receive_until, send, speech

GREETING = "Good morning, Blue Door Dental. How can I help?"
ORDER = {"clientContent": {"turns": [{"role": "user", "parts": [{"text": f'Say "{GREETING}"'}]}], "turnComplete": True}}
READER = {
    "setup": {
        "model": "models/gemini-3.8-live",
        "outputAudioTranscription": {},
        "systemInstruction": {"parts": [{"text": "Read aloud what you are given, word for word."}]},
    }
}


@pytest_asyncio.fixture
async def emulator() -> AsyncIterator[GeminiEmulator]:
    async with GeminiEmulator(playback_speed=20.0, require_api_key="right") as running:
        yield running


def content(messages: list[dict[str, Any]], field: str) -> list[Any]:
    """The values of one field of serverContent."""
    return [message["serverContent"][field] for message in messages if field in message.get("serverContent", {})]


def sound(messages: list[dict[str, Any]]) -> bytes:
    parts = [part for turn in content(messages, "modelTurn") for part in turn["parts"]]
    return b"".join(base64.b64decode(part["inlineData"]["data"]) for part in parts)


async def greeted(emulator: GeminiEmulator, setup: dict[str, Any] = SETUP) -> list[dict[str, Any]]:
    """A whole turn: setup, an order to speak, everything up to turnComplete."""
    async with dialled(emulator) as socket:
        await send(socket, setup)
        await send(socket, ORDER)
        return await receive_until(socket, "turnComplete")


async def greeted_by_sdk(emulator: GeminiEmulator) -> None:
    async with client_of(emulator, "right").aio.live.connect(model="gemini-3.8-live", config=config()) as session:
        turn = types.Content(role="user", parts=[types.Part(text=f'Say "{GREETING}"')])
        await session.send_client_content(turns=turn, turn_complete=True)
        async for _ in session.receive():
            pass


async def test_a_closed_port_refuses_and_opens_again(emulator: GeminiEmulator) -> None:
    async with dialled(emulator) as socket:
        await send(socket, SETUP)
        await receive_until(socket, "setupComplete")
        emulator.arm("connection-refused", times=None)
        for _ in range(2):
            with pytest.raises(ConnectionRefusedError):
                async with dialled(emulator):
                    pass
        await send(socket, ORDER)  # who is connected stays so
        await receive_until(socket, "turnComplete")
        emulator.disarm()
        assert sound(await greeted(emulator)) == speak(GREETING)
    emulator.arm("connection-refused", secs=0.1)
    with pytest.raises(ConnectionRefusedError):
        async with dialled(emulator):
            pass
    await asyncio.sleep(0.15)
    emulator.arm("connection-refused", times=None)
    emulator.disarm("connection-refused")
    emulator.arm("connection-refused", times=None)  # before the port is served again: the last word counts
    await asyncio.sleep(0.01)
    with pytest.raises(ConnectionRefusedError):
        async with dialled(emulator):
            pass
    emulator.disarm("connection-refused")
    assert sound(await greeted(emulator)) == speak(GREETING)


async def test_a_certificate_of_nobody(emulator: GeminiEmulator) -> None:
    emulator.arm("tls-error", times=2)
    for _ in range(2):
        with pytest.raises(ssl.SSLCertVerificationError):
            async with dialled(emulator):
                pass
    assert sound(await greeted(emulator)) == speak(GREETING)


@pytest.mark.parametrize(
    ("status", "name"),
    [(401, "UNAUTHENTICATED"), (403, "PERMISSION_DENIED"), (429, "RESOURCE_EXHAUSTED"), (503, "UNAVAILABLE")],
)
async def test_a_handshake_refused_as_google_does(emulator: GeminiEmulator, status: int, name: str) -> None:
    emulator.arm(f"http-{status}", skip=1)
    await greeted(emulator)
    with pytest.raises(InvalidStatus) as caught:
        async with dialled(emulator):
            pass
    assert caught.value.response.status_code == status
    assert caught.value.response.body is not None
    error = json.loads(caught.value.response.body)["error"]
    assert (error["code"], error["status"], bool(error["message"])) == (status, name, True)
    await greeted(emulator)
    assert [strike.name for strike in emulator.faults.hits] == [f"http-{status}"]


async def test_a_setup_that_is_never_answered_or_late(emulator: GeminiEmulator) -> None:
    emulator.arm("no-setup-complete")
    async with dialled(emulator) as socket:
        await send(socket, SETUP)
        await send(socket, ORDER)
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(socket.recv(), 0.4)
    emulator.arm("delayed-setup", secs=0.3)
    began = time.monotonic()
    async with dialled(emulator) as socket:
        await send(socket, SETUP)
        await receive_until(socket, "setupComplete")
    assert 0.3 <= time.monotonic() - began < 1.0
    first, second = emulator.conversations
    assert first.said == [GREETING] or first.said == []
    assert second.ready_at is not None
    assert second.ready_at - second.opened_at >= 0.3


@pytest.mark.parametrize("code", [1000, 1007, 1008, 1011])
async def test_a_close_in_the_middle_of_a_reply(emulator: GeminiEmulator, code: int) -> None:
    emulator.arm(f"close-{code}-mid-turn", skip=1)
    async with dialled(emulator) as socket:
        await send(socket, SETUP)
        await send(socket, ORDER)
        await receive_until(socket, "turnComplete")
        await send(socket, ORDER)
        half = b""
        while len(half) < len(speak(GREETING)) * 0.4:
            half += sound([json.loads(await socket.recv())])
        closed = await close_of(socket)
    assert closed[0] == code
    assert closed[1]
    talk = emulator.conversations[0]
    await talk.until(lambda talk: talk.closed)
    assert (talk.close_code, talk.is_closed_by_us) == (code, True)
    assert sound(await greeted(emulator)) == speak(GREETING)


async def test_half_of_the_audio_comes_before_the_close(emulator: GeminiEmulator) -> None:
    emulator.arm("close-1011-mid-turn")
    async with talking(client_of(emulator, "right"), config()) as talk:
        await talk.say(f'Say "{GREETING}"')
        await emulator.conversations[0].until(lambda talk: talk.closed)
        await asyncio.sleep(0.05)
        assert len(talk.audio()) == pytest.approx(len(speak(GREETING)) / 2, abs=2 * 1920)


async def test_go_away_and_the_connection_limit(emulator: GeminiEmulator) -> None:
    emulator.arm("goaway", time_left_secs=0.3)
    async with dialled(emulator) as socket:
        await send(socket, SETUP)
        await send(socket, ORDER)
        messages = await receive_until(socket, "goAway")
        began = time.monotonic()
        assert messages[-1] == {"goAway": {"timeLeft": "0.3s"}}
        assert (await close_of(socket))[0] == 1011
        assert time.monotonic() - began >= 0.25
    emulator.arm("connection-limit", times=None, limit_secs=0.4, notice_secs=0.2)
    for _ in range(2):
        began = time.monotonic()
        async with dialled(emulator) as socket:
            await send(socket, SETUP)
            assert (await receive_until(socket, "goAway"))[-1] == {"goAway": {"timeLeft": "0.2s"}}
            assert time.monotonic() - began >= 0.2
            assert (await close_of(socket))[0] == 1011
            assert time.monotonic() - began >= 0.4


@pytest.mark.parametrize("code", [1007, 1008])
async def test_a_refused_handle_is_dead_and_a_fresh_session_is_served(emulator: GeminiEmulator, code: int) -> None:
    async with dialled(emulator) as socket:
        await send(socket, SETUP)
        update = (await receive_until(socket, "sessionResumptionUpdate"))[-1]["sessionResumptionUpdate"]
    resuming = {"setup": {"model": "m", "sessionResumption": {"handle": update["newHandle"]}}}
    emulator.arm("resume-refused", code=code)
    await greeted(emulator)  # presents no handle: no occasion
    async with dialled(emulator) as socket:
        await send(socket, resuming)
        assert (await close_of(socket))[0] == code
    async with dialled(emulator) as socket:
        await send(socket, resuming)
        assert (await close_of(socket))[0] == 1008
    await greeted(emulator)


async def test_silence_lasts_for_the_connection_and_ends_with_it(emulator: GeminiEmulator) -> None:
    emulator.arm("silence-after-turn", skip=1)
    async with dialled(emulator) as socket:
        await send(socket, SETUP)
        await send(socket, ORDER)
        await receive_until(socket, "sessionResumptionUpdate")
        await receive_until(socket, "turnComplete")
        await receive_until(socket, "sessionResumptionUpdate")
        for message in speech("hello"):
            await send(socket, message)
        await emulator.conversations[0].until(lambda talk: len(talk.heard) == 1)
        await send(socket, ORDER)  # a nudge does not help
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(socket.recv(), 0.4)
        assert emulator.conversations[0].said == [GREETING]
        await greeted(emulator)


async def test_a_half_open_connection_answers_not_even_a_close(emulator: GeminiEmulator) -> None:
    emulator.arm("half-open")
    async with dialled(emulator) as socket:
        await send(socket, SETUP)
        await receive_until(socket, "sessionResumptionUpdate")
        await send(socket, ORDER)
        await asyncio.sleep(0.1)
        for message in speech("hello"):
            await send(socket, message)
        pong = await socket.ping()
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(asyncio.shield(pong), 0.4)
        assert emulator.conversations[0].heard == []
        socket.close_timeout = 0.2
        began = time.monotonic()
        await socket.close()
        assert time.monotonic() - began >= 0.2
        pong.cancel()
    # It ends with the client's TCP connection and leaves nothing behind.
    await emulator.conversations[0].until(lambda talk: talk.closed)
    await greeted(emulator)


@pytest.mark.parametrize("nudge", [" ", "The caller waits for an answer. Answer now."])
async def test_an_empty_turn_is_answered_after_a_nudge(emulator: GeminiEmulator, nudge: str) -> None:
    emulator.arm("empty-turn")
    async with dialled(emulator) as socket:
        await send(socket, SETUP)
        for message in speech("hello"):
            await send(socket, message)
        messages = await receive_until(socket, "turnComplete")
        assert content(messages, "generationComplete") == [True]
        assert sound(messages) == b""
        await send(socket, {"realtimeInput": {"text": " "}})
        messages = await receive_until(socket, "turnComplete")
        assert (
            "".join(piece["text"] for piece in content(messages, "outputTranscription")).strip()
            == "Hello! How can I help?"
        )


async def test_slow_audio_takes_twice_as_long_as_it_plays() -> None:
    async with GeminiEmulator(playback_speed=4.0, require_api_key="right") as emulator:
        emulator.arm("slow-audio")
        arrivals: list[float] = []
        async with dialled(emulator) as socket:
            await send(socket, SETUP)
            await send(socket, ORDER)
            while not content([message := json.loads(await socket.recv())], "turnComplete"):
                if content([message], "modelTurn"):
                    arrivals.append(time.monotonic())
        length_secs = len(speak(GREETING)) / 48_000
        assert arrivals[-1] - arrivals[0] == pytest.approx(length_secs * 2 / 4, rel=0.25)
        gaps = sorted(later - earlier for earlier, later in itertools.pairwise(arrivals))
        assert gaps[len(gaps) // 2] == pytest.approx(0.04 * 2 / 4, abs=0.008)


async def test_a_frame_that_is_no_json(emulator: GeminiEmulator) -> None:
    emulator.arm("invalid-json")
    broken = 0
    async with dialled(emulator) as socket:
        await send(socket, SETUP)
        await send(socket, ORDER)
        heard = b""
        while True:
            frame = await socket.recv()
            try:
                message = json.loads(frame)
            except ValueError:
                broken += 1
                assert 0.3 < len(heard) / len(speak(GREETING)) < 0.7
                continue
            heard += sound([message])
            if content([message], "turnComplete"):
                break
    assert broken == 1
    assert heard == speak(GREETING)
    emulator.arm("invalid-json")
    with pytest.raises(ValueError, match="Failed to parse"):
        await greeted_by_sdk(emulator)


async def test_unknown_fields_are_in_every_message_and_known_ones_still_there(emulator: GeminiEmulator) -> None:
    emulator.arm("unknown-fields", times=2)
    messages = await greeted(emulator)
    assert all("shinyNewField" in message for message in messages)
    assert sound(messages) == speak(GREETING)
    async with talking(client_of(emulator, "right"), config()) as talk:
        await talk.say(f'Say "{GREETING}"')
        await talk.until(is_turn_complete)
        assert talk.text() == GREETING
        assert talk.audio() == speak(GREETING)


async def test_a_running_conversation_is_hit_too(emulator: GeminiEmulator) -> None:
    async with dialled(emulator) as socket:
        await send(socket, SETUP)
        await send(socket, ORDER)
        assert "usageMetadata" in (await receive_until(socket, "turnComplete"))[-1]
        emulator.arm("usage-missing")
        for _ in range(2):
            await send(socket, ORDER)
            assert "usageMetadata" not in (await receive_until(socket, "turnComplete"))[-1]
    assert "usageMetadata" in (await greeted(emulator))[-1]


async def test_empty_audio_and_an_empty_turn(emulator: GeminiEmulator) -> None:
    emulator.arm("empty-audio")
    async with dialled(emulator) as socket:
        await send(socket, SETUP)
        await send(socket, ORDER)
        messages = await receive_until(socket, "turnComplete")
        assert sound(messages) == b""
        messages = await receive_until(socket, "turnComplete")
    assert sound(messages) == speak(GREETING)
    parts = [turn["parts"][0]["inlineData"]["data"] for turn in content(messages, "modelTurn")]
    assert parts.count("") > 10


async def test_a_truncated_last_chunk(emulator: GeminiEmulator) -> None:
    emulator.arm("truncated-chunk")
    heard = sound(await greeted(emulator))
    assert len(heard) % 2 == 1
    assert speak(GREETING).startswith(heard)
    assert len(speak(GREETING)) - len(heard) < 1920


async def test_turn_complete_twice_and_a_storm_of_interruptions(emulator: GeminiEmulator) -> None:
    emulator.arm("duplicate-turn-complete")
    emulator.arm("interrupted-storm")
    async with dialled(emulator) as socket:
        await send(socket, SETUP)
        await send(socket, ORDER)
        messages = await receive_until(socket, "turnComplete")
        assert content([json.loads(await socket.recv())], "turnComplete") == [True]
    assert content(messages, "interrupted") == [True] * 12
    assert sound(messages) == speak(GREETING)
    assert emulator.conversations[0].interruptions == []


async def test_a_tool_call_is_cancelled_and_the_conversation_goes_on(emulator: GeminiEmulator) -> None:
    emulator.arm("tool-call-cancelled")
    setup = config(tools=declare("opening_hours", "book_appointment"))
    async with talking(client_of(emulator, "right"), setup) as talk:
        await talk.play("ask-opening-hours")
        call = called(talk.messages[await talk.until(called) - 1])
        assert call is not None
        cancelled = await talk.until(lambda message: message.tool_call_cancellation)
        cancellation = talk.messages[cancelled - 1].tool_call_cancellation
        assert cancellation is not None
        assert cancellation.ids == [call.id]
        await talk.answer(call, {"open": "09:00", "close": "17:00"})
        done = await talk.until(is_turn_complete)
        assert talk.text() == "I am sorry, something went wrong on my side. Could you say that again?"
        await talk.play("ask-opening-hours")
        call = called(talk.messages[await talk.until(called, done) - 1])
        assert call is not None
        await talk.answer(call, {"open": "09:00", "close": "17:00"})
        await talk.until(is_turn_complete, done)
        assert "On Monday we are open from nine to five." in talk.text(done)
    results = emulator.conversations[0].tool_results
    assert [result.is_expected for result in results] == [False, True]
    assert [result.call_id for result in results] == [call_id for call_id, _, _ in emulator.conversations[0].calls]


async def test_a_tool_that_was_never_declared(emulator: GeminiEmulator) -> None:
    emulator.arm("unknown-tool")
    async with talking(client_of(emulator, "right"), config()) as talk:
        await talk.play("hello")
        call = called(talk.messages[await talk.until(called) - 1])
        assert call is not None
        assert call.name == UNKNOWN_TOOL
        await talk.answer(call, {"error": "There is no such tool."})
        await talk.until(is_turn_complete)
        assert talk.text() == "Hello! How can I help?"


async def test_who_only_reads_aloud_is_spared_the_faults_of_a_turn(emulator: GeminiEmulator) -> None:
    of_turns = [f.name for f in FAULTS.values() if f.occasion in ("turn", "reply", "call", "conversation")]
    for name in of_turns:
        emulator.arm(name)
    messages = await greeted(emulator, READER)
    assert sound(messages) == speak(GREETING)
    assert emulator.faults.hits == []
    assert sorted(emulator.faults.armed) == sorted(of_turns)
    emulator.disarm()
    emulator.arm("connection-limit", limit_secs=0.2, notice_secs=0.1)
    async with dialled(emulator) as socket:
        await send(socket, READER)
        await receive_until(socket, "goAway")
    assert emulator.talks == []
    assert [talk.is_reading_aloud for talk in emulator.conversations] == [True, True]


async def test_a_script_may_say_when_something_goes_wrong() -> None:
    script = """
name: accident
rules:
  - hear: hello
    once: true
    fault: close-1011-mid-turn
    say: Hello! How can I help?
  - hear: hello
    say: Hello! How can I help?
otherwise: Pardon?
"""
    async with GeminiEmulator(scripts=[parse_script(script)], playback_speed=20.0) as emulator:
        async with talking(client_of(emulator), config()) as talk:
            await talk.play("hello")
            await emulator.conversations[0].until(lambda talk: talk.closed)
            assert emulator.conversations[0].close_code == 1011
            await asyncio.sleep(0.1)
            assert 0 < len(talk.audio()) < len(speak("Hello! How can I help?"))
    with pytest.raises(ScriptError, match="no fault of gemini is called 'fire'"):
        parse_script(script.replace("close-1011-mid-turn", "fire"))


async def test_a_message_of_a_kind_that_the_sdk_does_not_know(emulator: GeminiEmulator) -> None:
    emulator.arm("unknown-message", times=2)
    messages = await greeted(emulator)
    assert sum("moodUpdate" in message for message in messages) == 1
    assert sound(messages) == speak(GREETING)
    # google-genai 2.34 takes any message without a known field for an error, and fails to read its code.
    with pytest.raises(TypeError, match="NoneType"):
        await greeted_by_sdk(emulator)


async def test_all_conversations_may_be_dropped_at_once(emulator: GeminiEmulator) -> None:
    async with dialled(emulator) as first, dialled(emulator) as second:
        for socket in (first, second):
            await send(socket, SETUP)
            await receive_until(socket, "setupComplete")
        await emulator.drop(1008, "Out of patience.")
        assert await close_of(first) == await close_of(second) == (1008, "Out of patience.")
    for talk in list(emulator.conversations):
        await talk.until(lambda talk: talk.closed)
    emulator.forget_ended()
    assert emulator.conversations == []


@pytest.mark.parametrize(
    ("name", "options", "problem"),
    [
        ("fire", {}, "no fault of gemini is called 'fire'; there are close-1000-mid-turn, "),
        ("jitter-30", {}, "no fault of gemini is called 'jitter-30'"),
        ("goaway", {"seconds": 3}, "fault 'goaway' has no setting 'seconds'; it has \\['time_left_secs'\\]"),
        ("http-503", {"times": 0}, "times must be at least 1"),
        ("connection-refused", {"skip": 1}, "hits at once"),
    ],
)
def test_arming_nonsense_says_what_is_wrong(name: str, options: dict[str, Any], problem: str) -> None:
    with pytest.raises(ValueError, match=problem):
        GeminiEmulator().arm(name, **options)


async def test_a_fault_from_the_beginning() -> None:
    async with GeminiEmulator(playback_speed=20.0, fault="http-503") as emulator:
        with pytest.raises(InvalidStatus):
            async with dialled(emulator):
                pass
        assert sound(await greeted(emulator)) == speak(GREETING)
