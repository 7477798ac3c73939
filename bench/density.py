"""The density curve: step after step for Trunkline and what it is compared with, then the report of it all."""

import asyncio
import os
import shutil
from collections.abc import AsyncGenerator, Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import uvloop

from bench import trunkline
from bench.baselines import bare_bridge, generated_bot
from bench.caller_voice import CallerVoice, load_voices
from bench.cores import Cores, divide_cores
from bench.figures import StepFigures
from bench.launch import Launch, NotServing
from bench.plot import draw
from bench.report import render_table, render_verdicts, write_json
from bench.step import MakeLaunch, Plan, run_step
from bench.summary import Row, summarise

Write = Callable[[str], object]


@dataclass(frozen=True)
class Candidate:
    """A server to be measured; `stops_early`: not beyond the step at which it collapses."""

    name: str
    make_launch: MakeLaunch
    stops_early: bool = True


@dataclass(frozen=True)
class Order:
    """What is to be measured.

    Attributes:
        calls: the steps, ascending.
        cores: how many the server gets.
        seconds: how long each call lasts.
        runs: how often all of it is done; the report has the medians.
        seed: decides everything that callers do, and grows by one with each run.
        has_burst: whether ten calls more begin within one second in each step.
    """

    calls: Sequence[int]
    cores: int = 1
    seconds: float = 40.0
    runs: int = 1
    seed: int = 1
    has_burst: bool = True


def trunkline_candidate(cores: int) -> Candidate:
    """Trunkline with a process for each core."""
    return Candidate("Trunkline", partial(trunkline.launch, processes=cores), stops_early=False)


def bare_bridge_candidate() -> Candidate:
    """The bridge by hand."""
    return Candidate("bare bridge", bare_bridge.launch)


def generated_bot_candidate(out_dir: Path) -> Candidate:
    """The bot that `pipecat init` writes; its environment is kept in `out_dir` for all steps."""
    home = out_dir / "generated-bot"

    def make(port: int, gemini_base_url: str, ca_file: Path, _: Path) -> Launch:
        return generated_bot.launch(port, gemini_base_url, ca_file, home)

    return Candidate("generated bot", make)


def run_density(candidates: Sequence[Candidate], order: Order, out_dir: Path, write: Write) -> list[Row]:
    """Measure, and write `density.json`, `density.md`, `density.svg` and `density.png` to `out_dir`; blocks long.

    This process is moved to the far ends' cores for it. A fresh server for each step, so that no step's figures hang
    on those before it, above all not those of memory.

    Args:
        candidates: Whom to measure.
        order: What to measure.
        out_dir: Is made; each step's logs go there too.
        write: Takes each line that a person should see.

    Raises:
        ValueError: there are not as many cores.
    """
    cores = divide_cores(order.cores)
    usable = os.sched_getaffinity(0)
    out_dir.mkdir(parents=True, exist_ok=True)
    try:
        os.sched_setaffinity(0, cores.far_ends)
        steps = uvloop.run(_measure_all(candidates, order, cores, out_dir, write))
    finally:
        os.sched_setaffinity(0, usable)
    rows = [summarise(runs) for runs in _group(steps)]
    if rows:
        _write_report(rows, steps, order, out_dir, write)
    return rows


async def _measure_all(
    candidates: Sequence[Candidate], order: Order, cores: Cores, out_dir: Path, write: Write
) -> list[StepFigures]:
    voices = await asyncio.to_thread(load_voices)
    steps: list[StepFigures] = []
    for run in range(order.runs):
        for candidate in candidates:
            try:
                async for step in _measure(candidate, order, run, cores, voices, out_dir, write):
                    steps.append(step)
            except (NotServing, generated_bot.CannotGenerate) as error:
                write(f"{candidate.name} goes no further: {error}")
    return steps


async def _measure(
    candidate: Candidate,
    order: Order,
    run: int,
    cores: Cores,
    voices: Sequence[CallerVoice],
    out_dir: Path,
    write: Write,
) -> AsyncGenerator[StepFigures]:
    """Yield each step as it is measured: what comes after it may fail."""
    for calls in order.calls:
        folder = out_dir / "steps" / f"{candidate.name.replace(' ', '-').lower()}-{calls}-{run + 1}"
        await asyncio.to_thread(shutil.rmtree, folder, ignore_errors=True)  # an earlier run's database
        plan = Plan(calls, order.seconds, order.seed + run, order.has_burst)
        figures = await run_step(candidate.make_launch, plan, cores, voices, folder)
        write(describe(figures))
        yield figures
        if figures.is_collapsed and candidate.stops_early:
            write(f"{candidate.name} has collapsed: more calls are not tried")
            break


def describe(figures: StepFigures) -> str:
    """One step in a line."""
    steady, burst = figures.steady, figures.burst
    in_burst = f"; burst: p95 {burst.added.p95} ms, gaps {burst.gaps}/min" if burst.added.count else ""
    problems = "; ".join(f"{count} x {problem}" for problem, count in figures.problems.items())
    return (
        f"{figures.server}, {figures.calls} calls: added p50/p95 {steady.added.p50}/{steady.added.p95} ms, "
        f"gaps {steady.gaps}/min, CPU {steady.cpu_ms} ms{in_burst}; "
        f"first word p95 {figures.first_word.p95} ms; {figures.failed} failed"
        + (f" ({problems})" if problems else "")
        + (f"; faults: {len(figures.faults)}, the first: {figures.faults[0]}" if figures.faults else "")
        + (f"; invalid: {', '.join(figures.flaws)}" if figures.flaws else "")
    )


def _group(steps: Sequence[StepFigures]) -> list[list[StepFigures]]:
    groups: dict[tuple[str, int], list[StepFigures]] = {}
    for step in steps:
        groups.setdefault((step.server, step.calls), []).append(step)
    return list(groups.values())


def _write_report(rows: Sequence[Row], steps: Sequence[StepFigures], order: Order, out_dir: Path, write: Write) -> None:
    table, verdicts = render_table(rows), render_verdicts(rows)
    write_json(out_dir / "density.json", steps, rows, vars(order) | {"calls": list(order.calls)})
    (out_dir / "density.md").write_text(f"{table}\n\n{verdicts}\n", encoding="utf-8")
    cores = "one core" if order.cores == 1 else f"{order.cores} cores"
    draw(rows, f"Calls on {cores}, voices at the wire", out_dir / "density.svg", out_dir / "density.png")
    write(f"\n{table}\n\n{verdicts}\n\nwritten to {out_dir}: density.json, density.md, density.svg, density.png")
