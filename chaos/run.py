"""Runs drills side by side, and over processes, and prints the table."""

import asyncio
import multiprocessing
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import AsyncExitStack
from pathlib import Path

from chaos.drills import Drill, select
from chaos.house import drill_house
from chaos.play import play
from chaos.verdict import Verdict, judge
from telemetry import logs

Print = Callable[[str], None]
HEADER = f"{'fault':48} {'silence':>7}  {'end':16} {'lost':>4} {'twice':>5}  heard"


def run_table(drills: Sequence[Drill], *, processes: int, at_once: int, write: Print) -> int:
    """Run drills, `at_once` in each process, and write a row for each, in their order; returns the exit code.

    0: every row is good. 1: one is not; its problems stand behind it, and the events of its call below the table.
    """
    began = time.monotonic()
    write(HEADER)
    verdicts: list[Verdict] = []
    for verdict in _verdicts(drills, processes, at_once):
        write(line_of(verdict))
        verdicts.append(verdict)
    bad = [verdict for verdict in verdicts if verdict.problems]
    for verdict in bad:
        write(f"\n{verdict.name}: {'; '.join(verdict.problems)}")
        for line in verdict.story:
            write(line)
    worst = max(verdicts, key=lambda verdict: verdict.silence_secs)
    write(
        f"\n{len(verdicts)} rows, {len(bad)} bad; longest silence {worst.silence_secs:.1f} s ({worst.name}); "
        f"{time.monotonic() - began:.0f} s"
    )
    return 1 if bad else 0


def _verdicts(drills: Sequence[Drill], processes: int, at_once: int) -> Iterator[Verdict]:
    names = [drill.name for drill in drills]
    groups = [names[start : start + at_once] for start in range(0, len(names), at_once)]
    # A fresh interpreter for each process: a forked one would share its parent's event loop and its threads' locks.
    spawn = multiprocessing.get_context("spawn")
    workers = min(processes, len(groups))
    with ProcessPoolExecutor(workers, mp_context=spawn, initializer=logs.configure, initargs=("CRITICAL",)) as pool:
        for verdicts in pool.map(_run_group, groups):
            yield from verdicts


def _run_group(names: Sequence[str]) -> list[Verdict]:
    """In a process of the pool. Takes names, for a fault's table cannot be sent to another process."""
    return asyncio.run(run_drills([drill for name in names for drill in select(name) if drill.name == name]))


async def run_drills(
    drills: Sequence[Drill], *, at_once: int | None = None, database_of: Callable[[Path], str] | None = None
) -> list[Verdict]:
    """Run these side by side, `at_once` or all of them, each in a house of its own; verdicts in their order.

    `database_of`: from a data folder to the URL of its database; may block. Left out, SQLite in the folder.
    """
    slots = asyncio.Semaphore(at_once or max(len(drills), 1))
    # Alembic keeps its state in module globals: two databases at a time are not migrated in one process.
    opening = asyncio.Lock()
    with tempfile.TemporaryDirectory(prefix="trunkline-chaos-") as folder:

        async def run_one(number: int, drill: Drill) -> Verdict:
            async with slots, AsyncExitStack() as closing:
                async with opening:
                    place = Path(folder) / str(number)
                    url = await asyncio.to_thread(database_of, place / "data") if database_of else None
                    house = drill_house(place, tool_secs=drill.tool_secs, database_url=url)
                    opened = await closing.enter_async_context(house)
                played = await play(opened, drill)
            return judge(played)

        async with asyncio.TaskGroup() as running:
            tasks = [
                running.create_task(run_one(number, drill), name=f"drill {drill.name}")
                for number, drill in enumerate(drills)
            ]
        return [task.result() for task in tasks]


def line_of(verdict: Verdict) -> str:
    """One row of the table."""
    mark = f"  <-- {'; '.join(verdict.problems)}" if verdict.problems else ""
    return (
        f"{verdict.name:48} {verdict.silence_secs:6.1f}s  {verdict.end_reason:16} {verdict.lost:4} "
        f"{verdict.duplicates:5}  {verdict.heard}{mark}"
    )
