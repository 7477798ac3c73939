"""Voicemail on the call: what is said, when a message is over, and what the events say of it."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import numpy as np
import pytest

from config.on_failure import MessageLimits
from pipelines.message_taker import take_message, tone
from pipelines.sentences import SentenceKind
from tests.unit.pipelines.conftest import QuietCall
from tests.unit.pipelines.quiet_voice import QuietVoice

LIMITS = MessageLimits(max_secs=20, silence_secs=3)
_FASTER = 20.0


@pytest.fixture
def call(make_call: Callable[..., QuietCall]) -> QuietCall:
    made = make_call()
    made.scribe.is_recorded = True
    return made


@asynccontextmanager
async def taking(call: QuietCall, voice: QuietVoice) -> AsyncIterator[asyncio.Task[bool]]:
    """Take a message while time passes, faster than it does elsewhere."""
    began = time.monotonic()

    async def pass_time() -> None:
        spent = 0.0
        while True:
            await asyncio.sleep(0.005)
            now = (time.monotonic() - began) * _FASTER
            call.now_secs, spent = call.now_secs + now - spent, now
            call.scribe.tick()

    passing = asyncio.create_task(pass_time(), name="time passes")
    task = asyncio.create_task(take_message(voice, call.scribe, LIMITS), name="message")  # pyright: ignore
    try:
        async with asyncio.timeout(10):
            yield task
    finally:
        passing.cancel()
        await asyncio.wait({passing})


async def began(call: QuietCall) -> None:
    while not call.kinds("message.began"):  # noqa: ASYNC110 - a log has no event to wait for
        await asyncio.sleep(0.005)


async def speak(call: QuietCall, secs: float) -> None:
    call.scribe.caller_started(call.now_ms)
    await asyncio.sleep(secs / _FASTER)
    call.scribe.caller_stopped(call.now_ms)


def test_the_tone_is_a_soft_edged_kilohertz() -> None:
    sound = np.frombuffer(tone().pcm, dtype="<i2").astype(np.float64)
    assert tone().rate_hz == 24_000
    assert len(sound) == 9600
    spectrum = np.abs(np.fft.rfft(sound))
    assert np.argmax(spectrum) * 24_000 / len(sound) == pytest.approx(1000, abs=3)
    assert np.abs(sound).max() == pytest.approx(8000, rel=0.01)
    assert np.abs(sound[:24]).max() < 1000 > np.abs(sound[-24:]).max()


async def test_a_message_ends_with_silence(call: QuietCall) -> None:
    voice = QuietVoice(call)
    async with taking(call, voice) as task:
        await began(call)
        await speak(call, 4)
        await asyncio.sleep(1 / _FASTER)
        await speak(call, 2)
        assert await task
    assert [kind for kind, _ in voice.said] == [SentenceKind.TAKE_MESSAGE, SentenceKind.MESSAGE_THANKS]
    assert [spoken.text for spoken in voice.played] == [""]
    [taken] = call.kinds("message.taken")
    [start] = call.kinds("message.began")
    assert taken.data["start_ms"] == pytest.approx(start.at_ms, abs=500)
    # Seven seconds of message and three of silence.
    assert 10_000 <= taken.data["end_ms"] - taken.data["start_ms"] < 13_500


async def test_a_message_ends_with_a_key(call: QuietCall) -> None:
    async with taking(call, QuietVoice(call)) as task:
        await began(call)
        await speak(call, 2)
        call.line.digit("#")
        assert await task
    [taken] = call.kinds("message.taken")
    assert taken.data["end_ms"] - taken.data["start_ms"] < 6000


async def test_a_key_that_was_pressed_before_the_tone_ends_nothing(call: QuietCall) -> None:
    call.line.digit("5")
    async with taking(call, QuietVoice(call)) as task:
        await began(call)
        await speak(call, 4)
        assert await task
    assert call.kinds("message.taken")


async def test_who_talks_on_and_on_is_thanked_at_the_limit(call: QuietCall) -> None:
    voice = QuietVoice(call)
    async with taking(call, voice) as task:
        await began(call)
        call.scribe.caller_started(call.now_ms)
        assert await task
    [taken] = call.kinds("message.taken")
    assert 20_000 <= taken.data["end_ms"] - taken.data["start_ms"] < 24_000
    assert voice.said[-1] == (SentenceKind.MESSAGE_THANKS, None)


async def test_who_began_over_the_tone_has_left_a_message(call: QuietCall) -> None:
    call.scribe.caller_started(call.now_ms)
    async with taking(call, QuietVoice(call)) as task:
        await began(call)
        await asyncio.sleep(2 / _FASTER)
        call.scribe.caller_stopped(call.now_ms)
        assert await task
    assert call.kinds("message.taken")


@pytest.mark.parametrize("presses", [False, True])
async def test_neither_silence_nor_a_key_is_a_message(call: QuietCall, presses: bool) -> None:
    voice = QuietVoice(call)
    async with taking(call, voice) as task:
        await began(call)
        if presses:
            await asyncio.sleep(0.5 / _FASTER)
            call.line.digit("#")
        assert await task
    assert call.kinds("message.empty")
    assert not call.kinds("message.taken")
    assert voice.said[-1] == (SentenceKind.GOODBYE, None)


async def test_nothing_is_asked_for_that_nobody_would_keep(call: QuietCall) -> None:
    voice = QuietVoice(call)
    call.scribe.is_recorded = False
    assert not await take_message(voice, call.scribe, LIMITS)  # pyright: ignore
    call.scribe.is_recorded = True
    voice.has = set(SentenceKind) - {SentenceKind.TAKE_MESSAGE}
    assert not await take_message(voice, call.scribe, LIMITS)  # pyright: ignore
    assert (voice.said, voice.played) == ([], [])
