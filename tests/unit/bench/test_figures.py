"""From notes and moments to a step's figures, from steps to rows, and from rows to verdicts."""

import os
from dataclasses import replace
from typing import Any

import pytest

from bench.caller import CallNotes, Spoken
from bench.cores import Cores, divide_cores
from bench.course import Course
from bench.density import describe
from bench.figures import StepFigures, compute_figures
from bench.loop_lag import read_lag
from bench.measures import percentile, spread
from bench.process_tree import Used, measure
from bench.report import render_table, render_verdicts
from bench.summary import most_calls_within_bar, summarise
from bench.ticker import in_whole_ms

MB = 2**20
MOMENTS = {"start": 0.0, "one": 4.0, "all": 10.0, "burst": 30.0, "burst over": 40.0, "end": 50.0, "after": 54.0}
METRICS = """
trunkline_loop_lag_seconds_bucket{le="0.005",pid="1"} 60
trunkline_loop_lag_seconds_bucket{le="0.005",pid="2"} 30
trunkline_loop_lag_seconds_bucket{le="0.1",pid="1"} 99
trunkline_loop_lag_seconds_bucket{le="+Inf",pid="1"} 100
"""


def make_course(*, model_share: float = 0.2, far_ends: tuple[int, ...] = (1,), **changes: Any) -> Course:
    """A server that uses half a core all the time and, beyond 100 MB, 3 MB in each second until the end."""
    course = Course(Cores((0,), far_ends), **changes)
    course.at = dict(MOMENTS)
    for name, at in MOMENTS.items():
        course.server[name] = Used(at * 0.5, round(100 * MB + min(at, 50) * 3 * MB))
        course.model[name] = Used(at * model_share, 0)
        course.callers[name] = Used(at * 0.1, 0)
    return course


def make_call(number: int, *, delay_ms: float = 20.0, problem: str = "", is_burst: bool = False) -> CallNotes:
    """A call from 5 to 45 s, with a sentence that ends at 20 s and one spoken into the answer to it."""
    spoken = [
        Spoken(18.0, is_barge_in=False, last_loud_at=20.0, answered_at=20.7 + delay_ms / 1000),
        Spoken(22.0, is_barge_in=True, last_loud_at=24.0, answered_at=24.7 + delay_ms / 1000, cleared_at=22.1),
    ]
    call = CallNotes(f"CA{number}", is_burst, started_at=5.0, first_word_at=5.2, ended_at=45.0, spoken=spoken)
    call.problem = problem
    return call


def make_step(*calls: CallNotes, course: Course | None = None, count: int = 4) -> StepFigures:
    notes = list(calls) or [make_call(number) for number in range(count)]
    return compute_figures("Trunkline", count, notes, course or make_course(), 700.0)


def test_a_step_by_hand() -> None:
    step = make_step()
    assert (step.failed, step.sentences, step.barge_ins) == (0, 8, 4)
    assert (step.steady.added.p50, step.steady.added.p95, step.steady.added.count) == (20.0, 20.0, 8)
    assert step.burst.added.count == 0
    assert step.steady.cpu_ms == 125.0  # half a core, four calls
    assert step.cpu_ms == round(54 * 500 / (4 * 40), 2)
    assert step.first_word.p95 == 200.0
    assert step.barge_in.p50 == 100.0
    assert (step.mb_idle, step.mb_for_each, step.mb_left) == (100.0, 26.0, 138.0)  # 78 MB for the other three calls
    assert (step.model_busy, step.callers_busy) == (0.2, 0.1)
    assert step.flaws == []
    assert step.is_within_bar
    assert describe(step).startswith(
        "Trunkline, 4 calls: added p50/p95 20.0/20.0 ms, gaps 0.0/min, CPU 125.0 ms; first"
    )


def test_calls_of_the_burst_do_not_count_as_failed_calls_of_the_step() -> None:
    calls = [make_call(1), make_call(2, problem="no greeting"), make_call(3, problem="refused", is_burst=True)]
    step = make_step(*calls, count=2)
    assert (step.failed, step.burst_failed, step.failed_share) == (1, 1, 0.5)
    assert step.problems == {"no greeting": 1, "refused": 1}
    assert step.is_collapsed
    assert not step.is_within_bar


@pytest.mark.parametrize(
    ("course", "flaw"),
    [
        (make_course(far_ends=(0,)), "the far ends share the server's cores"),
        (make_course(model_share=0.8), "the far ends are at their limit: 90% of a core"),
        (make_course(callers_lateness_ms=[1.0] * 98 + [25.0] * 2), "the callers are late: p99 25 ms"),
        (make_course(model_report={"bad_messages": 3}), "the model could not read 3 messages"),
    ],
)
def test_a_measurement_that_measures_itself_is_invalid(course: Course, flaw: str) -> None:
    step = make_step(course=course)
    assert step.flaws == [flaw]
    assert summarise([step]).verdict == "invalid"


