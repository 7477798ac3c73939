"""Sentences that must not depend on the model, with the model switched off: the agent's own voice, a shipped clip, or
Twilio's voice, each at the far end of the telephone."""

import asyncio
import shutil
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import pytest_asyncio
import soxr

from config.agent import AgentConfig
from config.phrases import default_announcement, default_phrases
from pipelines.gemini_client import make_client
from pipelines.sentences import SentenceKind, Sentences, Spoken
from simulators.gemini_live import GeminiEmulator
from simulators.simulated_call import SimulatedCall

LINE_HZ = 8000
OWN = {
    "filler": "Wait a moment, please.",
    "apology": "Our line has a problem. Please call tomorrow. Goodbye.",
    "time_warning": "We have half a minute left.",
    "drain_goodbye": "We have to stop here. Please call again. Goodbye.",
    "busy": "We are on other calls now. Please try again later. Goodbye.",
}
ANNOUNCED = "We may record what you say."
GREETING = "Hello! How can I help?"
IN_ENGLISH, IN_GERMAN = default_phrases("en"), default_phrases("de")
GERMAN: dict[str, Any] = {"language": "de-DE", "greeting": GREETING}
CONSENT = {"recording": {"consent": "announce"}}
SHORT = {"gemini_live": {"connection": {"stall_secs": 1, "give_up_secs": 2.5}}}
PIPELINE = ["transport.input", "silero_vad", "user_turns", SHORT, "transport.output", "recorder", "transcript"]
IMPATIENT: dict[str, Any] = {"pipeline": PIPELINE}
SOON_OVER: dict[str, Any] = {"greeting": "", "limits": {"max_call_secs": 12, "warn_before_secs": 11}}


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def made(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Path]:
    """A folder with an agent's own sentences, as the server makes them while it has a model."""
    folder = tmp_path_factory.mktemp("made")
    agent = AgentConfig.model_validate(
        {
            "name": "front-desk",
            "bot": "receptionist",
            "phrases": OWN,
            "recording": {"consent": "announce", "announcement": ANNOUNCED},
        }
    )
    async with GeminiEmulator(ca_dir=folder / "ca", playback_speed=20) as gemini:
        client = make_client(api_key="none", base_url=gemini.base_url, ca_file=gemini.ca_file)
        sentences = Sentences(folder / "sentences", {}, client)
        await sentences.prepare([agent])
        assert all(sentences.find(agent, SentenceKind(kind)) for kind in [*OWN, "consent"])
    yield folder / "sentences"


class Words:
    """Which way a sentence comes, and so how it is worded."""

    def __init__(self, house: Any, *, is_own: bool) -> None:
        self.house = house
        self.is_own = is_own

    def text(self, kind: SentenceKind) -> str:
        if kind is SentenceKind.CONSENT:
            return ANNOUNCED if self.is_own else default_announcement("en")
        return OWN[kind.value] if self.is_own else getattr(IN_ENGLISH, kind)

    def sound(self, kind: SentenceKind) -> Spoken:
        """What the server has of it: the cached reading, or the shipped clip."""
        services = self.house.server.services
        agent = services.agents.catalog.by_name("front-desk")
        spoken = services.sentences.find(agent, kind)
        assert spoken is not None
        assert spoken.text == self.text(kind)
        return spoken


@pytest.fixture(params=["own", "shipped"])
def make_words(request: pytest.FixtureRequest, make_house: Any, made: Path, tmp_path: Path) -> Any:
    """Make a house whose model is switched off for good, with the agent's own sentences cached or none at all."""
    is_own = request.param == "own"

    async def make(**agent: Any) -> Words:
        if is_own:
            await asyncio.to_thread(shutil.copytree, made, tmp_path / "data" / "sentences")
        changes = {"phrases": OWN, "recording": {"announcement": ANNOUNCED}, **agent}
        changes["recording"] = {"announcement": ANNOUNCED, **agent.get("recording", {})}
        house = await make_house(agents={"front-desk": changes})
        switch_off(house)
        return Words(house, is_own=is_own)

    return make


def switch_off(house: Any) -> None:
    house.gemini.arm("connection-refused", times=None, secs=120)


