"""The measured density curve, as far as a plan needs it: `density.json` in, steps out."""

from dataclasses import dataclass
from pathlib import Path
from statistics import median

from pydantic import BaseModel, Field, ValidationError

from config.errors import printable
from config.wording import describe

SERVER = "Trunkline"
_PASSED = "within the bar"
_CURE = "measure one with `cli.py bench density`"


class BadCurve(Exception):
    """A file holds no density curve of Trunkline; the text has a line per problem, with the file and the cure."""


@dataclass(frozen=True)
class Step:
    """One number of calls at once, measured.

    Attributes:
        calls: calls at once.
        has_passed: was it within the pass bar?
        delay_p95_ms: added delay.
        cpu_ms_per_call_sec: milliseconds of CPU for each second of each call.
        idle_bytes: resident memory of the whole server before the first call.
        bytes_per_call: what each call after the first one took.
    """

    calls: int
    has_passed: bool
    delay_p95_ms: float
    cpu_ms_per_call_sec: float
    idle_bytes: float
    bytes_per_call: float


@dataclass(frozen=True)
class Curve:
    """A server on `cores` cores with more and more calls; `source` names the file, `measured` when and where."""

    source: str
    measured: str
    cores: int
    steps: tuple[Step, ...]

    @property
    def best(self) -> Step | None:
        """The last step before the first that did not pass; None when the first did not."""
        best = None
        for step in sorted(self.steps, key=lambda step: step.calls):
            if not step.has_passed:
                return best
            best = step
        return best

    @property
    def is_open(self) -> bool:
        """Did even the largest step pass, so that more would fit?"""
        return all(step.has_passed for step in self.steps)


class _Row(BaseModel):
    """A line of `bench.summary.Row`; delays and CPU in ms, memory in MB."""

    server: str
    calls: int = Field(ge=1)
    added_p95_ms: float | None
    cpu_ms: float | None
    mb_for_each: float | None
    verdict: str


class _Run(BaseModel):
    """A line of `bench.figures.StepFigures`."""

    server: str
    calls: int = Field(ge=1)
    mb_idle: float = Field(ge=0)


class _Machine(BaseModel):
    cpu: str
    cores: int


class _Settings(BaseModel):
    cores: int = Field(ge=1)


class _Document(BaseModel):
    """What a plan needs of `bench.report.write_json`'s file."""

    made_at: str
    machine: _Machine
    settings: _Settings
    rows: list[_Row]
    runs: list[_Run]


def read_curve(file: Path) -> Curve:
    """Read Trunkline's curve from the JSON that `cli.py bench density` writes.

    Raises:
        BadCurve: the file cannot be read, is not of that kind, or has no step of Trunkline.
    """
    try:
        document = _Document.model_validate_json(file.read_bytes())
    except OSError as error:
        raise BadCurve(printable(f"{file}: cannot be read ({error.strerror}); {_CURE}")) from error
    except ValidationError as error:
        lines = [f"{file}: {'.'.join(map(str, line['loc']))}: {describe(line)[0]}; {_CURE}" for line in error.errors()]
        raise BadCurve("\n".join(map(printable, lines))) from error
    steps = tuple(_step(file, row, document.runs) for row in document.rows if row.server == SERVER)
    if not steps:
        raise BadCurve(printable(f"{file}: rows: has no step of {SERVER}; {_CURE}"))
    machine = document.machine
    measured = f"{document.made_at[:10]} on {document.settings.cores} of {machine.cores} cores ({machine.cpu})"
    return Curve(file.name, measured, document.settings.cores, steps)


def _step(file: Path, row: _Row, runs: list[_Run]) -> Step:
    idle_mb = [run.mb_idle for run in runs if (run.server, run.calls) == (SERVER, row.calls)]
    if row.added_p95_ms is None or row.cpu_ms is None or not idle_mb:
        if row.verdict == _PASSED:
            raise BadCurve(printable(f"{file}: rows: {row.calls} calls lack a delay, CPU or memory; {_CURE}"))
        return Step(row.calls, False, 0.0, 0.0, 0.0, 0.0)
    return Step(
        calls=row.calls,
        has_passed=row.verdict == _PASSED,
        delay_p95_ms=row.added_p95_ms,
        cpu_ms_per_call_sec=row.cpu_ms,
        idle_bytes=median(idle_mb) * 1e6,
        # A step of one call cannot tell it.
        bytes_per_call=max(0.0, row.mb_for_each or 0.0) * 1e6,
    )
