"""A call of ten minutes in real time: does the recording stay in step with the transcript, and both with the ear?"""

import asyncio

import numpy as np
import pytest

from tests.calls.alignment import align
from tests.calls.conftest import House, MakeHouse

pytestmark = [pytest.mark.soak, pytest.mark.timeout(800)]

SECS = 600
CLIPS = ("ask-opening-hours", "wait-book", "no-thanks", "ask-sunday", "one-moment", "long-story")


async def converse(house: House, call, *, until_ms: float) -> None:
    """Talk in turns, interrupting every third answer, until call time `until_ms`."""
    await house.hear_out(call)
    turn = 0
    while call.caller.now_ms() < until_ms:
        await house.say(call, CLIPS[turn % len(CLIPS)])
        if turn % 3 == 0:
            await call.wait_heard()
            await call.silence(1.0)
        else:
            await house.hear_out(call)
            await call.silence(2.0)
        turn += 1


def begin_ms(audio: np.ndarray, near_ms: float) -> float | None:
    """When speech begins within 600 ms of `near_ms`, by blocks of 5 ms; None when there is none."""
    first = max(0, round(near_ms) - 100)
    blocks = audio[first * 8 : (first + 700) * 8].astype(float)
    loudness = np.sqrt((blocks[: len(blocks) // 40 * 40].reshape(-1, 40) ** 2).mean(axis=1))
    loud = np.flatnonzero(loudness > 400)
    return None if not len(loud) else first + loud[0] * 5.0


async def test_the_recording_stays_in_step_for_ten_minutes(make_house: MakeHouse, capsys):
    limits = {"max_call_secs": SECS + 60, "warn_before_secs": 0}
    house = await make_house(agents={"front-desk": {"limits": limits}})
    call = await house.dial()
    await converse(house, call, until_ms=SECS * 1000)
    await call.wait_quiet(quiet_ms=1500)
    await call.hang_up()
    await call.ended()
    row = await house.ended_row(call)
    assert row.end_reason == "caller_hung_up"
    recorded = await asyncio.to_thread((await house.recording(call)).read_pcm)
    assert abs(len(recorded) / 8 - call.caller.now_ms()) < 300

    rows = ["minute  caller ms  agent ms (median, worst)  alike  transcript ms"]
    callers = align(call.spoken_audio(), recorded[:, 0])
    agents = align(call.heard_audio(), recorded[:, 1])
    turns = [turn for turn in await house.turns(call) if turn.speaker == "agent"]
    told = [(turn.start_ms, begin_ms(recorded[:, 1], turn.start_ms)) for turn in turns]
    assert all(begins is not None for _, begins in told), "a turn without a voice in the recording"
    medians: dict[str, list[float]] = {"caller": [], "agent": [], "transcript": []}
    for minute in range(SECS // 60):
        first, last = minute * 60_000, (minute + 1) * 60_000
        caller = [abs(window.offset_ms) for window in callers if first <= window.at_ms < last]
        agent = [window for window in agents if first <= window.at_ms < last]
        offsets = [abs(window.offset_ms) for window in agent if window.likeness > 0.9]
        alike = float(np.mean([window.likeness > 0.9 for window in agent]))
        # A clip begins with its own moment of silence, so what counts is that this figure stays where it was.
        late = [begins - start for start, begins in told if first <= start < last]
        for name, value in (("caller", caller), ("agent", offsets), ("transcript", late)):
            medians[name].append(float(np.median(value)))
        rows.append(
            f"{minute + 1:6}  {medians['caller'][-1]:9.1f}  {medians['agent'][-1]:15.1f} {max(offsets):8.1f}"
            f"  {alike:5.0%}  {medians['transcript'][-1]:13.1f}"
        )
        assert alike > 0.8
    drift_ms = {name: max(values) - min(values) for name, values in medians.items()}
    with capsys.disabled():
        print("\n" + "\n".join(rows) + f"\nlargest less smallest minute, ms: {drift_ms}")
    assert max(medians["caller"]) <= 1, "the caller's audio is placed by Twilio's own time stamps"
    assert max(medians["agent"]) <= 50
    assert drift_ms["transcript"] <= 50
