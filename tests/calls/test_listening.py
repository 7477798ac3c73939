"""How an agent listens, on live calls: what interrupts it and what does not, and that no word of a sentence is lost."""

import asyncio
from typing import Any

import numpy as np
import pytest

from simulators.clips import CLIP_RATE_HZ, agent_clips, caller_clips, caller_samples, read_samples
from simulators.noise import NoiseBed
from simulators.script import parse_script
from simulators.simulated_call import SimulatedCall
from simulators.telephone_audio import resample_to_telephone

SUNDAY, WHICH_DAY = "I am sorry, on Sunday we are closed.", "Of course. Which day and time would suit you?"
GREETING = "Good morning, Blue Door Dental. How can I help?"
ROOM_DB = -50
"""Softer than what the caller of the simulation takes for speech."""
WAIT_BOOK = caller_clips()["wait-book"].text


async def murmur(call: SimulatedCall) -> tuple[int, int]:
    """An "mm-hm": 420 ms of a voice, which the detector of voice takes for speech."""
    voice = await asyncio.to_thread(caller_samples, "hello")
    return await call.say(voice[: CLIP_RATE_HZ * 420 // 1000], CLIP_RATE_HZ)


def agent(number: int, **changes: Any) -> dict[str, Any]:
    """A front desk of its own, whose model can be told from the others by its instructions."""
    return {"numbers": [f"+1555123020{number}"], "greeting": "", "instructions": f"You are agent {number}.", **changes}


def model_of(house: Any, number: int) -> Any:
    told = f"You are agent {number}."
    return next(one for one in house.gemini.conversations if told in str(one.setup["systemInstruction"]))


async def texts(house: Any, call: SimulatedCall) -> list[str]:
    return [turn.text for turn in await house.turns(call)]


async def hang_up(house: Any, call: SimulatedCall) -> None:
    await call.hang_up()
    await call.ended()
    await house.ended_row(call)


async def what_interrupts_a_hard_listener_is_a_sentence(house: Any) -> None:
    call = await house.dial_quietly(to="+15551230201")
    await house.say(call, "ask-opening-hours")
    await call.wait_heard()
    await call.silence(0.3)
    await murmur(call)
    await call.silence(0.9)
    assert not call.clears, "a murmur stopped the agent"
    from_ms, _ = await house.say(call, "wait-book")
    [clear] = call.clears
    assert 600 < clear.at_ms - from_ms < 1600
    await call.wait_heard()
    await hang_up(house, call)
    heard = [one.clip for one in model_of(house, 1).heard]
    assert heard == ["ask-opening-hours", "wait-book"], "heard whole, and no murmur"
    assert WAIT_BOOK in await texts(house, call)
    assert [event.data["passed_on"] for event in await house.events(call, "caller.kept_back")] == [False]


async def the_same_murmur_stops_a_normal_listener(house: Any) -> None:
    call = await house.dial_quietly(to="+15551230202")
    await house.say(call, "ask-opening-hours")
    await call.wait_heard()
    await call.silence(0.3)
    await murmur(call)
    await call.silence(0.6)
    assert len(call.clears) == 1
    await hang_up(house, call)


async def one_that_is_never_interrupted_says_all_and_then_answers(house: Any) -> None:
    call = await house.dial_quietly(to="+15551230203")
    await house.say(call, "ask-sunday")
    await call.wait_heard()
    await house.say(call, "wait-book")
    await call.wait_heard(min_ms=1000)
    await hang_up(house, call)
    assert model_of(house, 3).setup["realtimeInputConfig"] == {"activityHandling": "NO_INTERRUPTION"}
    assert not call.clears
    first, second = [turn.text for turn in await house.turns(call) if turn.speaker == "agent"]
    assert first == SUNDAY
    assert WHICH_DAY.startswith(second)


async def a_protected_greeting_is_heard_out_and_then_answered_for(house: Any) -> None:
    call = await house.dial(to="+15551230204")
    await call.wait_heard()
    await house.say(call, "wait-book")
    await call.wait_heard(min_ms=1000)
    assert not call.clears
    # From then on it is interrupted as any other.
    await house.say(call, "stop")
    await call.silence(0.3)
    assert len(call.clears) == 1
    await hang_up(house, call)
    found = await texts(house, call)
    assert found[0] == GREETING
    assert WAIT_BOOK in found
    assert any(text and WHICH_DAY.startswith(text) for text in found)


class Television(NoiseBed):
    """Somebody else talks behind the caller, much softer than he does, once it is switched on."""

    def __init__(self) -> None:
        super().__init__()
        voice = resample_to_telephone(read_samples(agent_clips()["open-monday"].path), CLIP_RATE_HZ)
        loudness = np.sqrt((voice.astype(float) ** 2).mean()) / 32768
        self.is_on = False
        self._loop = (voice * (10 ** (-41 / 20) / loudness)).astype(np.int16)

    def next_frame(self) -> Any:
        return super().next_frame() if self.is_on else np.zeros(160, np.int16)


async def a_television_behind_the_caller(house: Any, number: int) -> tuple[SimulatedCall, list[str | None]]:
    television = await asyncio.to_thread(Television)
    call = await house.dial_quietly(to=f"+1555123020{number}", noise=television)
    await house.say(call, "ask-opening-hours")
    await call.wait_heard()
    television.is_on = True
    await call.silence(3)
    await hang_up(house, call)
    return call, [one.clip for one in model_of(house, number).heard]


async def a_voice_behind_the_caller_stops_only_who_hears_it(house: Any) -> None:
    suppressed, plain = await asyncio.gather(
        a_television_behind_the_caller(house, 5), a_television_behind_the_caller(house, 2)
    )
    assert len(plain[0].clears) == 1
    assert not suppressed[0].clears
    assert suppressed[1] == ["ask-opening-hours"]


async def test_what_interrupts_whom(make_house: Any) -> None:
    agents = {
        "one": agent(1, listening={"interruptions": "hard"}),
        "two": agent(2),
        "three": agent(3, listening={"interruptions": "never"}),
        "four": agent(4, listening={"protect_greeting": True}, greeting=GREETING),
        "five": agent(5, listening={"noise_suppression": "on"}),
    }
    house = await make_house(agents=agents)
    async with asyncio.TaskGroup() as calls:
        calls.create_task(what_interrupts_a_hard_listener_is_a_sentence(house))
        calls.create_task(the_same_murmur_stops_a_normal_listener(house))
        calls.create_task(a_voice_behind_the_caller_stops_only_who_hears_it(house))
        calls.create_task(one_that_is_never_interrupted_says_all_and_then_answers(house))
        calls.create_task(a_protected_greeting_is_heard_out_and_then_answered_for(house))


LINGUIST = """
name: linguist
rules:
  - hear: hello
    call: {tool: speak_language, args: {code: de}}
    then: {say: "Good."}
  - hear: one-moment
    call: {tool: wait_longer, args: {secs: 30}}
    then: {say: Take your time.}
otherwise: Okay.
"""


async def idle_prompts_are_said_in_turn(house: Any) -> None:
    call = await house.dial(to="+15551230201")
    await call.ended()
    assert (await house.ended_row(call)).end_reason == "silence"
    assert await texts(house, call) == ["Are you still there?", "Take your time.", "I will hang up now. Goodbye!"]
    assert [event.data["number"] for event in await house.events(call, "silence.asked")] == [1, 2]


async def after_a_switch_the_agents_own_sentences_are_in_the_other_language(house: Any) -> None:
    call = await house.dial_quietly(to="+15551230202")
    await house.say(call, "hello")
    await call.wait_heard()
    await call.wait_quiet()
    await call.wait_heard(min_ms=300)
    await call.wait_quiet()
    await hang_up(house, call)
    [switched] = await house.events(call, "language.switched")
    assert switched.data == {"language": "de-DE"}
    assert (await texts(house, call))[-2:] == ["Good.", "Moment?"]
    model = model_of(house, 2)
    assert "speak_language" in str(model.setup["tools"])
    assert "You speak en-US, and de-DE as well." in str(model.setup["systemInstruction"])
    assert model.setup["inputAudioTranscription"] == {"languageCodes": ["en-US", "de-DE"]}
    assert 'exactly this to the caller, and nothing else: "Moment?"' in str(model.received[-1].payload)


async def one_who_was_given_time_may_pause_and_is_not_asked(house: Any) -> None:
    call = await house.dial_quietly(to="+15551230203")
    await house.say(call, "one-moment")
    await call.wait_heard()
    await call.silence(2.5)
    voice = await asyncio.to_thread(caller_samples, "book-tuesday")
    half = CLIP_RATE_HZ * 14 // 10
    await call.say(voice[:half], CLIP_RATE_HZ)
    await call.silence(1.3)
    await call.say(voice[half:], CLIP_RATE_HZ)
    await call.wait_heard(min_ms=200, timeout_secs=6)
    await hang_up(house, call)
    assert not await house.events(call, "silence.asked")
    [_, sentence] = model_of(house, 3).heard
    assert sentence.end_ms - sentence.start_ms > len(voice) / 24 - 300, "both halves of it"
    assert (await texts(house, call))[1] == "Take your time."
    assert [event.data for event in await house.events(call, "caller.given_time")] == [{"secs": 30}]


async def a_room_is_heard_behind_the_agent_and_is_nobody(house: Any) -> None:
    call = await house.dial(to="+15551230204")
    await call.wait_heard()
    await call.silence(1.2)
    await house.say(call, "stop")
    await call.ended()
    assert (await house.ended_row(call)).end_reason == "silence", "a room keeps no line open"
    assert len(call.clears) == 1
    found = await house.turns(call)
    agent_said = [turn for turn in found if turn.speaker == "agent"]
    assert [turn.text for turn in agent_said][1:] == ["Okay.", "Are you still there?", "I will hang up now. Goodbye!"]
    assert agent_said[0].interrupted
    assert max(turn.end_ms - turn.start_ms for turn in agent_said) < 3000, "turns are as long as what was said"
    heard, recorded = call.heard_audio(), (await asyncio.to_thread((await house.recording(call)).read_pcm))[:, 1]
    for kept in (heard, recorded):
        # Between two of its sentences, well behind the interruption.
        quiet = kept[(agent_said[1].end_ms + 250) * 8 : (agent_said[2].start_ms - 150) * 8]
        frames = quiet[: len(quiet) // 160 * 160].reshape(-1, 160).astype(float)
        levels = np.sqrt((frames**2).mean(axis=1))
        assert len(levels) > 30
        assert np.mean(levels > 5) > 0.9, "without a hole"
        assert 20 * np.log10(np.sqrt((levels**2).mean()) / 32768) == pytest.approx(ROOM_DB, abs=4)


async def test_prompts_time_and_another_language(make_house: Any) -> None:
    soon = {"silence_ask_secs": 1.5, "silence_hangup_secs": 9}
    german = {"languages": ["de-DE"], "phrases": {"de-DE": {"still_there": "Moment?"}}}
    room = {"ambient": {"sound": "office", "volume_db": ROOM_DB}}
    idle = {"ask_secs": 1.5, "prompts": ["Are you still there?", "Take your time."], "hang_up_secs": 5}
    house = await make_house(
        gemini={"scripts": [parse_script(LINGUIST)]},
        agents={
            "one": agent(1, listening={"idle": idle}),
            "two": agent(2, listening=german, limits=soon),
            "three": agent(3, tools=["wait_longer"], limits=soon),
            "four": agent(
                4, greeting=GREETING, listening=room, limits={"silence_ask_secs": 1.5, "silence_hangup_secs": 4}
            ),
        },
    )
    async with asyncio.TaskGroup() as calls:
        calls.create_task(idle_prompts_are_said_in_turn(house))
        calls.create_task(after_a_switch_the_agents_own_sentences_are_in_the_other_language(house))
        calls.create_task(one_who_was_given_time_may_pause_and_is_not_asked(house))
        calls.create_task(a_room_is_heard_behind_the_agent_and_is_nobody(house))
