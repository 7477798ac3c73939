"""One step of the curve: a fresh server and a fresh model, so many calls, everything that came of it."""

import asyncio
import gc
import json
import os
import shutil
import socket
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path

from bench.caller_voice import CallerVoice
from bench.checks import check_calls
from bench.cores import Cores
from bench.course import Course
from bench.exchange import Exchange
from bench.figures import StepFigures, compute_figures
from bench.launch import Launch, serving
from bench.loop_lag import fetch_lag
from bench.model import ANSWER_DELAY_MS
from bench.trunkline import DATA_FOLDER

_ROOT = Path(__file__).resolve().parent.parent
_KEPT = ("PATH", "HOME", "LANG", "TMPDIR")
_SETTLE_SECS = 1.0
_FIRST_ALONE_SECS = 4.0
_RAMP_PER_SEC = 10.0
_BURST_CALLS = 10
_BURST_SECS = 1.0
_BURST_LASTS_SECS = 7.0
_STEADY_SECS = 6.0
"""Less than this with all calls up, and hardly a sentence is both said and answered in it."""
_AFTERWARDS_SECS = 4.0

MakeLaunch = Callable[[int, str, Path, Path], Launch]
"""Port, address of the model, its authority, work folder."""


@dataclass(frozen=True)
class Plan:
    """What a step does.

    Attributes:
        calls: How many are up at once.
        seconds: How long each lasts; the burst's calls are short.
        seed: Decides everything that callers do.
        has_burst: Whether ten calls more begin within a second in the middle.
    """

    calls: int
    seconds: float
    seed: int = 1
    has_burst: bool = True


async def run_step(
    make_launch: MakeLaunch, plan: Plan, cores: Cores, voices: Sequence[CallerVoice], folder: Path
) -> StepFigures:
    """Run one step.

    Args:
        make_launch: Says how the server is started.
        plan: What happens.
        cores: Who runs where.
        voices: What callers sound like.
        folder: Logs, certificates and the server's data go there; it is made.

    Raises:
        NotServing: The server or the model did not start.
    """
    await asyncio.to_thread(folder.mkdir, parents=True, exist_ok=True)
    course = Course(cores)
    async with AsyncExitStack() as running:
        model = model_launch(free_port(), folder)
        course.model_id = await running.enter_async_context(serving(model, cores.far_ends, folder / "model.log"))
        base_url = f"https://127.0.0.1:{model.port}"
        launch = await asyncio.to_thread(make_launch, free_port(), base_url, folder / "ca.pem", folder)
        course.server_id = await running.enter_async_context(serving(launch, cores.server, folder / "server.log"))
        await asyncio.sleep(_SETTLE_SECS)
        lag_before = await fetch_lag(launch.port)
        gc.collect()
        gc.freeze()
        exchange = await running.enter_async_context(Exchange(launch, voices, seed=plan.seed))
        await _play(exchange, plan, course)
        course.lag = (await fetch_lag(launch.port)).since(lag_before)
    course.callers_lateness_ms = exchange.ticker.lateness_ms
    course.model_report = json.loads(await asyncio.to_thread((folder / "model.json").read_text))
    figures = compute_figures(launch.name, plan.calls, exchange.notes, course, ANSWER_DELAY_MS)
    if launch.keeps_rows:
        figures.faults = await asyncio.to_thread(check_calls, folder / DATA_FOLDER, exchange.notes)
        if not figures.faults:
            await asyncio.to_thread(shutil.rmtree, folder / DATA_FOLDER)  # a megabyte and a half for each call
    return figures


async def _play(exchange: Exchange, plan: Plan, course: Course) -> None:
    """All calls of the step, and a while after the last one."""
    course.note("start")
    begun_at = time.monotonic()
    async with asyncio.TaskGroup() as calls:

        def dial(until: float, *, is_burst: bool = False) -> asyncio.Task[object]:
            name = f"call {len(exchange.notes)}"
            return calls.create_task(exchange.place_call(until=until, is_burst=is_burst), name=name)

        dial(begun_at + plan.seconds)
        await asyncio.sleep(_FIRST_ALONE_SECS)
        course.note("one")
        for _ in range(plan.calls - 1):
            dial(time.monotonic() + plan.seconds)
            await asyncio.sleep(1 / _RAMP_PER_SEC)
        await asyncio.sleep(_SETTLE_SECS)
        course.note("all")
        burst_at = begun_at + plan.seconds - _burst_secs(plan.has_burst)
        await asyncio.sleep(max(_SETTLE_SECS, burst_at - time.monotonic()))
        course.note("burst")
        burst: list[asyncio.Task[object]] = []
        for _ in range(_BURST_CALLS if plan.has_burst else 0):
            burst.append(dial(time.monotonic() + _BURST_LASTS_SECS, is_burst=True))
            await asyncio.sleep(_BURST_SECS / _BURST_CALLS)
        if burst:
            await asyncio.wait(burst)
        course.note("burst over")
    course.note("end")
    await asyncio.sleep(_AFTERWARDS_SECS)
    course.note("after")


def _burst_secs(has_burst: bool) -> float:
    return _BURST_SECS + _BURST_LASTS_SECS if has_burst else 0.0


def least_secs(calls: int, *, has_burst: bool) -> float:
    """How long each of so many calls has to last, so that they are all up together for a while."""
    return _FIRST_ALONE_SECS + (calls - 1) / _RAMP_PER_SEC + _SETTLE_SECS + _STEADY_SECS + _burst_secs(has_burst)


def model_launch(port: int, folder: Path) -> Launch:
    """How the stand-in model is started; it writes its authority and its report to `folder`."""
    return Launch(
        name="model",
        argv=[sys.executable, "-W", "ignore", "-m", "bench.model", "--port", str(port), "--folder", str(folder)]
        + ["--answer-delay-ms", str(ANSWER_DELAY_MS)],
        cwd=_ROOT,
        env={name: os.environ[name] for name in _KEPT if name in os.environ},
        voice_path="",
        port=port,
        keeps_rows=False,
    )


def free_port() -> int:
    """A TCP port of the loopback that nobody uses now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
