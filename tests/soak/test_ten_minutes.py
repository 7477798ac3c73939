"""A call of ten minutes in real time: does the recording stay in step with the transcript, and both with the ear?"""

import asyncio

import numpy as np
import pytest

from tests.calls.conftest import House, MakeHouse

pytest_plugins = ["tests.calls.conftest"]
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


def level(audio: np.ndarray) -> np.ndarray:
    """Loudness every 5 ms."""
    blocks = audio[: len(audio) // 40 * 40].astype(float).reshape(-1, 40)
    return np.sqrt((blocks**2).mean(axis=1))


def onset_ms(audio: np.ndarray, near_ms: float, *, rate_hz: int = 8000) -> float | None:
    """When speech begins within 600 ms of `near_ms`; None when there is none."""
    first = max(0, round(near_ms) - 600)
    loud = level(audio[first * rate_hz // 1000 : (round(near_ms) + 600) * rate_hz // 1000])
    over = np.flatnonzero(loud > 400)
    return None if not len(over) else first + over[0] * 5.0


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

    rows = ["minute  caller offset ms  agent offset ms  agent turn start - recording ms"]
    heard, spoken = call.heard_audio(), call.spoken_audio()
    turns = [turn for turn in await house.turns(call) if turn.speaker == "agent"]
    worst = {"caller": 0.0, "agent": 0.0, "turn": 0.0}
    for minute in range(SECS // 60):
        part = slice(minute * 60 * 8000, (minute + 1) * 60 * 8000)
        caller_ms, caller_alike = house.best_offset(spoken[part], recorded[part, 0])
        assert caller_alike > 0.99
        starts = [s for s, e in call.heard_segments(min_gap_ms=900) if minute * 60_000 <= s < (minute + 1) * 60_000]
        agent = []
        for start in starts:
            piece = slice(max(0, start - 100) * 8, (start + 1400) * 8)
            offset_ms, alike = house.best_offset(heard[piece], recorded[piece, 1])
            assert alike > 0.8, f"at {start} ms"
            agent.append(offset_ms)
        told = []
        for turn in turns:
            if minute * 60_000 <= turn.start_ms < (minute + 1) * 60_000:
                at_ms = onset_ms(recorded[:, 1], turn.start_ms)
                assert at_ms is not None, f"no voice where the transcript has: {turn.text}"
                told.append(at_ms - turn.start_ms)
        rows.append(f"{minute + 1:6}  {caller_ms:16.1f}  {np.median(agent):15.1f}  {np.median(told):32.1f}")
        worst["caller"] = max(worst["caller"], abs(caller_ms))
        worst["agent"] = max(worst["agent"], *(abs(offset) for offset in agent))
        worst["turn"] = max(worst["turn"], abs(float(np.median(told))))
    with capsys.disabled():
        print("\n" + "\n".join(rows) + f"\nworst: {worst}")
    assert worst["caller"] <= 1
    assert worst["agent"] <= 50
    # A clip begins with some tens of ms of silence before its first loud sample.
    drift = worst["turn"]
    assert drift <= 150
