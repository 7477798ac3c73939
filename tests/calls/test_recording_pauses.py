"""What a pause leaves out on a live call, what is left of a recording that is stopped, and who was told of one."""

import asyncio
from typing import Any

import numpy as np

from simulators.clips import caller_clips
from simulators.script import load_scripts, parse_script
from tests.calls.test_consent import bytes_of, has_audio, kinds, records, rows_of, texts

PAYING = parse_script(
    """
name: paying
when: {tools: [pause_recording]}
rules:
  - hear: book-tuesday
    call: {tool: pause_recording}
    then: Sure. I am listening.
  - hear: tell-fact
    say: Thank you. I will remember that.
    then:
      call: {tool: resume_recording}
      then: Is there anything else I can do for you?
  - hear: name-alex
    say: Thank you, Alex. How can I help?
  - hear: stop
    call: {tool: stop_recording}
    then: Take your time.
otherwise: I heard you speak.
"""
)
CLIPS = {clip_id: clip.text for clip_id, clip in caller_clips().items()}
SECRET = CLIPS["tell-fact"]


async def talk(house: Any, number: str, *clips: str) -> Any:
    call = await house.dial(to=number)
    async with asyncio.timeout(5):
        while not await house.events(call, "model.ready"):  # noqa: ASYNC110 - a database has no event to wait for
            await asyncio.sleep(0.05)
    for clip in clips:
        await house.say(call, clip)
        await house.hear_out(call)
    await call.hang_up()
    await call.ended()
    await house.ended_row(call)
    return call


async def told(house: Any, number: str) -> Any:
    call = await house.dial(to=number)
    await house.hear_out(call)
    await call.hang_up()
    await call.ended()
    await house.ended_row(call)
    return call


async def test_a_pause_leaves_nothing_and_a_stop_what_the_agent_says(make_house: Any) -> None:
    tools = ["pause_recording", "resume_recording", "stop_recording"]
    quiet: dict[str, Any] = {"bot": "echo", "settings": {}, "greeting": "", "tools": tools}
    house = await make_house(
        agents={
            "front-desk": {"numbers": ["+15551230199"]},
            "payer": {"numbers": ["+15551230310"], **quiet},
            "stopper": {"numbers": ["+15551230311"], **quiet, "recording": {"on_withdrawal": "delete"}},
            "teller": {"numbers": ["+15551230312"], "greeting": "Goodbye!", "recording": {"consent": "announce"}},
        },
        gemini={"scripts": [PAYING, *load_scripts()]},
    )
    payer, stopper, teller = await asyncio.gather(
        talk(house, "+15551230310", "book-tuesday", "tell-fact", "name-alex"),
        talk(house, "+15551230311", "tell-fact", "stop"),
        told(house, "+15551230312"),
    )
    # the pause
    [paused], [resumed] = await house.events(payer, "recording.paused"), await house.events(payer, "recording.resumed")
    assert resumed.data["by"] == "tool"
    pcm = await asyncio.to_thread((await house.recording(payer)).read_pcm)
    assert not pcm[paused.at_ms * 8 + 8 : resumed.at_ms * 8 - 8].any()
    assert np.abs(pcm[: paused.at_ms * 8, 0]).max() > 2000
    assert np.abs(pcm[resumed.at_ms * 8 :]).max(axis=0).min() > 2000
    said = await texts(house, payer)
    assert said[0] == CLIPS["book-tuesday"]
    assert said[-2:] == [CLIPS["name-alex"], "Thank you, Alex. How can I help?"]
    assert set(said[1:-2]) <= {"[paused]", "Is there anything else I can do for you?"}
    assert "[paused]" in said
    # the stop
    assert await answers_of(house, stopper) == [("withdrawn", "voice")]
    assert await kinds(house, stopper) == ["recording.stopped"]
    assert await texts(house, stopper) == []
    assert not await has_audio(house, stopper)
    assert (await house.row(stopper)).recording_status == "none"
    for call in (payer, stopper):
        assert "pineapple" not in await rows_of(house, (await house.row(call)).call_id)
    # the announcement
    [record] = await records(house, teller)
    assert (record.wording, record.answer.value) == ("This call may be recorded.", "none")
    assert record.given_by is not None
    assert record.given_by.value == "announcement"
    assert (await house.row(teller)).recording_status == "complete"
    assert SECRET.encode() not in await asyncio.to_thread(bytes_of, house)


async def answers_of(house: Any, call: Any) -> list[tuple[str, str | None]]:
    return [(one.answer.value, one.given_by and one.given_by.value) for one in await records(house, call)]
