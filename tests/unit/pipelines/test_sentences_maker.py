"""Having a sentence read aloud by a model that behaves, and by models that do not."""

import socket
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio
from google.genai import Client

from pipelines.gemini_client import make_client
from pipelines.sentence_maker import CannotRead, read_aloud
from pipelines.sentence_reading import RATE_HZ, WrongReading
from simulators.gemini_live import GeminiEmulator
from simulators.speech import speak
from tests.unit.pipelines.odd_model import TURN_COMPLETE, Message, audio, odd_model, reading, transcript

TEXT = "One moment, I am looking that up."
SPEED = 50.0


@pytest_asyncio.fixture
async def emulator() -> AsyncIterator[GeminiEmulator]:
    async with GeminiEmulator(playback_speed=SPEED, require_api_key="right") as running:
        yield running


def client_of(emulator: GeminiEmulator, key: str = "right") -> Client:
    return make_client(api_key=key, base_url=emulator.base_url, ca_file=emulator.ca_file)


async def read(emulator: GeminiEmulator, text: str = TEXT, **options: float) -> bytes:
    return await read_aloud(client_of(emulator), "gemini-3.8-live", "Kore", "en-GB", text, **options)


async def test_the_model_reads_the_sentence_and_nothing_around_it(emulator: GeminiEmulator) -> None:
    pcm = await read(emulator)
    expected_secs, length_secs = len(speak(TEXT)) / 2 / RATE_HZ, len(pcm) / 2 / RATE_HZ
    assert expected_secs - 0.4 < length_secs <= expected_secs
    assert pcm in speak(TEXT)
    [conversation] = emulator.conversations
    assert conversation.said == [TEXT]


@pytest.mark.parametrize("model", ["gemini-3.8-live", "models/gemini-3.8-live"])
async def test_it_asks_as_the_agent_would_and_without_tools(emulator: GeminiEmulator, model: str) -> None:
    await read_aloud(client_of(emulator), model, "Kore", "en-GB", TEXT)
    [conversation] = emulator.conversations
    setup = conversation.setup
    assert setup["model"] == "models/gemini-3.8-live"
    assert "read aloud" in str(setup["systemInstruction"])
    assert "Kore" in str(setup["generationConfig"])
    assert "en-GB" in str(setup["generationConfig"])
    assert not setup.get("tools")
    assert not setup.get("sessionResumption")


async def test_quotation_marks_in_a_sentence_do_no_harm(emulator: GeminiEmulator) -> None:
    pcm = await read(emulator, 'One "moment," please.')
    assert pcm in speak("One moment, please.")


async def test_it_does_not_wait_until_all_would_have_been_played() -> None:
    async with GeminiEmulator(playback_speed=1.0) as emulator:
        began = time.monotonic()
        pcm = await read(emulator, "I am sorry, something went wrong on my side. Could you say that again?")
        assert time.monotonic() - began < len(pcm) / 2 / RATE_HZ - 1


async def test_a_model_that_reads_something_else_is_asked_once_more(tmp_path: Path) -> None:
    def answer(_: str, count: int) -> list[Message]:
        return reading(f"Sure! {TEXT}") if count == 0 else reading(TEXT)

    async with odd_model(tmp_path, answer) as model:
        assert await read_aloud(model.client, "m", "v", "en-GB", TEXT) in speak(TEXT)
        assert model.asked == [f'Say exactly this to the caller, and nothing else: "{TEXT}"'] * 2


