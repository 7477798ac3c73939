"""All figures of one step, as they are printed, plotted and written as JSON."""

from dataclasses import asdict, dataclass, field
from typing import Any

from bench.caller import CallNotes
from bench.course import Course
from bench.measures import (
    Spread,
    Window,
    added_delays_ms,
    barge_in_delays_ms,
    call_secs,
    first_words_ms,
    gaps_per_minute,
    percentile,
    spread,
)

BUSY_LIMIT = 0.85
"""A far end that takes more of its core than this measures itself."""
LATE_LIMIT_MS = 20.0
"""Callers whose 99th frame of a hundred is later than this do not hear when it came."""
FAILED_LIMIT = 0.005
ADDED_LIMIT_MS = 60.0
COLLAPSED_MS = 1000.0


@dataclass(frozen=True)
class Phase:
    """A part of a step.

    Attributes:
        added: added delay of the sentences that ended in it, in ms.
        gaps: audible gaps for each minute of a call.
        cpu_ms: CPU of the server and all its processes, for each second of a call.
    """

    added: Spread
    gaps: float | None
    cpu_ms: float


@dataclass
class StepFigures:
    """One candidate with so many calls. Delays in ms, CPU in ms for each second of a call, memory in MB.

    Attributes:
        server: the candidate's name.
        calls: how many were up at once.
        failed: how many of them failed; `problems` says why, each reason once with its count.
        ramp: ten calls begin in each second, until all are up.
        steady: all are up and none begins: the step's own figures, by which it is judged.
        burst: ten calls more begin within one second, and talk for a while.
        cpu_ms: of the server and all its processes, from the first dialling to a while after the last call.
        mb_for_each: memory that each call after the first one took.
        mb_left: memory that was still held some seconds after the calls, beyond what it held with one.
        lag_p99_ms: the server's event loop; None when it does not tell.
        model_busy: share of a core, while all calls were up; `callers_busy` likewise.
        flaws: what makes the step invalid; empty when nothing does.
        faults: what the database and the recordings lack; empty when all is there, None when it is not looked at.
    """

    server: str
    calls: int
    failed: int
    burst_failed: int
    problems: dict[str, int]
    sentences: int
    barge_ins: int
    ramp: Phase
    steady: Phase
    burst: Phase
    first_word: Spread
    barge_in: Spread
    cpu_ms: float
    mb_idle: float
    mb_for_each: float | None
    mb_left: float
    lag_p50_ms: float | None
    lag_p99_ms: float | None
    model_busy: float
    callers_busy: float
    callers_late_p99_ms: float | None
    model_late_p95_ms: float | None
    flaws: list[str] = field(default_factory=list[str])
    faults: list[str] | None = None

    @property
    def failed_share(self) -> float:
        """Failed calls of those that were up all the time."""
        return self.failed / self.calls

    @property
    def is_within_bar(self) -> bool:
        """Whether the step is under the bar: hardly a failed call, and 95 of 100 replies hardly later."""
        p95 = self.steady.added.p95
        return self.failed_share < FAILED_LIMIT and p95 is not None and p95 <= ADDED_LIMIT_MS

    @property
    def is_collapsed(self) -> bool:
        """Whether more calls would tell nothing new: one late reply of a dozen is no collapse, half of them are."""
        p50 = self.steady.added.p50
        return self.failed_share >= 0.05 or p50 is None or p50 > COLLAPSED_MS


def compute_figures(
    server: str, calls: int, notes: list[CallNotes], course: Course, answer_delay_ms: float
) -> StepFigures:
    """Work out one step.

    Args:
        server: The candidate's name.
        calls: How many were up at once, the burst apart.
        notes: Of all calls.
        course: How it went.
        answer_delay_ms: The model's own delay.
    """
    main = [call for call in notes if not call.is_burst]
    problems: dict[str, int] = {}
    for call in notes:
        if call.problem:
            problems[call.problem] = problems.get(call.problem, 0) + 1
    talk_secs = sum(call.talk_secs for call in notes)

    def phase(first: str, last: str) -> Phase:
        window = Window(course.at[first], course.at[last])
        return Phase(
            added=spread(added_delays_ms(notes, answer_delay_ms, window)),
            gaps=gaps_per_minute(notes, window),
            cpu_ms=_per_second(course.server_cpu_secs(first, last), call_secs(notes, window)),
        )

    one, full = course.server["one"], course.server["burst"]
    late = course.callers_lateness_ms
    figures = StepFigures(
        server=server,
        calls=calls,
        failed=sum(bool(call.problem) for call in main),
        burst_failed=sum(bool(call.problem) for call in notes if call.is_burst),
        problems=problems,
        sentences=sum(len(call.spoken) for call in notes),
        barge_ins=sum(spoken.is_barge_in for call in notes for spoken in call.spoken),
        ramp=phase("start", "all"),
        steady=phase("all", "burst"),
        burst=phase("burst", "burst over"),
        first_word=spread(first_words_ms(main)),
        barge_in=spread(barge_in_delays_ms(notes)),
        cpu_ms=_per_second(course.server_cpu_secs("start", "after"), talk_secs),
        mb_idle=round(course.server["start"].rss_mb, 1),
        mb_for_each=round((full.rss_mb - one.rss_mb) / (calls - 1), 2) if calls > 1 else None,
        mb_left=round(course.server["after"].rss_mb - one.rss_mb, 1),
        lag_p50_ms=course.lag.quantile_ms(0.5),
        lag_p99_ms=course.lag.quantile_ms(0.99),
        model_busy=round(course.share(course.model), 3),
        callers_busy=round(course.share(course.callers), 3),
        callers_late_p99_ms=None if not late else round(percentile(late, 0.99) or 0.0, 1),
        model_late_p95_ms=course.model_report.get("late_p95_ms"),
    )
    figures.flaws = _find_flaws(figures, course)
    shy = sum(not any(spoken.is_barge_in for spoken in call.spoken) for call in main if not call.problem)
    if shy and not figures.is_collapsed:
        figures.flaws.append(f"{shy} callers never broke into an answer: the calls are too short")
    return figures


def _per_second(cpu_secs: float, call_secs: float) -> float:
    return round(cpu_secs * 1000 / call_secs, 2) if call_secs > 0 else 0.0


def _find_flaws(figures: StepFigures, course: Course) -> list[str]:
    cores = course.cores
    share = (figures.model_busy + figures.callers_busy) / len(cores.far_ends)
    busiest = max(share, figures.model_busy, figures.callers_busy)
    flaws: list[str] = []
    if cores.is_shared:
        flaws.append("the far ends share the server's cores")
    if busiest > BUSY_LIMIT:
        flaws.append(f"the far ends are at their limit: {busiest:.0%} of a core")
    if figures.callers_late_p99_ms is not None and figures.callers_late_p99_ms > LATE_LIMIT_MS:
        flaws.append(f"the callers are late: p99 {figures.callers_late_p99_ms:g} ms")
    if course.model_report.get("bad_messages"):
        flaws.append(f"the model could not read {course.model_report['bad_messages']} messages")
    return flaws


def as_json(figures: StepFigures) -> dict[str, Any]:
    """Everything, for JSON, with the two verdicts."""
    return asdict(figures) | {"is_within_bar": figures.is_within_bar, "is_collapsed": figures.is_collapsed}
