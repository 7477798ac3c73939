"""What the stand-in Gemini knows: told in this connection, in the history of a fresh one, or where a handle stands."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import numpy as np
import pytest
import pytest_asyncio
from google.genai import types

from simulators.clips import caller_samples
from simulators.gemini_live import GeminiEmulator
from simulators.speech import speak
from tests.unit.simulators.sdk_client import Talk, client_of, config, declare, is_turn_complete, talking
from tests.unit.simulators.wire_client import dialled, receive_until, send, speech

SEEDED = {"history_config": types.HistoryConfig(initial_history_in_client_content=True)}
KNOWN = "The code word is pineapple."
UNKNOWN = "You have not told me the code word yet."


@pytest_asyncio.fixture
async def emulator() -> AsyncIterator[GeminiEmulator]:
    async with GeminiEmulator(playback_speed=20.0) as running:
        yield running


def turns(*texts: str) -> list[types.Content]:
    """User and model in turn."""
    roles = ("user", "model")
    return [types.Content(role=roles[i % 2], parts=[types.Part(text=text)]) for i, text in enumerate(texts)]


async def asked(talk: Talk) -> str:
    start = len(talk.messages)
    await talk.play("ask-fact")
    await talk.until(is_turn_complete, start)
    return talk.text(start)


async def test_a_fresh_session_knows_what_its_history_says_and_no_more(emulator: GeminiEmulator) -> None:
    history = ("Hello?", "Hello! How can I help?", "the code word is pineapple", "Thank you. I will remember that.")
    async with talking(client_of(emulator), config(**SEEDED)) as talk:
        await talk.session.send_client_content(turns=turns(*history), turn_complete=True)
        await talk.session.send_realtime_input(text=" ")
        await asyncio.sleep(0.1)
        assert talk.messages == []  # the model spoke last: there is nothing to answer
        assert await asked(talk) == KNOWN
    async with talking(client_of(emulator), config(**SEEDED)) as talk:
        await talk.session.send_client_content(turns=turns(*history[:2]), turn_complete=True)
        assert await asked(talk) == UNKNOWN
    first, second = emulator.conversations
    assert first.history == list(zip(("user", "model", "user", "model"), history, strict=True))
    assert len(second.history) == 2


async def test_a_seeded_session_answers_what_was_left_unanswered_once(emulator: GeminiEmulator) -> None:
    async with talking(
        client_of(emulator), config(**SEEDED, tools=declare("opening_hours", "book_appointment"))
    ) as talk:
        await talk.session.send_client_content(
            turns=turns("Hello?", "Hello!", "I need an appointment"), turn_complete=True
        )
        await talk.session.send_realtime_input(
            text='The connection was interrupted. The caller had said: "And are you open on Sunday?". Answer that now.'
        )
        await talk.until(lambda message: message.tool_call)
    assert emulator.conversations[0].calls[0][1:] == ("opening_hours", {"day": "sunday"})
    assert len(emulator.conversations[0].calls) == 1


async def test_a_handle_stands_for_what_was_known_when_it_was_given(emulator: GeminiEmulator) -> None:
    resumable = config(session_resumption=types.SessionResumptionConfig())
    async with talking(client_of(emulator), resumable) as talk:
        await talk.until(lambda message: message.session_resumption_update)
        before = emulator.conversations[0].last_handle
        await talk.play("tell-fact")
        await talk.until(lambda m: m.session_resumption_update, await talk.until(is_turn_complete))
        after = emulator.conversations[0].last_handle
    for handle, answer in ((before, UNKNOWN), (after, KNOWN), (before, UNKNOWN)):
        resumption = types.SessionResumptionConfig(handle=handle)
        async with talking(client_of(emulator), config(session_resumption=resumption)) as talk:
            assert await asked(talk) == answer
    assert [talk.handle for talk in emulator.conversations] == [None, before, after, before]
    assert [talk.is_resumed for talk in emulator.conversations] == [False, True, True, True]


@pytest.mark.parametrize("way", ["clientContent", "realtimeInput"])
@pytest.mark.parametrize(
    ("instruction", "order", "passage"),
    [
        ("Read aloud what you are given.", 'Read this aloud, word for word: "{}"', "We must end this call now, sorry!"),
        ("Read aloud what you are given.", 'Read this: "{}"', 'Say "one" or "two", please.'),
        ("Read aloud what you are given.", "{}", "Introduce yourself: say hello, or press 5."),
        ("Du liest vor.", 'Say exactly this: "{}"', "Einen Moment bitte, ich sehe für Sie nach."),
        ("You are kind.", 'Say exactly this to the caller, and nothing else: "{}"', "It's ten o'clock, isn't it?"),
    ],
)
async def test_any_sentence_is_read_aloud_once_and_word_for_word(
    emulator: GeminiEmulator, way: str, instruction: str, order: str, passage: str
) -> None:
    async with talking(client_of(emulator), config(system_instruction=instruction)) as talk:
        if way == "clientContent":
            await talk.say(order.format(passage))
        else:
            await talk.session.send_realtime_input(text=order.format(passage))
        done = await talk.until(is_turn_complete)
        await asyncio.sleep(0.1)
        assert not any(message.server_content for message in talk.messages[done:])
        assert talk.text() == passage
        assert talk.audio() == speak(passage)
        assert len(talk.audio()) > 48_000 // 2
    assert emulator.conversations[0].is_reading_aloud == ("aloud" in instruction)


async def test_the_log_of_a_connection() -> None:
    setup: dict[str, Any] = {
        "model": "models/gemini-3.8-live",
        "contextWindowCompression": {"trigger_tokens": 5000, "sliding_window": {"target_tokens": 2000}},
        "sessionResumption": {},
    }
    async with GeminiEmulator(keeps_sound=True, playback_speed=20.0) as emulator:
        async with dialled(emulator) as socket:
            await send(socket, {"setup": setup})
            for message in speech("hello"):
                await send(socket, message)
            await receive_until(socket, "turnComplete")
        talk = emulator.conversations[0]
        await talk.until(lambda talk: talk.closed)
    sound = np.concatenate([caller_samples("hello"), np.zeros(24_000, np.int16)])
    assert np.array_equal(talk.audio.samples(), sound)
    assert talk.audio.total_ms == pytest.approx(len(sound) / 24)
    assert len(talk.audio.times) == len(speech("hello"))
    assert list(talk.audio.times) == sorted(talk.audio.times)
    assert 0 <= talk.audio.longest_gap_secs < 5
    assert talk.compression == {"triggerTokens": 5000, "slidingWindow": {"targetTokens": 2000}}
    assert talk.handle is None
    assert (talk.close_code, talk.is_closed_by_us) == (1000, False)
    assert talk.ready_at is not None
    assert talk.closed_at is not None
    assert talk.opened_at <= talk.ready_at <= talk.closed_at
