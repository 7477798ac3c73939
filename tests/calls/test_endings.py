"""Why a call ends, and that nobody is cut off on the way."""


async def test_the_goodbye_is_heard_to_its_last_word(quiet_house):
    house = quiet_house
    call = await house.dial_quietly()
    await house.say(call, "goodbye")
    outcome = await call.ended()
    assert outcome.ended_by == "server"
    assert [verb for _, verb, _ in outcome.verbs] == ["Connect", "Hangup"]
    goodbye = (await house.turns(call))[-1]
    assert goodbye.text == "Thank you for calling. Goodbye!"
    assert not goodbye.interrupted
    # What the caller heard of it is as long as the sentence is, to within the silence at its ends.
    heard_ms = sum(end - max(start, goodbye.start_ms) for start, end in call.heard_segments() if end > goodbye.start_ms)
    assert heard_ms > 0.85 * (goodbye.end_ms - goodbye.start_ms)
    assert not call.clears


async def test_silence_is_asked_once_and_then_ends_with_a_goodbye(make_house):
    limits = {"silence_ask_secs": 2, "silence_hangup_secs": 6}
    house = await make_house(agents={"front-desk": {"limits": limits}})
    call = await house.dial()
    outcome = await call.ended()
    assert outcome.ended_by == "server"
    assert [turn.text for turn in await house.turns(call)] == [
        "Good morning, Blue Door Dental. How can I help?",
        "Are you still there?",
        "I will hang up now. Goodbye!",
    ]
    assert (await house.ended_row(call)).end_reason == "silence"


async def test_a_caller_who_answers_the_question_goes_on(make_house):
    limits = {"silence_ask_secs": 2, "silence_hangup_secs": 5}
    house = await make_house(agents={"front-desk": {"limits": limits}})
    call = await house.dial()
    await house.hear_out(call)
    await call.wait_heard()
    await call.wait_quiet(quiet_ms=400)
    await house.say(call, "hello")
    await call.wait_heard()
    await call.wait_quiet(quiet_ms=400)
    await house.say(call, "goodbye")
    await call.ended()
    texts = [turn.text for turn in await house.turns(call)]
    assert texts.count("Are you still there?") == 1
    assert (await house.ended_row(call)).end_reason == "bot_ended"


async def test_the_longest_call_ends_after_a_warning(make_house):
    limits = {"max_call_secs": 10, "warn_before_secs": 5, "silence_ask_secs": 60, "silence_hangup_secs": 90}
    house = await make_house(agents={"front-desk": {"limits": limits}})
    call = await house.dial()
    outcome = await call.ended()
    turns = await house.turns(call)
    assert [turn.text for turn in turns[1:]] == ["We have one minute left.", "Thank you for calling. Goodbye!"]
    assert 5000 <= turns[1].start_ms < 6500
    assert outcome.duration_ms < 14_000
    assert (await house.ended_row(call)).end_reason == "time_limit"


async def test_a_lost_socket_is_no_hang_up(quiet_house):
    house = quiet_house
    call = await house.dial_quietly()
    call.caller.socket.abort()
    await call.ended()
    assert (await house.ended_row(call)).end_reason == "connection_lost"
