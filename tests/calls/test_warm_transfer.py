"""Warm transfers on live calls: who hears what, who decides, and the agent who is back when nobody takes the call."""

import asyncio
from typing import Any

import numpy as np
import pytest

from pipelines.hold_music import hold_music
from simulators.call_setup import AnswerPolicy
from simulators.clips import caller_clips
from simulators.script import parse_script
from simulators.simulated_call import SimulatedCall
from tests.calls.alignment import align

SUMMARY = "Alex wants to move Tuesday's appointment."
OWNER = {"describe": "Whoever asks for the owner.", "mode": "warm"}
MODEL = parse_script(f"""
name: asks before it puts through
rules:
  - hear: transfer-me
    call: {{tool: transfer_call, args: {{destination: owner, summary: "{SUMMARY}"}}}}
    then:
      if: result.outcome == refused
      say: "I am sorry, they cannot talk now."
      else: "I am sorry, nobody is there."
  - hear: goodbye
    call: {{tool: end_call}}
    then: "Goodbye!"
otherwise: "Sure. I am listening."
""")

# Each scenario has an agent and people of its own, so that all of them can be played at once.
DESKS: dict[str, dict[str, Any]] = {
    "key": {"to": ["+15551230201"]},
    "voice": {"to": ["+15551230202"], "hold": "silence"},
    "refused": {"to": ["+15551230203"]},
    "unanswered": {"to": ["+15551230204"]},
    "second": {"to": ["+15551230205", "+15551230206"]},
    "leaves": {"to": ["+15551230207"]},
    "unsure": {"to": ["+15551230208"]},
    "late": {"to": ["+15551230209"]},
    "machine": {"to": ["+15551230210"], "detect_machines": True},
    "hangs-up": {"to": ["+15551230211"]},
}
LINES = {name: f"+155512303{position:02}" for position, name in enumerate(DESKS)}
PEOPLE = {
    "+15551230201": AnswerPolicy(after_ms=700, replies=("1",)),
    "+15551230202": AnswerPolicy(replies=("yes, put them through",)),
    "+15551230203": AnswerPolicy(replies=("2",)),
    "+15551230204": AnswerPolicy("no-answer", after_ms=300),
    "+15551230205": AnswerPolicy("busy"),
    "+15551230206": AnswerPolicy(replies=("1",)),
    "+15551230207": AnswerPolicy(after_ms=8000),
    "+15551230208": AnswerPolicy(replies=("who is this", "9")),
    "+15551230209": AnswerPolicy(),
    "+15551230210": AnswerPolicy(answered_by="machine_start", detection_ms=200),
    "+15551230211": AnswerPolicy(),
}


@pytest.fixture
async def house(make_house: Any) -> Any:
    agents: dict[str, Any] = {
        f"desk-{name}": {"numbers": [LINES[name]], "greeting": "", "transfers": {"owner": OWNER | transfer}}
        for name, transfer in DESKS.items()
    }
    house = await make_house(agents=agents, gemini={"scripts": [MODEL]})
    house.twilio.answer_policy = lambda setup: PEOPLE[setup.to]
    return house


async def ask_for_owner(house: Any, desk: str) -> SimulatedCall:
    call = await house.dial_quietly(to=LINES[desk])
    await house.say(call, "transfer-me")
    return call


async def leg(house: Any, number: str) -> SimulatedCall:
    """The call that the server has placed to this number."""
    async with asyncio.timeout(10):
        while True:
            for call in house.twilio.calls.values():
                if call.setup.to == number:
                    return call
            await asyncio.sleep(0.02)


async def happened(house: Any, call: SimulatedCall, kind: str, count: int = 1) -> list[dict[str, Any]]:
    async with asyncio.timeout(20):
        while len(found := await house.events(call, kind)) < count:  # noqa: ASYNC110 - a database has no event to wait for
            await asyncio.sleep(0.05)
    return [event.data for event in found]


async def attempts(house: Any, call: SimulatedCall) -> list[tuple[str, str]]:
    return [(event.data["address"], event.data["outcome"]) for event in await house.events(call, "transfer.attempt")]


def verbs(call: SimulatedCall) -> list[str]:
    return [verb for _, verb, _ in call.verbs]


def said(call: SimulatedCall) -> str:
    return " ".join(detail for _, verb, detail in call.verbs if verb == "Say")


