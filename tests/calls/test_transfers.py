"""Cold transfers on live calls: who is rung, what the caller hears, and the agent who is back when nobody answers."""

import asyncio
from typing import Any

import numpy as np
import pytest

from simulators.call_setup import DialOutcome
from simulators.clips import caller_clips
from simulators.script import parse_script
from simulators.simulated_call import SimulatedCall

FIRST, SIP = "+15551230198", "sip:sales@example.com"
BUSY_LINE, NOBODY, RINGS_LONG = "+15551230197", "+15551230196", "+15551230195"
SALES = {"describe": "Sales questions.", "say": "One moment, I will connect you."}


MODEL = parse_script("""
name: puts through
rules:
  - hear: transfer-me
    call: {tool: transfer_call, args: {destination: sales}}
    then:
      if: result.error
      say: "I am sorry, I cannot connect you from here."
      else: "One moment, I will connect you."
  - text: "transfer to sales has failed: nobody answers"
    say: "I am sorry, no one can answer now."
  - text: "transfer to sales has failed: the line is busy"
    say: "I am sorry, the line is busy."
  - hear: goodbye
    call: {tool: end_call}
    then: "Goodbye!"
otherwise: "Sure. I am listening."
""")


# Each scenario has an agent and a number of its own, so that all of them can be played at once.
DESKS: dict[str, tuple[str, dict[str, Any]]] = {
    "answered": ("+15551230111", {"to": [FIRST], "caller_id": "+15551230100"}),
    "second": ("+15551230112", {"to": [BUSY_LINE, {"address": SIP, "ring_secs": 7}], "ring_secs": 12}),
    "nobody": ("+15551230113", {"to": [BUSY_LINE, NOBODY]}),
    "loop": ("+15551230114", {"to": [FIRST, "+15551230177"]}),
    "leaves": ("+15551230115", {"to": [RINGS_LONG]}),
    "message": ("+15551230116", {"to": [NOBODY], "when_not_answered": "message"}),
    "hangs-up": ("+15551230117", {"to": [NOBODY], "when_not_answered": "hang_up"}),
}
OUTCOMES = {
    FIRST: DialOutcome("completed", ring_ms=100, talk_ms=1100),
    SIP: DialOutcome("completed", ring_ms=100, talk_ms=200),
    BUSY_LINE: DialOutcome("busy", ring_ms=100),
    NOBODY: DialOutcome("no-answer", ring_ms=100),
    RINGS_LONG: DialOutcome("completed", ring_ms=8000),
}


@pytest.fixture
async def house(make_house: Any) -> Any:
    agents: dict[str, Any] = {
        name: {"numbers": [number], "greeting": "", "transfers": {"sales": SALES | transfer}}
        for name, (number, transfer) in DESKS.items()
    }
    back = {"to": [DESKS["loop"][0]], "describe": "Back to where the caller was."}
    agents["night"] = {"numbers": ["+15551230177"], "transfers": {"desk": back}}
    house = await make_house(agents=agents, gemini={"scripts": [MODEL]})
    house.twilio.dial_outcomes |= OUTCOMES
    return house


async def ask_for_sales(house: Any, desk: str) -> SimulatedCall:
    call = await house.dial_quietly(to=DESKS[desk][0])
    await house.say(call, "transfer-me")
    return call


async def happened(house: Any, call: SimulatedCall, kind: str, count: int = 1) -> list[dict[str, Any]]:
    async with asyncio.timeout(20):
        while len(found := await house.events(call, kind)) < count:  # noqa: ASYNC110 - a database has no event to wait for
            await asyncio.sleep(0.05)
    return [event.data for event in found]


async def attempts(house: Any, call: SimulatedCall) -> list[tuple[str, str]]:
    return [(event.data["address"], event.data["outcome"]) for event in await house.events(call, "transfer.attempt")]


def verbs(call: SimulatedCall) -> list[tuple[str, str]]:
    return [(verb, detail if verb == "Dial" else "") for _, verb, detail in call.verbs]


async def one_who_answers_talks_and_the_call_was_transferred(house: Any) -> None:
    call = await ask_for_sales(house, "answered")
    outcome = await call.ended()
    assert outcome.errors == []
    assert verbs(call) == [("Connect", ""), ("Dial", FIRST), ("Hangup", "")]
    row = await house.ended_row(call)
    assert row.end_reason == "transferred"
    [attempt] = await happened(house, call, "transfer.attempt")
    assert attempt == {"destination": "sales", "address": FIRST, "outcome": "answered", "talk_secs": 2}
    assert row.transfer_attempts == [attempt]
    assert [event.data["address"] for event in await house.events(call, "transfer.answered")] == [FIRST]
    assert 'callerId="+15551230100"' in call.twiml_log[-2].body
    # The announcement was heard to its last word before the line was left.
    last = (await house.turns(call))[-1]
    assert (last.text, last.interrupted) == (SALES["say"], False)


