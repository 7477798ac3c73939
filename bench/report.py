"""The rows as a table, in sentences, and as JSON."""

import json
import os
import platform
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from bench.figures import ADDED_LIMIT_MS, FAILED_LIMIT, StepFigures, as_json
from bench.model import ANSWER_DELAY_MS
from bench.summary import Row, most_calls_within_bar

_HEADINGS = (
    "server",
    "calls",
    "failed %",
    "added p50 / p95 / p99 ms",
    "gaps/min",
    "burst: p95 ms, gaps/min",
    "first word p50 / p95 ms",
    "CPU ms",
    "MB a call",
    "MB left",
    "loop lag p99 ms",
    "model, callers busy",
    "verdict",
)
_MOST_LINES = 5


def render_table(rows: Sequence[Row]) -> str:
    """A Markdown table whose columns are also aligned for a terminal."""
    return align([_HEADINGS, *(_cells(row) for row in rows)])


def align(lines: Sequence[Sequence[str]]) -> str:
    """The lines' cells, the headings first, as a Markdown table for a terminal as well."""
    widths = [max(len(line[column]) for line in lines) for column in range(len(lines[0]))]
    texts = [
        "| " + " | ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)) + " |" for line in lines
    ]
    texts.insert(1, "|" + "|".join("-" * (width + 2) for width in widths) + "|")
    return "\n".join(texts)


def render_verdicts(rows: Sequence[Row]) -> str:
    """A sentence for each server, and what is wrong with its rows."""
    lines = [f"The bar: under {FAILED_LIMIT:.1%} failed calls, and an added delay p95 within {ADDED_LIMIT_MS:g} ms."]
    for server in dict.fromkeys(row.server for row in rows):
        own = [row for row in rows if row.server == server]
        most, tried = most_calls_within_bar(own), max(row.calls for row in own)
        if not most:
            first = min(own, key=lambda row: row.calls)
            lines.append(f"{server}: not within the bar even with {first.calls}.")
        else:
            end = "" if most < tried else ", the most that were tried"
            lines.append(f"{server}: {most} calls within the bar{end}.")
        for row in own:
            wrongs = [*row.flaws, *row.faults]
            lines += [f"  {row.calls} calls, {row.verdict}: {wrong}" for wrong in wrongs[:_MOST_LINES]]
            if len(wrongs) > _MOST_LINES:
                lines.append(f"  {row.calls} calls: and {len(wrongs) - _MOST_LINES} more")
    return "\n".join(lines)


def describe_machine() -> dict[str, Any]:
    """What it was measured on."""
    models = [
        line.partition(":")[2].strip()
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
        if line.startswith("model name")
    ]
    return {
        "cpu": models[0] if models else platform.machine(),
        "cores": os.cpu_count(),
        "kernel": platform.release(),
        "python": platform.python_version(),
    }


def write_json(
    file: Path, steps: Sequence[StepFigures], rows: Sequence[Row], settings: dict[str, Any], **more: Any
) -> None:
    """Everything there is to know, for whoever computes further; `settings` are the run's own, `more` its findings."""
    document = {
        "made_at": datetime.now(UTC).isoformat(timespec="seconds"),
        "machine": describe_machine(),
        "settings": {**settings, "answer_delay_ms": ANSWER_DELAY_MS},
        "bar": {"failed_share": FAILED_LIMIT, "added_p95_ms": ADDED_LIMIT_MS},
        "rows": [vars(row) | {"verdict": row.verdict} for row in rows],
        "runs": [as_json(step) for step in steps],
        **more,
    }
    file.write_text(json.dumps(document, indent=1), encoding="utf-8")


def _cells(row: Row) -> tuple[str, ...]:
    return (
        row.server,
        str(row.calls),
        number(row.failed_percent),
        _join(row.added_p50_ms, row.added_p95_ms, row.added_p99_ms),
        number(row.gaps),
        f"{number(row.burst_added_p95_ms)}, {number(row.burst_gaps)}",
        _join(row.first_word_p50_ms, row.first_word_p95_ms),
        number(row.cpu_ms),
        number(row.mb_for_each),
        number(row.mb_left),
        number(row.lag_p99_ms),
        f"{_percent(row.model_busy)}, {_percent(row.callers_busy)}",
        row.verdict,
    )


def _join(*values: float | None) -> str:
    return " / ".join(number(value) for value in values)


def number(value: float | None) -> str:
    """A figure in as many digits as tell something."""
    if value is None:
        return "-"
    return f"{value:.0f}" if abs(value) >= 100 else f"{round(value, 2):g}"


def _percent(share: float | None) -> str:
    return "-" if share is None else f"{share:.0%}"
