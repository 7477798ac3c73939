"""The ladder, rung by rung, on live calls whose model fails for good: what the caller hears, and how it ends."""

import asyncio
from typing import Any

import numpy as np
import pytest
from aiortc import RTCPeerConnection, RTCSessionDescription
from aiortc.mediastreams import AudioStreamTrack

from config.phrases import default_phrases
from simulators.clips import caller_clips, caller_samples
from simulators.simulated_call import SimulatedCall

PERSON = "+15551230199"
TRANSFER = {"transfer": PERSON}
PHRASES = default_phrases("en")
ASK_NAME, THANKS_ALEX = "Gladly. May I have your name, please?", "Thank you, Alex. How can I help?"
BOOKED = "Your appointment is booked for Tuesday at ten. Is there anything else?"
CASCADE = [
    "transport.input",
    "silero_vad",
    {"tests.calls.tiny_services.LengthRecognizer": {}},
    "user_turns",
    {"tests.calls.recalling_model.RecallingModel": {}},
    {"tests.calls.tiny_services.ToneVoice": {"hz": 700}},
    "transport.output",
    "recorder",
    "transcript",
]


def front_desk(*ladder: Any, **changes: Any) -> dict[str, Any]:
    return {"front-desk": {"greeting": "", "on_failure": list(ladder), **changes}}


async def happened(house: Any, call: SimulatedCall, kind: str, count: int = 1) -> None:
    """Wait until the call's log has `count` events of that kind."""
    async with asyncio.timeout(20):
        while len(await house.events(call, kind)) < count:  # noqa: ASYNC110 - a database has no event to wait for
            await asyncio.sleep(0.05)


async def lose_model(house: Any, fault: str, **options: Any) -> None:
    """Cut the conversation off, and let the endpoint refuse the next connection, or all of them."""
    house.gemini.arm(fault, **options)
    await house.gemini.conversations[-1].close(1011)


async def steps(house: Any, call: SimulatedCall) -> list[str]:
    return [event.data["step"] for event in await house.events(call, "ladder.step")]


async def said(house: Any, call: SimulatedCall) -> list[str]:
    return [turn.text for turn in await house.turns(call)]


async def recorded(house: Any, call: SimulatedCall) -> np.ndarray:
    """What was kept of the call: PCM16 at 8 kHz, a column for the caller and one for the agent."""
    return await asyncio.to_thread((await house.recording(call)).read_pcm)


def verbs(call: SimulatedCall) -> list[tuple[str, str]]:
    """What Twilio did once the stream was over."""
    assert call.outcome is not None
    found = [(verb, detail) for _, verb, detail in call.outcome.verbs]
    assert found[0][0] == "Connect"
    return found[1:]


def models(house: Any) -> list[str]:
    return [conversation.setup["model"] for conversation in house.gemini.conversations]


async def test_another_model_goes_on_and_the_next_failure_takes_the_next_step(make_house: Any) -> None:
    house = await make_house(agents=front_desk({"model": "gemini-other-live"}, "say", "hang_up"))
    call = await house.dial_quietly()
    await house.say(call, "name-alex")
    await house.hear_out(call)
    await lose_model(house, "http-429")
    await happened(house, call, "model.ready", 2)
    assert models(house) == ["models/gemini-3.8-live", "models/gemini-other-live"]
    await house.say(call, "book-tuesday")  # it was told his name before
    await house.hear_out(call)
    await lose_model(house, "http-429")
    await call.ended()
    assert (await house.ended_row(call)).end_reason == "failed"
    assert await steps(house, call) == ["model", "say", "hang_up"]
    caller = caller_clips()
    spoken = [turn for turn in await said(house, call) if turn != PHRASES.filler]
    assert spoken == [caller["name-alex"].text, THANKS_ALEX, caller["book-tuesday"].text, BOOKED, PHRASES.apology]
    assert verbs(call) == [("Hangup", "")]
    recovered = [event.data for event in await house.events(call, "recovery")]
    assert [(data["kind"], data["beginning"]) for data in recovered] == [("other_model", "seeded")]