def how_alike(call: SimulatedCall, spoken: Spoken) -> float:
    """How alike what the caller heard is to the sentence, where it is most alike; 1 is the same."""
    samples = np.frombuffer(spoken.pcm, dtype="<i2").astype(np.float64)
    clip = soxr.resample(samples, spoken.rate_hz, LINE_HZ)
    heard = call.heard_audio().astype(np.float64)
    if len(heard) < len(clip):
        return 0.0
    size = 1 << (len(heard) + len(clip)).bit_length()
    together = np.fft.irfft(np.fft.rfft(heard, size) * np.conj(np.fft.rfft(clip, size)), size)[: len(heard)]
    at = int(np.argmax(together[: len(heard) - len(clip) + 1]))
    return float(together[at] / (np.linalg.norm(clip) * np.linalg.norm(heard[at : at + len(clip)]) + 1e-9))


async def assert_heard(words: Words, call: SimulatedCall, *kinds: SentenceKind) -> None:
    """The caller heard these, in this order, and they stand in the transcript word for word."""
    told = [event.data for event in await words.house.events(call, "agent.announced")]
    assert [(data["kind"], data["text"]) for data in told] == [(kind, words.text(kind)) for kind in kinds]
    assert [turn.text for turn in await words.house.turns(call)] == [words.text(kind) for kind in kinds]
    for kind in (*kinds, SentenceKind.BUSY):
        assert (how_alike(call, words.sound(kind)) > 0.9) == (kind in kinds), kind


async def told(house: Any, call: SimulatedCall, kind: str) -> None:
    async with asyncio.timeout(15):
        while not await house.events(call, kind):  # noqa: ASYNC110 - a database has no event to wait for
            await asyncio.sleep(0.05)


def said_by_twilio(call: SimulatedCall) -> list[tuple[str, str]]:
    assert call.outcome is not None
    return [(verb, detail) for _, verb, detail in call.outcome.verbs]


# --- without a model: the agent's own voice, or a clip of its language ----------------------------------------------


async def test_consent_filler_and_apology(make_words: Any) -> None:
    words = await make_words(**IMPATIENT, **CONSENT)
    call = await words.house.dial()
    await call.ended()
    assert said_by_twilio(call) == [("Connect", said_by_twilio(call)[0][1]), ("Hangup", "")]
    await assert_heard(words, call, SentenceKind.CONSENT, SentenceKind.FILLER, SentenceKind.APOLOGY)
    assert (await words.house.ended_row(call)).end_reason == "failed"


async def test_time_warning_and_drain_goodbye(make_words: Any) -> None:
    words = await make_words(**SOON_OVER)
    call = await words.house.dial()
    await call.wait_heard()
    await call.wait_quiet()
    await words.house.server.services.live.drain(0)
    await call.ended()
    await assert_heard(words, call, SentenceKind.TIME_WARNING, SentenceKind.DRAIN_GOODBYE)
    assert [verb for verb, _ in said_by_twilio(call)] == ["Connect", "Hangup"]
    assert (await words.house.ended_row(call)).end_reason == "drained"


async def dial_when_full(house: Any) -> SimulatedCall:
    """Somebody calls, and others are faster between Twilio's question and the stream."""
    voice_url, call_sid = f"{house.server.base_url}/twilio/voice", "CA" + "7" * 32
    form = {"CallSid": call_sid, "From": "+15557654321", "To": "+15551230100", "CallStatus": "ringing"}
    assert "<Stream" in (await house.twilio.request(voice_url, form)).body
    live = house.server.services.live
    live.give_up_ringing()
    live.max_calls = 1
    assert live.admit("somebody else") is not None
    call = await house.dial(call_sid=call_sid)
    await call.ended()
    live.release("somebody else")
    assert (await house.ended_row(call)).end_reason == "refused_busy"
    return call


async def test_busy(make_words: Any) -> None:
    words = await make_words()
    call = await dial_when_full(words.house)
    assert how_alike(call, words.sound(SentenceKind.BUSY)) > 0.9
    assert [verb for verb, _ in said_by_twilio(call)] == ["Connect", "Hangup"]


async def test_a_server_makes_the_sentences_itself_and_says_them_when_the_model_is_gone(make_house: Any) -> None:
    change = {**IMPATIENT, "phrases": {"apology": OWN["apology"]}}
    house = await make_house(agents={"front-desk": change}, gemini={"playback_speed": 20}, prepare_sentences=True)
    sentences, agent = house.server.services.sentences, house.server.services.agents.catalog.by_name("front-desk")
    async with asyncio.timeout(60):
        while sentences.find(agent, SentenceKind.APOLOGY).text != OWN["apology"]:  # noqa: ASYNC110 - it reads for itself
            await asyncio.sleep(0.1)
    switch_off(house)
    call = await house.dial()
    await call.ended()
    assert OWN["apology"] in [turn.text for turn in await house.turns(call)]
    assert how_alike(call, sentences.find(agent, SentenceKind.APOLOGY)) > 0.9


