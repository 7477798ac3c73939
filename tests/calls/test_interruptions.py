"""The caller speaks while the agent does: silence at once, and a transcript of what was heard and no more."""

import asyncio

import numpy as np

from tests.calls.alignment import align

FULL = (
    "On Monday we are open from nine to five. You can reach us by phone all day, "
    "and we keep a few places free every morning for urgent cases."
)


async def test_barge_in_stops_speech_and_keeps_only_what_was_heard(quiet_house):
    house = quiet_house
    call = await house.dial_quietly()
    await house.say(call, "ask-opening-hours")
    answer_ms = await call.wait_heard()
    await call.silence(1.5)
    caller_ms, _ = await house.say(call, "wait-book")
    [clear] = call.clears
    assert clear.at_ms - caller_ms < 1000, "the agent talked on over the caller"
    heard_until_ms = max(heard.end_ms for heard in call.heard if heard.start_ms < clear.at_ms)
    await house.hear_out(call)
    await call.hang_up()
    await call.ended()
    await house.ended_row(call)

    turns = await house.turns(call)
    [cut] = [turn for turn in turns if turn.interrupted]
    assert abs(cut.end_ms - heard_until_ms) <= 200
    assert abs(cut.start_ms - answer_ms) <= 200
    assert FULL.startswith(cut.text)
    assert cut.text != FULL
    words_heard = len(FULL.split()) * (cut.end_ms - cut.start_ms) / 8400
    assert abs(len(cut.text.split()) - words_heard) <= 4
    assert [turn.text for turn in turns[-2:]] == [
        "Oh wait, sorry, I would like to book an appointment.",
        "Of course. Which day and time would suit you?",
    ]
    assert [event.at_ms for event in await house.events(call, "agent.interrupted")] == [cut.end_ms]


async def test_the_recording_holds_what_the_caller_heard_and_nothing_else(quiet_house):
    house = quiet_house
    call = await house.dial_quietly()
    await house.say(call, "ask-opening-hours")
    await call.wait_heard()
    await call.silence(1.0)
    await house.say(call, "wait-book")
    await house.hear_out(call)
    await call.hang_up()
    await call.ended()
    await house.ended_row(call)

    recorded = await asyncio.to_thread((await house.recording(call)).read_pcm)
    offset_ms, likeness = house.best_offset(call.spoken_audio(), recorded[:, 0])
    assert likeness > 0.99
    assert abs(offset_ms) <= 1, "the caller's audio is placed by Twilio's own time stamps"
    windows = align(call.heard_audio(), recorded[:, 1])
    assert len(windows) >= 4
    assert np.median([abs(window.offset_ms) for window in windows]) <= 50
    assert np.mean([window.likeness > 0.9 for window in windows]) >= 0.8, windows
    silent = np.ones(len(recorded), dtype=bool)
    for start_ms, end_ms in call.heard_segments(min_gap_ms=900):
        silent[(start_ms - 150) * 8 : (end_ms + 150) * 8] = False
    assert np.abs(recorded[silent, 1]).max(initial=0) < 300, "the recording holds what was never heard"


async def test_hanging_up_in_mid_word_keeps_the_words_heard(quiet_house):
    house = quiet_house
    call = await house.dial_quietly()
    await house.say(call, "ask-opening-hours")
    await call.wait_heard()
    await call.silence(1.2)
    await call.hang_up()
    await call.ended()
    row = await house.ended_row(call)
    assert row.end_reason == "caller_hung_up"
    assert row.recording_status == "complete"
    last = (await house.turns(call))[-1]
    assert last.interrupted
    assert FULL.startswith(last.text)
    assert 0 < len(last.text) < 60
