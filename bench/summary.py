"""The runs of one step as one row: the median of each figure, and the verdict. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median

from bench.figures import ADDED_LIMIT_MS, FAILED_LIMIT, StepFigures


@dataclass(frozen=True)
class Row:
    """Medians over the runs of one server with so many calls; None where there was nothing to measure.

    Units as in `StepFigures`. `flaws` and `faults` are those of any run, each once.
    """

    server: str
    calls: int
    runs: int
    failed_percent: float
    added_p50_ms: float | None
    added_p95_ms: float | None
    added_p99_ms: float | None
    gaps: float | None
    burst_added_p95_ms: float | None
    burst_gaps: float | None
    first_word_p50_ms: float | None
    first_word_p95_ms: float | None
    barge_in_p95_ms: float | None
    cpu_ms: float | None
    whole_cpu_ms: float | None
    mb_for_each: float | None
    mb_left: float | None
    lag_p99_ms: float | None
    model_busy: float | None
    callers_busy: float | None
    is_collapsed: bool
    flaws: tuple[str, ...]
    faults: tuple[str, ...]

    @property
    def is_within_bar(self) -> bool:
        """Whether the medians are under the bar and nothing speaks against the runs."""
        return not (self.flaws or self.faults) and self._is_fast_enough

    @property
    def _is_fast_enough(self) -> bool:
        p95 = self.added_p95_ms
        return self.failed_percent < FAILED_LIMIT * 100 and p95 is not None and p95 <= ADDED_LIMIT_MS

    @property
    def verdict(self) -> str:
        """In a few words."""
        if self.flaws:
            return "invalid"
        if self.faults:
            return "faulty"
        if self._is_fast_enough:
            return "within the bar"
        return "collapsed" if self.is_collapsed else "over the bar"


def summarise(runs: Sequence[StepFigures]) -> Row:
    """One row of the runs of one step; there is at least one."""
    first = runs[0]
    return Row(
        server=first.server,
        calls=first.calls,
        runs=len(runs),
        failed_percent=round(median(run.failed_share for run in runs) * 100, 2),
        added_p50_ms=_median([run.steady.added.p50 for run in runs]),
        added_p95_ms=_median([run.steady.added.p95 for run in runs]),
        added_p99_ms=_median([run.steady.added.p99 for run in runs]),
        gaps=_median([run.steady.gaps for run in runs]),
        burst_added_p95_ms=_median([run.burst.added.p95 for run in runs]),
        burst_gaps=_median([run.burst.gaps for run in runs]),
        first_word_p50_ms=_median([run.first_word.p50 for run in runs]),
        first_word_p95_ms=_median([run.first_word.p95 for run in runs]),
        barge_in_p95_ms=_median([run.barge_in.p95 for run in runs]),
        cpu_ms=_median([run.steady.cpu_ms for run in runs]),
        whole_cpu_ms=_median([run.cpu_ms for run in runs]),
        mb_for_each=_median([run.mb_for_each for run in runs]),
        mb_left=_median([run.mb_left for run in runs]),
        lag_p99_ms=_median([run.lag_p99_ms for run in runs]),
        model_busy=_median([run.model_busy for run in runs]),
        callers_busy=_median([run.callers_busy for run in runs]),
        is_collapsed=sum(run.is_collapsed for run in runs) * 2 > len(runs),
        flaws=_each_once([flaw for run in runs for flaw in run.flaws]),
        faults=_each_once([fault for run in runs for fault in run.faults or ()]),
    )


def most_calls_within_bar(rows: Sequence[Row]) -> int:
    """The most calls of one server's rows that are within the bar, with all rows of fewer calls; 0 when none is."""
    most = 0
    for row in sorted(rows, key=lambda row: row.calls):
        if not row.is_within_bar:
            break
        most = row.calls
    return most


def _median(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return round(median(known), 3) if known else None


def _each_once(lines: Sequence[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(lines))