# --- no sound for it: Twilio's voice, in the agent's words and language ---------------------------------------------


def said_language(call: SimulatedCall) -> str:
    """The language of the TwiML that Twilio got last."""
    return call.twiml_log[-1].body.split('language="')[1].split('"')[0]


async def test_an_apology_without_sound_is_said_by_twilio(make_house: Any) -> None:
    ours = {"apology": "Leider geht gerade nichts."}
    house = await make_house(agents={"front-desk": {**GERMAN, **IMPATIENT, "phrases": ours}})
    switch_off(house)
    call = await house.dial()
    await call.ended()
    assert said_by_twilio(call)[1:] == [("Say", ours["apology"]), ("Hangup", "")]
    assert said_language(call) == "de-DE"
    # There is no filler that would be worth leaving the stream for: the model may still come.
    [event] = await house.events(call, "agent.has_no_sound")
    assert event.data["kind"] == "filler"
    assert (await house.ended_row(call)).end_reason == "failed"


async def test_a_drains_goodbye_without_sound_is_said_by_twilio(make_house: Any) -> None:
    house = await make_house(agents={"front-desk": {**GERMAN, "greeting": ""}})
    switch_off(house)
    call = await house.dial()
    await told(house, call, "call.live")
    await house.server.services.live.drain(0)
    await call.ended()
    assert said_by_twilio(call)[1:] == [("Say", IN_GERMAN.drain_goodbye), ("Hangup", "")]
    assert said_language(call) == "de-DE"


async def test_busy_without_sound_is_said_by_twilio(make_house: Any) -> None:
    house = await make_house(agents={"front-desk": GERMAN})
    switch_off(house)
    call = await dial_when_full(house)
    assert said_by_twilio(call)[1:] == [("Say", IN_GERMAN.busy), ("Hangup", "")]
    assert said_language(call) == "de-DE"


async def test_a_time_warning_without_sound_is_asked_of_the_model(make_house: Any) -> None:
    house = await make_house(agents={"front-desk": {**GERMAN, **SOON_OVER}})
    call = await house.dial_quietly()
    await told(house, call, "time.warned")
    await house.gemini.talks[0].until(lambda talk: IN_GERMAN.time_warning in talk.said)
    await call.hang_up()
    await house.ended_row(call)
    assert not await house.events(call, "agent.announced")


async def test_the_recording_is_announced_by_twilio_before_the_stream(make_house: Any) -> None:
    house = await make_house(agents={"front-desk": {**GERMAN, **CONSENT}})
    call = await house.dial()
    await house.hear_out(call)
    await call.hang_up()
    await call.ended()
    assert said_by_twilio(call)[0] == ("Say", default_announcement("de"))
    assert [verb for verb, _ in said_by_twilio(call)] == ["Say", "Connect"]
    assert said_language(call) == "de-DE"
    # Neither the model nor a clip says it again, and the model that was connected while it rang is the one that spoke.
    [conversation] = house.gemini.conversations
    assert conversation.said == [GREETING]
    await house.ended_row(call)
    assert [turn.text for turn in await house.turns(call)] == [GREETING]
    [event] = await house.events(call, "agent.announced")
    assert (event.data, event.at_ms) == ({"kind": "consent", "by": "twilio"}, 0)


async def test_the_recording_is_announced_although_the_model_is_gone(make_house: Any) -> None:
    house = await make_house(agents={"front-desk": {**GERMAN, **IMPATIENT, **CONSENT}})
    switch_off(house)
    call = await house.dial()
    await call.ended()
    said = said_by_twilio(call)
    assert [verb for verb, _ in said] == ["Say", "Connect", "Say", "Hangup"]
    assert [text for verb, text in said if verb == "Say"] == [default_announcement("de"), IN_GERMAN.apology]


async def test_for_a_guest_bot_twilio_announces_the_recording(
    make_house: Any, bots_with: Any, own_environment: None
) -> None:
    bots = bots_with("guest", "async def bot(runner_args):\n    return None\n")
    house = await make_house(agents={"front-desk": {"bot": "guest", **CONSENT}}, bots_dir=bots)
    call = await house.dial()
    await call.ended()
    assert said_by_twilio(call)[0] == ("Say", default_announcement("en"))
    assert said_by_twilio(call)[1][0] == "Connect"