async def talk_and_end(house: Any, caller: SimulatedCall, person: SimulatedCall, who_leaves: SimulatedCall) -> Any:
    """Both are in one room and hear each other; one leaves, and the other's call ends."""
    await happened(house, caller, "transfer.joined", 2)
    row = await house.row(caller)
    assert (row.status, row.owner) == ("live", None), "they talk, and no process of ours holds the call"
    [room] = [one for one in house.twilio.rooms.history if caller.sid in {each.call_sid for each in one.participants}]
    heard = {one.call_sid: one.heard for one in room.participants}
    assert heard == {caller.sid: {person.sid}, person.sid: {caller.sid}}
    await asyncio.sleep(1.1)
    await who_leaves.hang_up()
    for call in (caller, person):
        assert (await call.ended()).errors == []
    ended = await house.ended_row(caller)
    assert ended.end_reason == "transferred"
    assert ended.ended_at - ended.live_at > row.live_at - ended.live_at
    return room


async def one_who_presses_the_key_is_in_a_room_with_the_caller(house: Any) -> None:
    call = await ask_for_owner(house, "key")
    person = await leg(house, "+15551230201")
    room = await talk_and_end(house, call, person, person)
    assert (
        said(person)
        == f"A call for you. {SUMMARY} To take the call, press 1 or say yes. To decline, press 2 or say no."
    )
    assert person.setup.from_ == LINES["key"]
    assert room.ended_because == "participant-with-end-conference-on-exit-left"
    assert verbs(call) == ["Connect", "Conference"]
    # The caller heard music meanwhile, and nothing of the summary; the transcript has what was said, and no music.
    heard = await asyncio.to_thread(call.heard_audio)
    music = np.frombuffer(hold_music().pcm, np.int16)[::3].astype(np.float64)
    [began], [ended] = await house.events(call, "hold.began"), await house.events(call, "transfer.accepted")
    while_held = heard[began.at_ms * 8 : ended.at_ms * 8]
    windows = align(music[: len(while_held)], while_held, window_ms=250, most_ms=600)
    # Gaps that a busy machine leaves in it make it less alike; speech, or silence, is not alike at all.
    assert np.mean([window.likeness > 0.4 for window in windows]) >= 0.5, windows
    assert [turn.text for turn in await house.turns(call)] == [caller_clips()["transfer-me"].text]
    kinds = [event.kind for event in await house.events(call) if event.kind.startswith(("transfer.", "call."))]
    assert kinds == [
        "call.live",
        "transfer.begun",
        "transfer.ringing",
        "transfer.briefed",
        "transfer.accepted",
        "transfer.moved",
        "transfer.joined",
        "transfer.joined",
        "transfer.left",
        "transfer.ended",
        "call.ended",
    ]
    assert {event.data["who"] for event in await house.events(call, "transfer.joined")} == {"caller", "person"}
    [over] = await happened(house, call, "transfer.ended")
    assert over["destination"] == "owner"
    assert 1 <= over["talked_secs"] <= 4
    assert (await house.row(call)).recording_status == "complete"


async def one_who_says_yes_is_in_a_room_and_the_caller_may_leave_it_first(house: Any) -> None:
    call = await ask_for_owner(house, "voice")
    person = await leg(house, "+15551230202")
    await talk_and_end(house, call, person, call)
    assert verbs(person) == ["Gather", "Say", "Conference"]


async def one_who_declines_leaves_the_caller_with_the_agent_who_knows_it(house: Any) -> None:
    call = await ask_for_owner(house, "refused")
    person = await leg(house, "+15551230203")
    await happened(house, call, "turn.agent")
    await house.say(call, "goodbye")
    await call.ended()
    assert said(person).endswith("All right, the caller will be told. Goodbye.")
    assert await attempts(house, call) == [("+15551230203", "refused")]
    assert (await house.ended_row(call)).end_reason == "bot_ended"
    clips = caller_clips()
    assert [turn.text for turn in await house.turns(call)] == [
        clips["transfer-me"].text,
        "I am sorry, they cannot talk now.",
        clips["goodbye"].text,
        "Goodbye!",
    ]
    [result] = [
        event.data["result"]
        for event in await house.events(call, "tool.result")
        if event.data["name"] == "transfer_call"
    ]
    assert (result["transferred"], result["outcome"], result["because"]) == (
        False,
        "refused",
        "owner cannot take the call now.",
    )
    assert len(await house.events(call, "model.ready")) == 1


