"""An outgoing call, and who takes it: a person, a machine with a tone, or nobody knows who."""

import wave
from pathlib import Path
from typing import Any

import numpy as np

from simulators.answering_machine import MachineVoice
from simulators.call_setup import AnswerPolicy
from simulators.clips import CLIP_RATE_HZ, caller_samples
from simulators.simulated_call import SimulatedCall
from simulators.telephone_audio import find_audible, resample_to_telephone
from tests.calls.conftest import House
from tests.calls.placing import ended, place
from tests.calls.test_on_failure import CASCADE

MESSAGE = "I will hang up now. Goodbye!"
QUICKLY = {"speech_threshold_ms": 1000, "speech_end_threshold_ms": 500}


def greeting(clip_id: str = "long-story") -> np.ndarray:
    return resample_to_telephone(caller_samples(clip_id), CLIP_RATE_HZ)


def agents(**machine: Any) -> dict[str, Any]:
    outbound = {"enabled": True, "machine": {"detection": QUICKLY, **machine}}
    return {"front-desk": {"greeting": "Hello! How can I help?", "disclosure": False, "outbound": outbound}}


async def call_up(house: House, policy: AnswerPolicy) -> tuple[str, SimulatedCall]:
    house.twilio.answer_policy = policy
    answer = await place(house)
    assert answer.status_code == 201, answer.text
    return answer.json()["call_id"], await house.twilio.next_placed()


async def story(house: House, call: SimulatedCall) -> list[str]:
    kinds = ("machine.", "human.", "message.", "agent.held_back")
    return [event.kind for event in await house.events(call) if event.kind.startswith(kinds)]


async def speech(house: House, call: SimulatedCall) -> list[tuple[str, int, int]]:
    turns = await house.turns(call)
    return [(turn.text, turn.start_ms, turn.end_ms) for turn in turns if turn.speaker == "agent"]


async def test_a_person_is_spoken_to_at_once_and_goes_on_with_the_agent(make_house) -> None:
    house = await make_house(agents=agents(do="leave_message", message=MESSAGE))
    call_id, call = await call_up(house, AnswerPolicy(detection_ms=700))
    await call.connected()
    assert await call.wait_heard() < 2500
    await call.wait_quiet(quiet_ms=700)
    await house.say(call, "goodbye")
    await call.ended()
    done = await ended(house, call_id)
    assert (done["end_reason"], done["answered_by"]) == ("bot_ended", "human")
    assert await story(house, call) == ["human.detected"]
    assert MESSAGE not in [text for text, *_ in await speech(house, call)]
    [asked] = [request for request in house.twilio.requests if request.path.endswith("/Calls.json")]
    sent = {name: values[0] for name, values in asked.parameters.items() if "Machine" in name or "Amd" in name}
    assert sent == {
        "MachineDetection": "DetectMessageEnd",
        "MachineDetectionTimeout": "30",
        "MachineDetectionSpeechThreshold": "1000",
        "MachineDetectionSpeechEndThreshold": "500",
        "MachineDetectionSilenceTimeout": "5000",
        "AsyncAmd": "true",
        "AsyncAmdStatusCallback": f"{house.server.base_url}/twilio/amd?call_id={call_id}",
        "AsyncAmdStatusCallbackMethod": "POST",
    }


async def test_a_message_is_left_whole_behind_the_tone_and_nothing_else_is_said_meanwhile(make_house) -> None:
    house = await make_house(agents=agents(do="leave_message", message=MESSAGE))
    call_id, call = await call_up(house, AnswerPolicy(machine=MachineVoice(greeting()), told_times=2))
    outcome = await call.ended()
    done = await ended(house, call_id)
    assert (outcome.status, outcome.ended_by) == ("completed", "server")
    assert (done["end_reason"], done["answered_by"]) == ("message_left", "machine_end_beep")
    assert await story(house, call) == ["agent.held_back", "machine.detected", "message.leaving", "message.left"]
    assert call.machine is not None
    records_from_ms = call.machine.records_from_ms or 0
    *_, (text, start_ms, end_ms) = await speech(house, call)
    assert text == MESSAGE
    assert start_ms >= records_from_ms
    heard = find_audible(call.machine.recording(), min_gap_ms=700)
    assert len(heard) == 1, "one message, and nothing before or after it"
    assert abs((heard[0][1] - heard[0][0]) - (end_ms - start_ms)) < 400
    # Once it was clear that a machine speaks, nothing was said into its greeting.
    [held_back] = await house.events(call, "agent.held_back")
    said = [turn for turn in await speech(house, call) if held_back.at_ms + 300 < turn[1] < records_from_ms]
    assert said == []