LONG_SILENCE = [transcript(TEXT), audio(bytes(96_000)), TURN_COMPLETE]


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        (reading(f"Sure! {TEXT}"), "added or left out"),
        (reading("How can I help you today?"), "words"),
        (reading(TEXT, ""), "no transcript"),
        (reading(TEXT, "One moment"), "left out"),
        ([transcript(TEXT), TURN_COMPLETE], "silent"),
        (LONG_SILENCE, "silent"),
        ([transcript(TEXT), audio(speak(TEXT)[:9_000]), TURN_COMPLETE], "silent|too short"),
        ([transcript(TEXT), audio(speak(TEXT), "audio/pcm;rate=16000"), TURN_COMPLETE], "rate=16000"),
        ([transcript(TEXT), audio(speak(TEXT)), {"serverContent": {"interrupted": True}}], "broke off"),
        ([transcript(TEXT)] + [audio(bytes(480_000))] * 7, "more than 60 s"),
        ([TURN_COMPLETE], "no transcript"),
    ],
)
async def test_what_is_not_the_sentence_is_refused_twice(tmp_path: Path, answer: list[Message], expected: str) -> None:
    async with odd_model(tmp_path, lambda _, __: answer) as model:
        with pytest.raises(CannotRead, match=expected) as caught:
            await read_aloud(model.client, "m", "v", "en-GB", TEXT)
        assert isinstance(caught.value.__cause__, WrongReading)
        assert "moment" not in str(caught.value)
        assert len(model.asked) == 2


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        ([transcript(TEXT), 1011], "1011"),
        (["this is not JSON"], "cannot be read"),
        (["[1, 2]"], "cannot be read"),
        ([{"serverContent": {"modelTurn": "One moment"}}], "cannot be read"),
        ([{"code": 429, "message": "quota"}], "429"),
    ],
)
async def test_a_model_that_breaks_down_is_not_asked_again(
    tmp_path: Path, answer: list[Message], expected: str
) -> None:
    async with odd_model(tmp_path, lambda _, __: answer) as model:
        with pytest.raises(CannotRead, match=expected) as caught:
            await read_aloud(model.client, "m", "v", "en-GB", TEXT)
        assert not isinstance(caught.value.__cause__, WrongReading)
        assert "moment" not in str(caught.value).lower()
        assert len(model.asked) == 1


async def test_a_transcript_that_comes_late_is_waited_for(tmp_path: Path) -> None:
    generated: Message = {"serverContent": {"generationComplete": True}}
    late: list[Message] = [audio(speak(TEXT)), transcript("One moment,"), generated]
    late += [transcript(" I am looking"), transcript(" that up."), {"usageMetadata": {}}, {"news": 1}, TURN_COMPLETE]
    async with odd_model(tmp_path, lambda _, __: late) as model:
        assert await read_aloud(model.client, "m", "v", "en-GB", TEXT) in speak(TEXT)


async def test_a_wrong_key_is_told_at_once(emulator: GeminiEmulator) -> None:
    with pytest.raises(CannotRead, match="401"):
        await read_aloud(client_of(emulator, "wrong"), "gemini-3.8-live", "Kore", "en-GB", TEXT)
    assert emulator.conversations == []


@pytest.mark.parametrize(
    ("fault", "expected"), [("http-429", "429"), ("http-503", "503"), ("tls-error", "certificate")]
)
async def test_a_service_that_refuses_is_told_at_once(fault: str, expected: str) -> None:
    async with GeminiEmulator(fault=fault) as emulator:
        with pytest.raises(CannotRead, match=expected):
            await read(emulator)
        assert emulator.conversations == []


async def test_a_model_that_never_becomes_ready_is_left_after_the_deadline() -> None:
    async with GeminiEmulator(fault="no-setup-complete") as emulator:
        began = time.monotonic()
        with pytest.raises(CannotRead, match=r"not done within 0\.3 s"):
            await read(emulator, deadline_secs=0.3)
        assert 0.3 <= time.monotonic() - began < 2


async def test_nobody_there_is_told(emulator: GeminiEmulator, tmp_path: Path) -> None:
    client = make_client(api_key="x", base_url="https://127.0.0.1:9", ca_file=emulator.ca_file)
    with pytest.raises(CannotRead, match="connection failed"):
        await read_aloud(client, "gemini-3.8-live", "Kore", "en-GB", TEXT)


async def test_a_port_that_accepts_and_says_nothing_is_left_after_the_deadline(emulator: GeminiEmulator) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        url = f"https://127.0.0.1:{listener.getsockname()[1]}"
        client = make_client(api_key="x", base_url=url, ca_file=emulator.ca_file)
        with pytest.raises(CannotRead, match="not done"):
            await read_aloud(client, "gemini-3.8-live", "Kore", "en-GB", TEXT, deadline_secs=0.3)


async def test_a_model_that_thinks_for_ever_is_left_after_the_deadline() -> None:
    async with GeminiEmulator(reply_delay_ms=60_000) as emulator:
        with pytest.raises(CannotRead, match="not done"):
            await read(emulator, deadline_secs=0.5)