async def one_who_does_not_answer_leaves_the_caller_with_the_agent(house: Any) -> None:
    call = await ask_for_owner(house, "unanswered")
    await happened(house, call, "turn.agent")
    await call.hang_up()
    assert await attempts(house, call) == [("+15551230204", "no_answer")]
    assert (await house.ended_row(call)).end_reason == "caller_hung_up"
    assert (await house.turns(call))[-1].text == "I am sorry, nobody is there."


async def the_second_is_rung_when_the_first_is_busy(house: Any) -> None:
    call = await ask_for_owner(house, "second")
    person = await leg(house, "+15551230206")
    await talk_and_end(house, call, person, person)
    assert await attempts(house, call) == [("+15551230205", "busy")]


async def a_caller_who_hangs_up_meanwhile_lets_no_phone_ring_on(house: Any) -> None:
    call = await ask_for_owner(house, "leaves")
    person = await leg(house, "+15551230207")
    await happened(house, call, "transfer.ringing")
    await call.hang_up()
    outcome = await person.ended()
    assert (outcome.status, outcome.ended_by) == ("canceled", "server")
    assert (await house.ended_row(call)).end_reason == "caller_hung_up"
    assert await attempts(house, call) == [("+15551230207", "caller_left")]


async def one_who_does_not_decide_is_asked_twice(house: Any) -> None:
    call = await ask_for_owner(house, "unsure")
    person = await leg(house, "+15551230208")
    await happened(house, call, "transfer.failed")
    assert verbs(person)[:4] == ["Gather", "Say", "Gather", "Say"]
    assert said(person).count(SUMMARY) == 1
    assert await attempts(house, call) == [("+15551230208", "undecided")]
    await call.hang_up()


async def one_who_accepts_when_the_caller_has_just_hung_up_is_told_so(house: Any) -> None:
    call = await ask_for_owner(house, "late")
    person = await leg(house, "+15551230209")
    await happened(house, call, "transfer.briefed")
    leaving = asyncio.create_task(call.hang_up())
    await person.press("1")
    await leaving
    outcome = await person.ended()
    assert outcome.status == "completed"
    assert said(person).endswith("The caller has hung up. Goodbye.")
    assert (await house.ended_row(call)).end_reason in ("caller_hung_up", "transferred")


async def a_machine_is_hung_up_on(house: Any) -> None:
    call = await ask_for_owner(house, "machine")
    person = await leg(house, "+15551230210")
    assert (await person.ended()).ended_by == "server"
    await happened(house, call, "transfer.failed")
    assert await attempts(house, call) == [("+15551230210", "machine")]
    await call.hang_up()


async def one_who_hangs_up_instead_of_deciding_leaves_the_caller_with_the_agent(house: Any) -> None:
    call = await ask_for_owner(house, "hangs-up")
    person = await leg(house, "+15551230211")
    await happened(house, call, "transfer.briefed")
    await person.hang_up()
    await happened(house, call, "transfer.failed")
    assert await attempts(house, call) == [("+15551230211", "undecided")]
    await call.hang_up()


async def test_warm_transfers_accepted_declined_unanswered_and_left(house: Any) -> None:
    """All at once, because each of them is mostly waiting."""
    async with asyncio.TaskGroup() as calls:
        calls.create_task(one_who_presses_the_key_is_in_a_room_with_the_caller(house))
        calls.create_task(one_who_says_yes_is_in_a_room_and_the_caller_may_leave_it_first(house))
        calls.create_task(one_who_declines_leaves_the_caller_with_the_agent_who_knows_it(house))
        calls.create_task(one_who_does_not_answer_leaves_the_caller_with_the_agent(house))
        calls.create_task(the_second_is_rung_when_the_first_is_busy(house))
        calls.create_task(a_caller_who_hangs_up_meanwhile_lets_no_phone_ring_on(house))
        calls.create_task(one_who_does_not_decide_is_asked_twice(house))
        calls.create_task(one_who_accepts_when_the_caller_has_just_hung_up_is_told_so(house))
        calls.create_task(a_machine_is_hung_up_on(house))
        calls.create_task(one_who_hangs_up_instead_of_deciding_leaves_the_caller_with_the_agent(house))
    assert house.server.services.live.count == 0
