"""A long call outlives its model's connections: twenty of them, and it is still the same conversation."""

import asyncio

import pytest

from simulators.script import parse_script

SCRIPT = """
name: remembers
rules:
  - hear: tell-fact
    set: {fact: pineapple}
    say: Thank you. I will remember that.
  - hear: ask-fact
    if: vars.fact
    say: "The code word is {vars.fact}."
    else: You have not told me the code word yet.
  - hear: ask-sunday
    call: {tool: opening_hours, args: {day: sunday}}
    then: I am sorry, on Sunday we are closed.
  - hear: no-thanks
    say: All right. Just tell me if there is anything else.
  - hear: goodbye
    say: Goodbye!
otherwise: I heard you speak. Could you say that another way?
"""
SAID = {
    "tell-fact": ("The code word is pineapple.", "Thank you. I will remember that."),
    "ask-sunday": ("And are you open on Sunday?", "I am sorry, on Sunday we are closed."),
    "no-thanks": ("No, thanks.", "All right. Just tell me if there is anything else."),
    "ask-fact": ("What is the code word?", "The code word is pineapple."),
}


@pytest.mark.parametrize(
    ("rollovers", "limit_secs"),
    [
        (2, 5.0),
        pytest.param(20, 7.0, marks=[pytest.mark.soak, pytest.mark.timeout(400)]),
    ],
)
@pytest.mark.parametrize("is_refused", [False, pytest.param(True, marks=pytest.mark.soak)], ids=["resumed", "seeded"])
async def test_the_conversation_goes_on_over_many_connections(make_house, rollovers, limit_secs, is_refused):
    house = await make_house(
        agents={"front-desk": {"greeting": ""}}, gemini={"scripts": [parse_script(SCRIPT, source="remembers")]}
    )
    house.gemini.arm("connection-limit", times=None, limit_secs=limit_secs, notice_secs=3.0)
    if is_refused:
        house.gemini.arm("resume-refused", times=None, code=1007)
    call = await house.dial_quietly()
    spoken = ["tell-fact"]
    await ask(house, call, "tell-fact")
    while len(await ready(house, call)) <= rollovers:
        clip = ("ask-sunday", "no-thanks")[len(spoken) % 2]
        spoken.append(clip)
        await ask(house, call, clip)
    spoken.append("ask-fact")
    await ask(house, call, "ask-fact")
    await call.hang_up()
    await house.ended_row(call)

    # Every sentence is there once, in order, and so is every answer; the last one uses what was told at first.
    assert [turn.text for turn in await house.turns(call)] == [text for clip in spoken for text in SAID[clip]]
    # Each connection was replaced before it was closed, and nothing was said or heard twice.
    beginnings = [event.data["beginning"] for event in await ready(house, call)]
    assert set(beginnings[1:]) == ({"seeded"} if is_refused else {"resumed"})
    assert {event.data["cause"] for event in await house.events(call, "model.lost")} <= {"handover", "dropped"}
    results = [result.call_id for talk in house.gemini.talks for result in talk.tool_results]
    assert len(results) == len(set(results)) == spoken.count("ask-sunday")
    assert all(result.is_expected for talk in house.gemini.talks for result in talk.tool_results)


async def test_what_a_new_connection_was_told_is_told_again_when_it_ends_before_it_answers(make_house):
    """The handle that a connection gives out when it is set up does not stand for what it is told after that."""
    house = await make_house(
        agents={"front-desk": {"greeting": ""}}, gemini={"scripts": [parse_script(SCRIPT, source="remembers")]}
    )
    call = await house.dial_quietly()
    await ask(house, call, "tell-fact")
    house.gemini.arm("resume-refused", code=1007)
    for connections in (2, 3):
        await house.gemini.conversations[-1].close(1011)
        async with asyncio.timeout(10):
            while len(await ready(house, call)) < connections:  # noqa: ASYNC110 - a database has no event to wait for
                await asyncio.sleep(0.05)
    await ask(house, call, "ask-fact")
    await call.hang_up()
    assert [event.data["beginning"] for event in await ready(house, call)] == ["new", "seeded", "resumed"]
    assert (await house.turns(call))[-1].text == "The code word is pineapple."


async def ready(house, call):
    return await house.events(call, "model.ready")


async def ask(house, call, clip: str) -> None:
    """Say something and hear the answer out; the answer is the model's when it is the one that was expected."""
    before = len(await house.events(call, "turn.agent"))
    await house.say(call, clip)
    await call.wait_heard(timeout_secs=15)
    await call.wait_quiet(quiet_ms=600)
    async with asyncio.timeout(10):
        while len(await house.events(call, "turn.agent")) == before:  # noqa: ASYNC110 - a database has no event to wait for
            await asyncio.sleep(0.05)