async def test_another_model_that_is_refused_too_is_no_way_out(make_house: Any) -> None:
    house = await make_house(agents=front_desk({"model": "a"}, {"model": "b"}, "say", "hang_up"))
    call = await house.dial_quietly()
    await lose_model(house, "http-429", times=None)
    await call.ended()
    assert await steps(house, call) == ["model", "model", "say", "hang_up"]
    assert (await said(house, call))[-1] == PHRASES.apology
    failed = [event.data for event in await house.events(call, "model.failed")]
    assert [data["cause"] for data in failed] == ["dropped", "other_model", "other_model"]


async def test_another_pipeline_takes_over_and_knows_what_was_said(make_house: Any) -> None:
    house = await make_house(agents=front_desk({"pipeline": CASCADE}, "say", TRANSFER))
    call = await house.dial_quietly()
    await house.say(call, "name-alex")
    await call.wait_heard()
    await call.wait_quiet(quiet_ms=2000)  # it was quiet for long enough that a word is due
    await lose_model(house, "http-401", times=None)
    await happened(house, call, "ladder.step")
    await call.wait_heard()
    await call.wait_quiet(quiet_ms=1500)
    await house.say(call, "ask-sunday")
    await house.hear_out(call)
    await call.hang_up()
    row = await house.ended_row(call)
    assert (row.end_reason, row.recording_status) == ("caller_hung_up", "complete")
    turns = await said(house, call)
    assert turns[:3] == [caller_clips()["name-alex"].text, THANKS_ALEX, PHRASES.filler]
    assert turns[3].startswith("[speech ")
    assert turns[4] == f"I know: {' | '.join(turns[:4])}"
    # One recording over both pipelines, in step with what was heard: the tone is in it where the transcript says so.
    last = (await house.turns(call))[4]
    agent = (await recorded(house, call))[last.start_ms * 8 : last.end_ms * 8, 1]
    assert np.abs(agent).max() > 4000


@pytest.mark.parametrize("ladder", [["say", TRANSFER], [{"say": "I am fetching somebody."}, TRANSFER], [TRANSFER]])
async def test_before_a_transfer_nobody_is_told_goodbye(make_house: Any, ladder: list[Any]) -> None:
    house = await make_house(agents=front_desk(*ladder))
    house.gemini.arm("http-401", times=None)
    call = await house.dial()
    await call.ended()
    assert await said(house, call) == [PHRASES.connecting]
    assert [verb for verb, _ in verbs(call)][:1] == ["Dial"]
    assert PERSON in verbs(call)[0][1]
    assert (await house.ended_row(call)).end_reason == "transferred"


async def test_a_step_without_sound_is_left_to_twilio_with_those_after_it(make_house: Any) -> None:
    german = default_phrases("de")
    house = await make_house(agents=front_desk({"model": "a"}, "say", TRANSFER, language="de-DE"))
    call = await house.dial_quietly()
    await lose_model(house, "http-429", times=None)
    await call.ended()
    assert verbs(call)[0] == ("Say", german.connecting)
    assert verbs(call)[1][0] == "Dial"
    assert 'language="de-DE"' in call.twiml_log[1].body
    assert (await house.ended_row(call)).end_reason == "transferred"
    assert await said(house, call) == []


async def test_hanging_up_is_a_step_as_well(make_house: Any) -> None:
    house = await make_house(agents=front_desk("hang_up"))
    house.gemini.arm("http-401", times=None)
    call = await house.dial()
    await call.ended()
    assert verbs(call) == [("Hangup", "")]
    assert await said(house, call) == []
    assert (await house.ended_row(call)).end_reason == "failed"


# --- a message --------------------------------------------------------------------------------------------------------