def test_callers_who_never_break_in_make_a_step_invalid() -> None:
    polite = make_call(1)
    polite.spoken = polite.spoken[:1]
    assert make_step(polite, make_call(2)).flaws == ["1 callers never broke into an answer: the calls are too short"]
    # Those of a server that hardly answers do not come to it.
    polite.spoken[0].answered_at = 25.0
    assert make_step(polite).flaws == []


@pytest.mark.parametrize(
    ("changes", "verdict"),
    [
        ({}, "within the bar"),
        ({"delay_ms": 60.0}, "within the bar"),
        ({"delay_ms": 61.0}, "over the bar"),
        ({"delay_ms": 1500.0}, "collapsed"),
        ({"problem": "no greeting"}, "collapsed"),
    ],
)
def test_the_verdict_of_a_row(changes: dict[str, Any], verdict: str) -> None:
    row = summarise([make_step(*(make_call(number, **changes) for number in range(4)))])
    assert row.verdict == verdict
    assert row.is_within_bar is (verdict == "within the bar")


def test_one_failed_call_in_a_hundred_is_over_the_bar_and_in_three_hundred_is_not() -> None:
    for count, verdict in ((100, "over the bar"), (300, "within the bar")):
        calls = [make_call(number, problem="" if number else "no greeting") for number in range(count)]
        assert summarise([make_step(*calls, count=count)]).verdict == verdict


def test_runs_become_their_median_and_keep_each_fault_once() -> None:
    runs = [make_step(make_call(1, delay_ms=delay_ms)) for delay_ms in (10.0, 30.0, 500.0)]
    for run in runs:
        run.faults = ["CA1: is live"]
    row = summarise(runs)
    assert (row.runs, row.added_p95_ms, row.faults, row.verdict) == (3, 30.0, ("CA1: is live",), "faulty")
    runs[0].flaws.append("the callers are late")
    assert summarise(runs).verdict == "invalid"


def test_the_curve_is_told_up_to_its_first_row_over_the_bar() -> None:
    good = summarise([make_step()])
    rows = [replace(good, calls=50), replace(good, calls=1), replace(good, calls=75, added_p95_ms=61.0)]
    rows += [replace(good, calls=100), replace(good, server="bare bridge", faults=("f",) * 7)]
    assert most_calls_within_bar(rows[:4]) == 50
    told = render_verdicts(rows)
    assert "Trunkline: 50 calls within the bar." in told
    assert "bare bridge: not within the bar even with 4." in told
    assert "4 calls: and 2 more" in told
    assert "1 calls within the bar, the most that were tried." in render_verdicts(rows[1:2])
    lines = render_table(rows).splitlines()
    assert len({len(line) for line in lines}) == 1
    assert [cell.strip() for cell in lines[4].split("|")][1:5] == ["Trunkline", "75", "0", "20 / 61 / 20"]


def test_percentiles_are_values_that_were_measured() -> None:
    values = [float(value) for value in range(1, 101)]
    assert [percentile(values, share) for share in (0.5, 0.95, 0.99, 1.0)] == [50.0, 95.0, 99.0, 100.0]
    assert percentile([], 0.5) is None
    assert spread([3.14159]).p99 == 3.1
    assert spread([]).count == 0


def test_loop_lag_is_added_up_over_processes_and_read_as_a_bucket() -> None:
    lag = read_lag(METRICS)
    assert lag.quantile_ms(0.5) == 5.0
    assert lag.quantile_ms(0.95) == 100.0
    assert lag.since(lag).quantile_ms(0.5) is None
    assert read_lag("process_cpu_seconds_total 1\n").quantile_ms(0.5) is None


def test_a_process_is_measured_and_one_that_is_gone_has_used_nothing() -> None:
    own = measure(os.getpid())
    assert own.cpu_secs > 0
    assert own.rss_mb > 10
    assert measure(2**22 + 1) == Used(0.0, 0)


def test_cores_are_divided_and_shared_only_when_the_server_takes_them_all() -> None:
    usable = sorted(os.sched_getaffinity(0))
    everything = divide_cores(len(usable))
    assert everything.server == everything.far_ends == tuple(usable)
    assert everything.is_shared
    for count in (0, len(usable) + 1):
        with pytest.raises(ValueError, match=f"{count} cores are wanted, and this process may use {len(usable)}"):
            divide_cores(count)
    if len(usable) > 1:
        assert not divide_cores(1).is_shared


def test_a_wait_is_never_shorter_than_asked_for() -> None:
    assert [in_whole_ms(secs) for secs in (0.0, 0.0004, 0.0014, 0.0021)] == [0.001, 0.001, 0.002, 0.003]
