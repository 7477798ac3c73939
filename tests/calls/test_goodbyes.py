"""Goodbyes that do not go as planned, and a model that thinks for long."""


async def test_a_caller_who_interrupts_the_goodbye_is_answered_and_can_say_goodbye_again(quiet_house):
    house = quiet_house
    call = await house.dial_quietly()
    await house.say(call, "goodbye")
    await call.wait_heard()
    await call.silence(0.4)
    await house.say(call, "wait-book")
    await house.hear_out(call)
    assert (await house.row(call)).status == "live"
    assert len(await house.events(call, "goodbye.taken_back")) == 1
    last = (await house.turns(call))[-1]
    assert last.text == "Of course. Which day and time would suit you?"
    await house.say(call, "goodbye")
    outcome = await call.ended()
    assert outcome.ended_by == "server"
    assert (await house.ended_row(call)).end_reason == "bot_ended"


async def test_a_caller_who_waits_for_a_slow_model_is_not_asked_whether_he_is_there(make_house):
    limits = {"silence_ask_secs": 2, "silence_hangup_secs": 15}
    agents = {"front-desk": {"limits": limits, "greeting": ""}}
    house = await make_house(agents=agents, gemini={"reply_delay_ms": 2000})
    call = await house.dial_quietly()
    await house.say(call, "no-thanks")
    await house.hear_out(call)
    await call.hang_up()
    await call.ended()
    assert [turn.text for turn in await house.turns(call)] == [
        "No, thanks.",
        "All right. Just tell me if there is anything else.",
    ]
    assert not await house.events(call, "silence.asked")