@pytest.fixture
async def at_the_tone(make_house: Any) -> Any:
    """A caller who has just heard the tone; a ladder that takes messages."""
    limits = {"silence_secs": 2, "max_secs": 30}
    house = await make_house(agents=front_desk("say", {"take_message": limits}))
    house.gemini.arm("http-401", times=None)
    call = await house.dial()
    await happened(house, call, "message.began")
    return house, call


async def assert_over(house: Any, call: SimulatedCall, *, last: str) -> None:
    await call.ended()
    assert verbs(call) == [("Hangup", "")]
    assert await said(house, call) == [PHRASES.take_message, last]
    row = await house.ended_row(call)
    assert (row.end_reason, row.recording_status) == ("failed", "complete")


@pytest.mark.parametrize("way", ["silence", "key"])
async def test_a_message_is_in_the_recording_where_its_event_says(at_the_tone: Any, way: str) -> None:
    house, call = at_the_tone
    await house.say(call, "book-tuesday")
    if way == "key":
        await call.press("#")
    await assert_over(house, call, last=PHRASES.message_thanks)
    [taken] = await house.events(call, "message.taken")
    from_ms, to_ms = taken.data["start_ms"], taken.data["end_ms"]
    caller = (await recorded(house, call))[:, 0]
    message = caller[from_ms * 8 : to_ms * 8]
    clip = await asyncio.to_thread(caller_samples, "book-tuesday")
    length_ms = len(clip) / 24
    assert length_ms <= to_ms - from_ms < length_ms + (1500 if way == "key" else 4500)
    # All of the caller's sound is in it, and nothing of it before or after.
    loud = np.abs(caller.astype(np.int32)) > 500
    assert loud.sum() == (np.abs(message.astype(np.int32)) > 500).sum() > 1000


async def test_a_caller_who_leaves_no_message_is_let_go(at_the_tone: Any) -> None:
    house, call = at_the_tone
    await assert_over(house, call, last=PHRASES.goodbye)
    assert await house.events(call, "message.empty")
    assert not await house.events(call, "message.taken")


async def test_a_caller_may_hang_up_on_the_ladder(at_the_tone: Any) -> None:
    house, call = at_the_tone
    await call.hang_up()
    row = await house.ended_row(call)
    assert (row.end_reason, row.recording_status) == ("caller_hung_up", "complete")
    assert house.server.services.live.count == 0
    names = {task.get_name() for task in asyncio.all_tasks()}
    assert not [name for name in names if name.startswith("ladder")]


# --- in a browser nobody can be called ------------------------------------------------------------------------------


async def test_in_a_browser_the_call_ends_politely(make_house: Any, never_block_the_loop: Any) -> None:
    for function in never_block_the_loop.functions.values():
        # At its end aiortc waits, for some microseconds, until its decoder's thread is over.
        function.can_block_in("aiortc/rtcrtpreceiver.py", "__stop_decoder")
    house = await make_house(agents=front_desk("say", TRANSFER))
    house.gemini.arm("http-401", times=None)
    services = house.server.services
    peer = RTCPeerConnection()
    try:
        peer.addTrack(AudioStreamTrack())
        await peer.setLocalDescription(await peer.createOffer())
        agent = services.agents.catalog.by_name("front-desk")
        call_id, answer = await services.talks.answer_browser(agent, peer.localDescription.sdp, "offer")
        await peer.setRemoteDescription(RTCSessionDescription(answer, "answer"))
        async with asyncio.timeout(25):
            while (row := await house.store.get_call(call_id)).status != "ended":  # noqa: ASYNC110 - it is in a database
                await asyncio.sleep(0.05)
    finally:
        await peer.close()
    assert row.end_reason == "failed"
    assert [turn.text for turn in await house.store.list_turns(call_id)] == [PHRASES.apology]
    taken = [event.data["step"] for event in await house.store.list_events(call_id) if event.kind == "ladder.step"]
    assert taken == ["say", "transfer"]
    assert services.live.count == 0
