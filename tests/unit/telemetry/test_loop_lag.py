"""When a process has no room for more, by how late its event loop is."""

import asyncio
import time

from telemetry import metrics
from telemetry.loop_lag import LagVerdict, LoopLag


def run(verdict: LagVerdict, from_secs: float, lags: list[float]) -> float:
    """Let a timer of 50 ms be as late as these; returns the time afterwards."""
    now = from_secs
    for lag in lags:
        now += 0.05 + lag
        verdict.measure(now, lag)
    return now


def test_an_idle_loop_has_room():
    verdict = LagVerdict(0.08)
    run(verdict, 0, [0.001] * 200)
    assert not verdict.is_slow


def test_a_process_that_has_only_begun_has_room():
    verdict = LagVerdict(0.08)
    run(verdict, 0, [0.5] * 3)
    assert not verdict.is_slow


def test_one_hiccup_refuses_nobody_however_long_it_is():
    for length in (0.2, 1.0, 3.9, 30.0):
        verdict = LagVerdict(0.08)
        now = run(verdict, 0, [0.001] * 200)
        now = run(verdict, now, [length])
        assert not verdict.is_slow
        run(verdict, now, [0.001] * 60)
        assert not verdict.is_slow


def test_a_few_calls_that_begin_refuse_nobody():
    verdict = LagVerdict(0.08)
    now = run(verdict, 0, [0.001] * 100)
    run(verdict, now, [0.12, 0.002] * 4 + [0.002] * 20)
    assert not verdict.is_slow


def test_a_loop_that_stays_late_has_none_within_seconds():
    verdict = LagVerdict(0.08)
    now = run(verdict, 0, [0.001] * 200)
    later, count = now, 0
    while not verdict.is_slow:
        later = run(verdict, later, [0.12])
        count += 1
    assert 0.5 < later - now < 4.5


def test_it_has_room_again_only_when_it_is_well_under_the_limit():
    verdict = LagVerdict(0.08)
    now = run(verdict, 0, [0.12] * 60)
    assert verdict.is_slow
    now = run(verdict, now, [0.06] * 200)
    assert verdict.is_slow, "between half of the limit and the limit nothing changes"
    now = run(verdict, now, [0.01] * 100)
    assert not verdict.is_slow
    run(verdict, now, [0.06] * 200)
    assert not verdict.is_slow


async def test_a_blocked_loop_is_measured():
    before = metrics.LOOP_LAG_SECONDS.collect()
    count = next(s.value for m in before for s in m.samples if s.name.endswith("_count"))
    with LoopLag(80).measuring() as lag:
        await asyncio.sleep(0.12)
        time.sleep(0.3)  # noqa: ASYNC251 - what is to be measured
        await asyncio.sleep(0.12)
        assert not lag.is_slow()
    samples = {(s.name, s.labels.get("le")): s.value for m in metrics.LOOP_LAG_SECONDS.collect() for s in m.samples}
    assert samples["trunkline_loop_lag_seconds_count", None] - count >= 3
    assert samples["trunkline_loop_lag_seconds_bucket", "+Inf"] > samples["trunkline_loop_lag_seconds_bucket", "0.2"]