async def the_second_is_rung_when_the_first_is_busy_each_for_its_own_time(house: Any) -> None:
    call = await ask_for_sales(house, "second")
    outcome = await call.ended()
    assert outcome.errors == []
    assert verbs(call) == [("Connect", ""), ("Dial", BUSY_LINE), ("Dial", SIP), ("Hangup", "")]
    assert [event.data["ring_secs"] for event in await house.events(call, "transfer.ringing")] == [12, 7]
    assert await attempts(house, call) == [(BUSY_LINE, "busy"), (SIP, "answered")]
    assert "<Sip" in call.twiml_log[-2].body
    assert (await house.ended_row(call)).end_reason == "transferred"


async def when_nobody_answers_the_agent_is_back_and_says_so(house: Any) -> None:
    call = await ask_for_sales(house, "nobody")
    await happened(house, call, "call.back")
    await house.hear_out(call)
    await house.say(call, "goodbye")
    outcome = await call.ended()
    assert outcome.errors == []
    assert verbs(call)[:4] == [("Connect", ""), ("Dial", BUSY_LINE), ("Dial", NOBODY), ("Connect", "")]
    assert await attempts(house, call) == [(BUSY_LINE, "busy"), (NOBODY, "no_answer")]
    assert (await house.ended_row(call)).end_reason == "bot_ended"
    clips = caller_clips()
    assert [turn.text for turn in await house.turns(call)] == [
        clips["transfer-me"].text,
        "One moment, I will connect you.",
        "I am sorry, no one can answer now.",
        clips["goodbye"].text,
        "Goodbye!",
    ]
    assert len(await house.events(call, "model.ready")) == 1  # its connection was kept
    # One recording has both parts, and silence in between.
    [away], [back] = await house.events(call, "call.away"), await house.events(call, "call.back")
    audio = await asyncio.to_thread((await house.recording(call)).read_pcm)
    parts = audio[: away.at_ms * 8], audio[(away.at_ms + 100) * 8 : back.at_ms * 8], audio[back.at_ms * 8 :]
    assert [bool(np.abs(part).max() > 1000) for part in parts] == [True, False, True]


async def a_destination_that_comes_back_to_us_is_not_dialled(house: Any) -> None:
    call = await ask_for_sales(house, "loop")
    await house.hear_out(call)
    [refused] = await happened(house, call, "transfer.refused")
    assert refused == {"destination": "sales", "why": "loop"}
    assert verbs(call) == [("Connect", "")]
    await call.hang_up()
    await house.ended_row(call)
    assert [turn.text for turn in await house.turns(call)][-1] == "I am sorry, I cannot connect you from here."


async def a_caller_who_hangs_up_while_it_rings_has_hung_up(house: Any) -> None:
    call = await ask_for_sales(house, "leaves")
    await happened(house, call, "transfer.ringing")
    await call.hang_up()
    assert (await house.ended_row(call)).end_reason == "caller_hung_up"
    assert await attempts(house, call) == [(RINGS_LONG, "caller_hung_up")]
    assert verbs(call) == [("Connect", ""), ("Dial", RINGS_LONG)]


async def a_message_is_taken_when_nobody_answers(house: Any) -> None:
    call = await ask_for_sales(house, "message")
    await happened(house, call, "message.began")
    await call.silence(0.3)
    await call.press("#")
    await call.ended()
    assert [data["end_ms"] > data["start_ms"] for data in await happened(house, call, "message.empty")] == [True]
    assert (await house.ended_row(call)).end_reason == "bot_ended"


async def twilio_says_that_nobody_answers_and_hangs_up(house: Any) -> None:
    call = await ask_for_sales(house, "hangs-up")
    await call.ended()
    assert verbs(call)[1:] == [("Dial", NOBODY), ("Say", ""), ("Hangup", "")]
    assert "nobody could take the call" in call.twiml_log[-1].body
    assert (await house.ended_row(call)).end_reason == "bot_ended"


async def test_cold_transfers_answered_busy_unanswered_looping_and_left(house: Any) -> None:
    """All at once, because each of them is mostly waiting."""
    async with asyncio.TaskGroup() as calls:
        calls.create_task(one_who_answers_talks_and_the_call_was_transferred(house))
        calls.create_task(the_second_is_rung_when_the_first_is_busy_each_for_its_own_time(house))
        calls.create_task(when_nobody_answers_the_agent_is_back_and_says_so(house))
        calls.create_task(a_destination_that_comes_back_to_us_is_not_dialled(house))
        calls.create_task(a_caller_who_hangs_up_while_it_rings_has_hung_up(house))
        calls.create_task(a_message_is_taken_when_nobody_answers(house))
        calls.create_task(twilio_says_that_nobody_answers_and_hangs_up(house))
    assert house.server.services.live.count == 0
