"""`cli.py bench`: what the command line says, read, measured, and followed by the plan that comes of it."""

import math
import os
import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from bench.cores import divide_cores
from bench.density import (
    Candidate,
    Order,
    Write,
    bare_bridge_candidate,
    generated_bot_candidate,
    run_density,
    trunkline_candidate,
)
from bench.plan_request import CannotPlan, plan_text
from bench.step import least_secs
from config.wording import suggest

SMOKE = Order(calls=(10,), seconds=14.0, has_burst=False)
SMOKE_CANDIDATES = ("trunkline", "bridge")
PLANNED_CALLS, PLANNED_MINUTES_PER_DAY = 500, 20_000.0
_TRUNKLINE = "trunkline"
_CANDIDATES: Mapping[str, Callable[[int, Path], Candidate]] = {
    _TRUNKLINE: lambda cores, _: trunkline_candidate(cores),
    "bridge": lambda _cores, _out_dir: bare_bridge_candidate(),
    "generated": lambda _, out_dir: generated_bot_candidate(out_dir),
}
_BAD_VERDICTS = ("faulty", "invalid")


class CannotMeasure(Exception):
    """Something that was asked for cannot be measured; the text says what, and the cure, in one line."""


def read_calls(text: str) -> tuple[int, ...]:
    """Read the steps, for example "1,10,25": ascending, each once.

    Raises:
        CannotMeasure: something in it is no number of calls.
    """
    steps: set[int] = set()
    for part in text.split(","):
        if not (part.strip().isascii() and part.strip().isdigit() and int(part) > 0):
            raise CannotMeasure(f"--calls {text}: {part.strip()!r} is no number of calls; write it as 1,10,25")
        steps.add(int(part))
    return tuple(sorted(steps))


def measure(
    order: Order, out_dir: Path, only: Sequence[str], write: Write, *, has_plan: bool = True
) -> tuple[str, ...]:
    """Measure, report, and plan a load from the curve; blocks for about a minute for each step of each server.

    Args:
        order: What to measure.
        out_dir: Where results go; it is made.
        only: Names of the servers, out of `trunkline`, `bridge` and `generated`; empty: all of them.
        write: Takes each line that a person should see.
        has_plan: Whether a plan for 500 calls at once and 20,000 minutes a day follows.

    Returns:
        A line for each thing that makes the results unusable: rows that are faulty or invalid, servers without rows.

    Raises:
        CannotMeasure: nothing was measured, because of what was asked for.
    """
    check_order(order)
    names = tuple(dict.fromkeys(only)) or tuple(_CANDIDATES)
    unknown = [name for name in names if name not in _CANDIDATES]
    if unknown:
        cure = suggest(unknown[0], _CANDIDATES, "servers are")
        raise CannotMeasure(f"--only {unknown[0]}: no such server; {cure}")
    check_out_dir(out_dir)
    candidates = [_CANDIDATES[name](order.cores, out_dir) for name in names]
    rows = run_density(candidates, order, out_dir, write)
    wrongs = [f"{row.server}, {row.calls} calls: {row.verdict}" for row in rows if row.verdict in _BAD_VERDICTS]
    measured = {row.server for row in rows}
    wrongs += [f"{each.name}: not measured" for each in candidates if each.name not in measured]
    if has_plan and _TRUNKLINE in names:
        _add_plan(out_dir, write)
    return tuple(wrongs)


def _add_plan(out_dir: Path, write: Write) -> None:
    try:
        text = plan_text(PLANNED_CALLS, PLANNED_MINUTES_PER_DAY, [], out_dir / "density.json")
    except CannotPlan as error:
        text = f"No plan can be made of this curve: {error}"
    with (out_dir / "density.md").open("a", encoding="utf-8") as file:
        file.write(f"\n```\n{text}\n```\n")
    write(f"\n{text}")


def check_order(order: Order) -> None:
    """Raises CannotMeasure when this machine, or so little time, does not do for it."""
    if not hasattr(os, "sched_setaffinity"):
        raise CannotMeasure("servers are held to cores and read from /proc, which needs Linux; run it there")
    try:
        divide_cores(order.cores)
    except ValueError as error:
        raise CannotMeasure(f"--cores {order.cores}: {error}; ask for fewer") from error
    least = least_secs(max(order.calls), has_burst=order.has_burst)
    if not (math.isfinite(order.seconds) and order.seconds >= least):
        raise CannotMeasure(
            f"--seconds {order.seconds:g}: {max(order.calls)} calls need at least {math.ceil(least)}, to be up together"
        )


def check_out_dir(out_dir: Path) -> None:
    """Make the folder. Raises CannotMeasure when it cannot be written to."""
    try:
        out_dir.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=out_dir):
            pass
    except OSError as error:
        raise CannotMeasure(f"--out {out_dir}: cannot be written to ({error.strerror}); name another folder") from error