async def test_an_agent_hangs_up_on_a_machine_as_soon_as_it_is_one(make_house) -> None:
    house = await make_house(agents=agents(do="hang_up"))
    call_id, call = await call_up(house, AnswerPolicy(machine=MachineVoice(greeting())))
    outcome = await call.ended()
    done = await ended(house, call_id)
    assert (outcome.ended_by, done["end_reason"], done["answered_by"]) == ("server", "machine_hung_up", "machine_start")
    assert outcome.duration_ms < 4000
    assert call.machine is not None
    assert call.machine.recording().size == 0


async def test_a_recorded_message_is_played_and_the_end_of_a_greeting_is_heard_by_ourselves(
    make_house, tmp_path: Path
) -> None:
    recorded = caller_samples("name-alex")
    (tmp_path / "agents").mkdir()
    with wave.open(str(tmp_path / "agents" / "away.wav"), "wb") as file:
        file.setparams((1, 2, CLIP_RATE_HZ, 0, "NONE", ""))
        file.writeframes(recorded.tobytes())
    house = await make_house(agents=agents(do="leave_message", message_file="away.wav"))
    call_id, call = await call_up(house, AnswerPolicy(answered_by="machine_start", detection_ms=1500))
    await call.connected()
    _, records_from_ms = await call.say(MachineVoice(greeting("wait-book")).sound())
    await call.ended()
    done = await ended(house, call_id)
    assert (done["end_reason"], done["answered_by"]) == ("message_left", "machine_start")
    [leaving] = await house.events(call, "message.leaving")
    assert leaving.data == {"by": "file", "after": "beep"}
    assert leaving.at_ms >= records_from_ms
    heard = call.heard_audio()[records_from_ms * 8 :]
    expected = resample_to_telephone(recorded, CLIP_RATE_HZ)
    _, likeness = house.best_offset(expected, heard, most_ms=2000)
    assert likeness > 0.9
    assert (await speech(house, call))[-1][0] == "[away.wav]"


async def test_nobody_knows_who_it_is_and_the_agent_talks(make_house) -> None:
    house = await make_house(agents=agents(do="hang_up"))
    call_id, call = await call_up(house, AnswerPolicy(answered_by="unknown"))
    await call.connected()
    began_ms = await call.wait_heard()
    await call.wait_quiet(quiet_ms=700)
    assert max(end_ms for _, end_ms in call.heard_segments()) - began_ms > 1000, "it said all that it had to say"
    await call.hang_up()
    done = await ended(house, call_id)
    assert (done["end_reason"], done["answered_by"]) == ("caller_hung_up", "unknown")
    assert await story(house, call) == ["machine.unclear"]


async def test_a_word_that_comes_before_the_stream_counts(make_house) -> None:
    house = await make_house(agents=agents(do="hang_up"))
    call_id, call = await call_up(house, AnswerPolicy(answered_by="fax", detection_ms=0))
    await call.ended()
    done = await ended(house, call_id)
    assert (done["end_reason"], done["answered_by"]) == ("machine_hung_up", "fax")
    assert not [segment for segment in call.heard_segments() if segment[1] - segment[0] > 1000]


async def test_twilios_voice_leaves_the_message_of_an_agent_that_has_none_of_its_own(make_house) -> None:
    stages = {"pipeline": CASCADE}
    house = await make_house(agents={"front-desk": agents(do="leave_message", message=MESSAGE)["front-desk"] | stages})
    call_id, call = await call_up(house, AnswerPolicy(answered_by="machine_end_silence", detection_ms=600))
    outcome = await call.ended()
    done = await ended(house, call_id)
    assert (done["end_reason"], done["answered_by"]) == ("message_left", "machine_end_silence")
    assert [detail for _, verb, detail in outcome.verbs if verb == "Say"] == [MESSAGE]
    [leaving] = await house.events(call, "message.leaving")
    assert leaving.data == {"by": "twilio", "after": "silence"}
