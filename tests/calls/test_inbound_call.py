"""The first test of the house: somebody calls the front desk. Readable as a story; its snapshot is the event list."""


async def test_a_caller_asks_for_the_opening_hours_and_says_goodbye(house):
    call = await house.dial()

    await house.hear_out(call)
    await house.say(call, "ask-opening-hours")
    await house.hear_out(call)
    await house.say(call, "goodbye")
    outcome = await call.ended()

    assert outcome.ended_by == "server"
    assert [(turn.speaker, turn.text) for turn in await house.turns(call)] == [
        ("agent", "Good morning, Blue Door Dental. How can I help?"),
        ("caller", "Hi, what are your opening hours on Monday?"),
        (
            "agent",
            "On Monday we are open from nine to five. You can reach us by phone all day, "
            "and we keep a few places free every morning for urgent cases.",
        ),
        ("caller", "That's all, thank you. Goodbye!"),
        ("agent", "Thank you for calling. Goodbye!"),
    ]
    row = await house.ended_row(call)
    assert (row.status, row.end_reason, row.recording_status) == ("ended", "bot_ended", "complete")
    kinds = [event.kind for event in await house.events(call)]
    assert [kind for kind in kinds if not kind.startswith(("model.", "latency."))] == [
        "call.live",
        "agent.began",
        "turn.agent",
        "caller.started",
        "turn.caller",
        "caller.stopped",
        "tool.called",
        "tool.result",
        "agent.began",
        "turn.agent",
        "caller.started",
        "turn.caller",
        "caller.stopped",
        "tool.called",
        "tool.result",
        "agent.began",
        "turn.agent",
        "call.ended",
    ]
    assert kinds.count("latency.reply") == 2


async def test_the_greeting_comes_first_and_at_once(house):
    call = await house.dial()
    began_ms, _ = await house.hear_out(call)
    assert began_ms < 2000
    await call.hang_up()
    await call.ended()
    row = await house.ended_row(call)
    assert row.end_reason == "caller_hung_up"
    [greeting] = await house.turns(call)
    assert greeting.text == "Good morning, Blue Door Dental. How can I help?"
    [first] = [start for start, _ in call.heard_segments()][:1]
    assert abs(greeting.start_ms - first) < 500  # before the first mark is back, a late loop shows here


async def test_a_recording_is_announced_before_the_greeting(make_house):
    recording = {"enabled": True, "consent": "announce"}
    house = await make_house(agents={"front-desk": {"recording": recording, "greeting": "Hello! How can I help?"}})
    call = await house.dial()
    await house.hear_out(call)
    await call.hang_up()
    await call.ended()
    await house.ended_row(call)
    announced, greeted = (await house.turns(call))[:2]
    assert (announced.text, greeted.text) == ("This call may be recorded.", "Hello! How can I help?")
    # It needs no model, so the model gets ready meanwhile.
    assert announced.start_ms < 1500


async def test_an_agent_without_recording_keeps_no_audio(make_house):
    house = await make_house(agents={"front-desk": {"recording": {"enabled": False}}})
    call = await house.dial()
    await call.wait_heard()
    await call.hang_up()
    await call.ended()
    row = await house.ended_row(call)
    assert row.recording_status == "none"
    assert not (house.data_dir / "recordings" / row.call_id).exists()
