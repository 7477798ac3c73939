"""`cli.py bench levers`: what the command line says, measured and reported."""

import os
import shutil
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

import uvloop

from bench import trunkline
from bench.caller_voice import load_voices
from bench.cores import Cores, divide_cores
from bench.density import Candidate, Order, Write, describe
from bench.density_request import CannotMeasure, check_order, check_out_dir
from bench.figures import StepFigures
from bench.launch import Launch, NotServing
from bench.levers.differences import AGAIN, AS_IT_IS, compare, render
from bench.levers.table import LEVERS
from bench.report import write_json
from bench.step import MakeLaunch, Plan, run_step
from bench.summary import summarise

_BAD_VERDICTS = ("faulty", "invalid")


def measure_levers(
    calls: int, seconds: float, runs: int, only: Sequence[str], out_dir: Path, write: Write
) -> tuple[str, ...]:
    """Measure the server as it is, without each lever, and as it is again; blocks for about 50 s for each.

    Writes `levers.json` and `levers.md`.

    Args:
        calls: How many are up at once.
        seconds: How long each lasts.
        runs: How often all of it is done; the report has the medians.
        only: Names of levers; empty: all of them.
        out_dir: Where results go; it is made.
        write: Takes each line that a person should see.

    Returns:
        A line for each thing that makes the results unusable.

    Raises:
        CannotMeasure: nothing was measured, because of what was asked for.
    """
    names = read_levers(only)
    # No burst: it would take a third of the time in which all talk, and that is what is compared.
    order = Order(calls=(calls,), seconds=seconds, runs=runs, has_burst=False)
    check_order(order)
    check_out_dir(out_dir)
    candidates = list_candidates(names)
    steps = _run(candidates, order, out_dir, write)
    groups = [[step for step in steps if step.server == each.name] for each in candidates]
    rows = [summarise(group) for group in groups if group]
    measured = {row.server for row in rows}
    wrongs = [f"{each.name}: not measured" for each in candidates if each.name not in measured]
    wrongs += [f"{row.server}: {row.verdict}" for row in rows if row.verdict in _BAD_VERDICTS]
    if AS_IT_IS in measured:
        comparison = compare(rows)
        table = render(rows, comparison)
        settings = vars(order) | {"calls": calls, "levers": list(names)}
        write_json(out_dir / "levers.json", steps, rows, settings, differences=comparison.as_json())
        (out_dir / "levers.md").write_text(f"{table}\n", encoding="utf-8")
        write(f"\n{table}\n\nwritten to {out_dir}: levers.json, levers.md")
    return tuple(wrongs)


def read_levers(only: Sequence[str]) -> tuple[str, ...]:
    """Return the levers to be taken out, each once, in the table's order.

    Raises:
        CannotMeasure: there is no such lever.
    """
    unknown = [name for name in only if name not in LEVERS]
    if unknown:
        raise CannotMeasure(f"--only {unknown[0]}: no such lever; there are {', '.join(LEVERS)}")
    return tuple(name for name in LEVERS if not only or name in only)


def list_candidates(names: Sequence[str]) -> list[Candidate]:
    """The server as it is, without each of these, and as it is again: what changes meanwhile shows in the last."""
    without = [Candidate(f"without {name}", partial(trunkline.launch_without, name)) for name in names]
    return [Candidate(AS_IT_IS, trunkline.launch), *without, Candidate(AGAIN, trunkline.launch)]


def _run(candidates: Sequence[Candidate], order: Order, out_dir: Path, write: Write) -> list[StepFigures]:
    """As `bench.density.run_density`: this process leaves the server's core alone meanwhile."""
    cores, usable = divide_cores(order.cores), os.sched_getaffinity(0)
    try:
        os.sched_setaffinity(0, cores.far_ends)
        return uvloop.run(_measure_all(candidates, order, cores, out_dir, write))
    finally:
        os.sched_setaffinity(0, usable)


async def _measure_all(
    candidates: Sequence[Candidate], order: Order, cores: Cores, out_dir: Path, write: Write
) -> list[StepFigures]:
    voices, steps = load_voices(), list[StepFigures]()
    for run in range(order.runs):
        plan = Plan(order.calls[0], order.seconds, order.seed + run, order.has_burst)
        for candidate in candidates:
            folder = out_dir / "steps" / f"{candidate.name.replace(' ', '-')}-{plan.calls}-{run + 1}"
            shutil.rmtree(folder, ignore_errors=True)  # an earlier run's database
            try:
                step = await run_step(_named(candidate), plan, cores, voices, folder)
            except NotServing as error:
                write(f"{candidate.name}: {error}")
            else:
                write(describe(step))
                steps.append(step)
    return steps


def _named(candidate: Candidate) -> MakeLaunch:
    """The candidate's launch under its own name: the plain server is in the table twice."""

    def make(port: int, gemini_base_url: str, ca_file: Path, folder: Path) -> Launch:
        launch = candidate.make_launch(port, gemini_base_url, ca_file, folder)
        return replace(launch, name=candidate.name)

    return make
