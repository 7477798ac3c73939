"""The rows without a lever beside the plain server's: what each was worth, and how far to believe it. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from bench.report import align, number
from bench.summary import Row

AS_IT_IS, AGAIN = "as it is", "as it is, again"
FIGURES: Mapping[str, str] = {
    "cpu_ms": "CPU ms",
    "whole_cpu_ms": "CPU ms with begin and end",
    "added_p50_ms": "added p50 ms",
    "added_p95_ms": "added p95 ms",
    "gaps": "gaps/min",
    "first_word_p95_ms": "first word p95 ms",
    "mb_for_each": "MB a call",
}
"""What is compared, by its name in a `Row`, with its heading."""

Figures = Mapping[str, float | None]


@dataclass(frozen=True)
class Comparison:
    """What a run found. Units as in `Row`; None where one side was not measured.

    Attributes:
        plain: The server as it is: the mean of its two rows.
        drift: How far its two rows are apart: a difference within it says nothing.
        without: For each other row, by its server's name, its figures less the plain server's.
    """

    plain: Figures
    drift: Figures
    without: Mapping[str, Figures]

    def as_json(self) -> dict[str, Any]:
        """For JSON."""
        return asdict(self)


def compare(rows: Sequence[Row]) -> Comparison:
    """Compare each row with the plain server's one or two rows, of which there is at least one."""
    plain = [row for row in rows if row.server in (AS_IT_IS, AGAIN)]
    mean = {figure: _mean([getattr(row, figure) for row in plain]) for figure in FIGURES}
    apart = {figure: _drift([getattr(row, figure) for row in plain]) for figure in FIGURES}
    others = [row for row in rows if row not in plain]
    less = {row.server: {figure: _less(getattr(row, figure), mean[figure]) for figure in FIGURES} for row in others}
    return Comparison(mean, apart, less)


def render(rows: Sequence[Row], comparison: Comparison) -> str:
    """A Markdown table: each row's figures, behind them the difference where the drift does not explain it."""
    lines = [("server", *FIGURES.values(), "verdict")]
    lines += [(row.server, *(_cell(row, figure, comparison) for figure in FIGURES), row.verdict) for row in rows]
    drift = ", ".join(
        f"{heading} {number(value)}"
        for figure, heading in FIGURES.items()
        if (value := comparison.drift[figure]) is not None
    )
    wrongs = [f"{row.server}: {wrong}" for row in rows for wrong in (*row.flaws, *row.faults)]
    about = (
        "In brackets: how much more than the mean of both rows of the server as it is.\n"
        f"How far those two are apart, which is no difference: {drift or 'only one was measured'}."
    )
    return "\n\n".join([align(lines), about, *wrongs])


def _cell(row: Row, figure: str, comparison: Comparison) -> str:
    value, less = getattr(row, figure), comparison.without.get(row.server, {}).get(figure)
    if less is None:
        return number(value)
    drift, plain = comparison.drift[figure], comparison.plain[figure]
    if drift is not None and abs(less) <= drift:
        return f"{number(value)} (=)"
    percent = f", {less / plain:+.0%}" if figure.endswith("cpu_ms") and plain else ""
    return f"{number(value)} ({'+' if less > 0 else ''}{number(less)}{percent})"


def _mean(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return round(sum(known) / len(known), 3) if known else None


def _drift(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return round(max(known) - min(known), 3) if len(known) > 1 else None


def _less(value: float | None, plain: float | None) -> float | None:
    return None if value is None or plain is None else round(value - plain, 3)
