"""Tools, keys, and what is kept between calls."""

import asyncio

import numpy as np

from tests.calls.alignment import align
from tests.calls.odd_bots import bot_whose_opening_hours


async def test_a_key_reaches_the_model(quiet_house):
    house = quiet_house
    call = await house.dial_quietly()
    await call.press("5")
    await house.hear_out(call)
    assert (await house.turns(call))[-1].text == "You pressed five."
    [event] = await house.events(call, "caller.digit")
    assert event.data == {"digit": "5"}


async def book(house, *, from_: str) -> tuple[str, str]:
    """Call, ask for Tuesday at ten; returns the agent's last two answers."""
    call = await house.dial_quietly(from_=from_)
    await house.say(call, "book-tuesday")
    await house.hear_out(call)
    await house.say(call, "name-alex")
    await house.hear_out(call)
    answer = (await house.turns(call))[-1].text
    await call.hang_up()
    await call.ended()
    return answer, (await house.row(call)).call_id


async def test_of_two_callers_who_book_one_hour_one_succeeds_and_a_later_call_can_cancel(quiet_house):
    house = quiet_house
    answers = await asyncio.gather(book(house, from_="+15550000001"), book(house, from_="+15550000002"))
    assert sorted(answer for answer, _ in answers) == [
        "I am sorry, Tuesday at ten is taken. Another day or time?",
        "Your appointment is booked for Tuesday at ten. Is there anything else?",
    ]
    later = await house.dial_quietly(from_="+15550000001")
    await house.say(later, "cancel-appointment")
    await house.hear_out(later)
    assert (await house.turns(later))[-1].text == "Your appointment on Tuesday at ten is cancelled."


async def test_two_calls_at_once_do_not_mix(quiet_house):
    house = quiet_house

    async def talk(clip: str) -> list[str]:
        call = await house.dial_quietly()
        await house.say(call, clip)
        await house.hear_out(call)
        await call.hang_up()
        await call.ended()
        await house.ended_row(call)
        return [turn.text for turn in await house.turns(call)]

    first, second = await asyncio.gather(talk("ask-sunday"), talk("no-thanks"))
    assert first == ["And are you open on Sunday?", "I am sorry, on Sunday we are closed."]
    assert second == ["No, thanks.", "All right. Just tell me if there is anything else."]


async def test_a_survey_asks_its_questions_one_by_one_and_keeps_typed_answers(house):
    call = await house.dial(to="+15551230101")
    await house.hear_out(call)
    for clip in ("rate-four", "reason-waiting", "recommend-yes"):
        await house.say(call, clip)
        if clip != "recommend-yes":
            await house.hear_out(call)
    outcome = await call.ended()
    assert outcome.ended_by == "server"
    answers = await house.records("survey").list("answer")
    assert sorted((record.key.split()[-1], record.data["value"]) for record in answers) == [
        ("rating", 4.0),
        ("reason", "The waiting time was a bit long."),
        ("recommend", True),
    ]


async def test_echo_says_back_what_it_hears(house):
    call = await house.dial(to="+15551230102")
    await call.silence(0.5)
    await house.say(call, "ask-opening-hours")
    await call.silence(1.5)
    await call.hang_up()
    await call.ended()
    offset_ms, likeness = house.best_offset(call.spoken_audio(), call.heard_audio(), most_ms=2000)
    assert 950 <= offset_ms <= 1500
    echo = call.heard_audio()[round(offset_ms) * 8 :]
    windows = align(call.spoken_audio(), echo)
    assert len(windows) >= 2
    assert np.mean([window.likeness > 0.9 for window in windows]) >= 0.6, (likeness, windows)


async def test_a_tool_that_raises_is_apologised_for_and_shown(make_house, bots_with):
    bots_dir = bots_with("broken", bot_whose_opening_hours('raise ValueError("the diary is on fire")'))
    house = await make_house(agents={"front-desk": {"bot": "broken", "greeting": ""}}, bots_dir=bots_dir)
    call = await house.dial_quietly()
    await house.say(call, "ask-opening-hours")
    await house.hear_out(call)
    last = (await house.turns(call))[-1]
    assert last.text == "I am sorry, something went wrong on my side. Could you say that again?"
    assert last.error == "opening_hours: ValueError: the diary is on fire"
    [failed] = await house.events(call, "tool.failed")
    assert failed.data["name"] == "opening_hours"
