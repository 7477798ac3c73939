"""One agent hands a call over to another: heard with the other one's voice, told what was said, in one transcript."""

import asyncio
from typing import Any

import numpy as np

from simulators.clips import caller_clips
from simulators.script import Script, parse_script
from tests.calls.test_on_failure import CASCADE

ASKED = caller_clips()["transfer-me"].text
CONNECT = "One moment, I will connect you."
SORRY, HELLO = "I am sorry, I cannot connect you from here.", "Hello! How can I help?"
SUMMARY = "The caller has an open bill."

HAND_OVER = """
    call: {{tool: hand_over_to, args: {{agent: {to}, summary: "{summary}"}}}}
    then: {{if: result.refused, say: "{sorry}"}}
"""


def script(name: str, instruction: str, *, to: str, words: str = CONNECT) -> Script:
    hand_over = HAND_OVER.format(to=to, summary=SUMMARY, sorry=SORRY)
    said = f'say: "{words}"' if words else "set: {x: y}"
    return parse_script(f"""\
name: {name}
when: {{tools: [hand_over_to], instruction: {instruction}}}
rules:
  - hear: transfer-me
    {said}{hand_over}
otherwise: I heard you speak. Could you say that another way?
""")


def agents() -> dict[str, Any]:
    live = {"model": "gemini-3.8-live"}
    voice = [{"gemini_live": live | {"voice": "Puck"}} if s == "gemini_live" else s for s in PLAIN]
    cascade = [stage for stage in CASCADE if stage not in ("recorder", "transcript")]
    desk = {"greeting": "", "instructions": "You are the front desk.", "handoff": {"to": {"billing": "Bills"}}}
    taking = {"to": {"repairs": "Broken things"}, "greeting": HELLO}
    return {
        "front-desk": desk,
        "billing": {
            "numbers": [],
            "instructions": "You are the billing office.",
            "pipeline": voice,
            "limits": {"silence_ask_secs": 5},
            "handoff": taking,
        },
        "repairs": {"numbers": [], "pipeline": cascade, "handoff": {"greeting": HELLO}},
    }


PLAIN: list[Any] = ["transport.input", "silero_vad", "user_turns", "gemini_live", "transport.output"]
SCRIPTS = [script("desk", "front desk", to="billing"), script("billing", "billing office", to="repairs")]


async def happened(house: Any, call: Any, kind: str, count: int = 1) -> None:
    async with asyncio.timeout(15):
        while len(await house.events(call, kind)) < count:  # noqa: ASYNC110 - a database has no event to wait for
            await asyncio.sleep(0.05)


async def test_the_other_agent_goes_on_with_its_own_voice_and_knows_what_was_said(make_house: Any) -> None:
    house = await make_house(agents=agents(), gemini={"scripts": SCRIPTS})
    call = await house.dial_quietly()
    await house.say(call, "transfer-me")
    await happened(house, call, "agent.handed_over")
    await call.wait_heard()
    await call.wait_quiet(quiet_ms=600)
    await house.say(call, "transfer-me")
    await happened(house, call, "turn.agent", 4)  # the third one speaks at once, by a tone
    await call.hang_up()
    row = await house.ended_row(call)
    assert (row.end_reason, row.agent_name, row.recording_status) == ("caller_hung_up", "front-desk", "complete")

    # One transcript, in order, with the last words of each agent whole, and no silence where one follows the other.
    turns = await house.turns(call)
    assert [turn.text for turn in turns] == [ASKED, CONNECT, HELLO] * 2
    assert not any(turn.interrupted for turn in turns)
    for last, first in ((turns[1], turns[2]), (turns[4], turns[5])):
        assert first.start_ms - last.end_ms < 2000
    events = await house.events(call, "agent.handed_over")
    assert [event.data for event in events] == [
        {"from_agent": "front-desk", "to_agent": "billing", "summary": SUMMARY},
        {"from_agent": "billing", "to_agent": "repairs", "summary": SUMMARY},
    ]
    assert turns[1].end_ms <= events[0].at_ms <= turns[2].start_ms
    handing = (await house.events(call, "agent.handing_over"))[0]
    assert handing.at_ms < turns[1].end_ms

    # The second model has its own voice and words, and was told everything.
    _, two = house.gemini.conversations
    speech = two.setup["generationConfig"]["speechConfig"]["voiceConfig"]["prebuiltVoiceConfig"]["voiceName"]
    assert speech == "Puck"
    instructed = str(two.setup["systemInstruction"])
    assert all(words in instructed for words in ("billing office", "from front-desk", SUMMARY))
    assert two.history[:2] == [("user", ASKED), ("model", CONNECT)]

    # The recording goes on as it was begun, though the other agents' pipelines have no recorder.
    agent = (await asyncio.to_thread((await house.recording(call)).read_pcm))[turns[5].start_ms * 8 :, 1]
    assert np.abs(agent).max() > 4000


async def test_a_handoff_that_fails_leaves_the_call_where_it_is(make_house: Any) -> None:
    scripts = [script("desk", "front desk", to="billing", words=""), SCRIPTS[1]]
    house = await make_house(agents=agents(), gemini={"scripts": scripts})
    call = await house.dial_quietly()
    house.gemini.arm("http-401", times=None)
    await house.say(call, "transfer-me")
    await happened(house, call, "tool.refused")
    house.gemini.disarm()
    await house.hear_out(call)
    await call.hang_up()
    await house.ended_row(call)
    # The caller of an agent that says nothing of its own before hears that it takes a moment.
    assert [turn.text for turn in await house.turns(call)] == [ASKED, "One moment, please.", SORRY]
    [refused] = await house.events(call, "tool.refused")
    assert (refused.data["name"], refused.data["why"]) == ("hand_over_to", "not_possible")
    assert "cannot be reached" in refused.data["reason"]
