"""What a server holds comes back to its level: files, threads and memory, after calls of every ending there is."""

import asyncio
import contextlib
import os
import shutil
import time
from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from simulators.gemini_live import GeminiEmulator
from simulators.twilio import TwilioSimulator
from storage.engine import Database
from storage.key_ring import KEY_FILE, KeyRing
from tests.calls.conftest import ROOT, write_agents
from tests.calls.every_ending import AGENTS, SLOW_BOT, Endings
from tests.calls.server_process import Server, Street
from tests.databases import database_of
from transcripts.store import CallStore

_MAX_CALLS = 12
_AT_ONCE, _AT_ONCE_AMONG_OTHER_TESTS = 8, 4
_MOST_MORE_RSS_MB = 20.0
_SPARE_THREADS = 2
"""The event loop's pool of threads grows as it is needed; it is bounded, and nearly full by then."""
_SPARE_TASKS = 1
"""Whether the sweeper has just asked the database."""
_MOST_CONNECTIONS = 16
"""What the database's pool opens as it needs it, and keeps: a thread and three files each, and no call's."""


@dataclass(frozen=True)
class Level:
    """What a process holds, by the kernel's word and (tasks) its own, but for its database's pool.

    `rss_mb`: 1 MB is 10^6 bytes.
    """

    files: int
    tasks: int
    threads: int
    connections: int
    rss_mb: float

    def __str__(self) -> str:
        counts = f"{self.files} files, {self.tasks} tasks, {self.threads} threads, {self.connections} connections"
        return f"{counts}, {self.rss_mb:.1f} MB"


def level_of(pid: int, tasks: int) -> Level:
    status = dict(line.split(":", 1) for line in Path(f"/proc/{pid}/status").read_text().splitlines())
    open_files: list[str] = []
    for link in Path(f"/proc/{pid}/fd").iterdir():
        with contextlib.suppress(FileNotFoundError):  # closed since it was listed
            open_files.append(os.readlink(link))
    of_database = [name for name in open_files if "trunkline.db" in name]
    connections = sum(name.endswith("trunkline.db") for name in of_database)
    rss_mb = int(status["VmRSS"].split()[0]) * 1024 / 1e6
    threads = int(status["Threads"]) - connections
    return Level(len(open_files) - len(of_database), tasks, threads, connections, rss_mb)


@asynccontextmanager
async def open_server(folder: Path) -> AsyncGenerator[tuple[Server, Endings]]:
    """A server as a process of its own; the far ends stay here, so that their memory is not counted."""
    async with AsyncExitStack() as closing:
        gemini = await closing.enter_async_context(GeminiEmulator(ca_dir=folder / "ca"))
        twilio = await closing.enter_async_context(TwilioSimulator())
        await asyncio.to_thread(write_agents, folder / "agents", AGENTS)
        await asyncio.to_thread(
            shutil.copytree, ROOT / "bots", folder / "bots", ignore=shutil.ignore_patterns("__pycache__")
        )
        (folder / "bots" / "slow.py").write_text(SLOW_BOT)
        url = await asyncio.to_thread(database_of, folder / "data")
        database = Database(url, KeyRing(file=folder / "data" / KEY_FILE))
        await database.connect(wait_secs=10)
        closing.push_async_callback(database.close)
        await database.migrate()
        store = CallStore(database)
        agents_dir = folder / "agents"
        street = Street(twilio, gemini.base_url, gemini.ca_file, folder, agents_dir, store, closing, database, url)
        server = await street.serve(max_calls=_MAX_CALLS, bots_dir=folder / "bots")
        yield server, Endings(twilio, gemini, store, server.base_url)


async def settled(server: Server) -> Level:
    """What the server holds once no call is in it and none rings."""
    async with asyncio.timeout(30):
        while True:
            lines = (await server.get("/metrics")).text.splitlines()
            held = [line for line in lines if line.startswith(("trunkline_calls_active ", "trunkline_calls_ringing "))]
            assert len(held) == 2
            if all(float(line.split()[1]) == 0 for line in held):
                break
            await asyncio.sleep(0.2)
    # What a call leaves to be closed behind it takes a moment.
    await asyncio.sleep(1.5)
    lines = (await server.get("/metrics")).text.splitlines()
    [tasks] = [round(float(line.split()[1])) for line in lines if line.startswith("trunkline_tasks ")]
    return await asyncio.to_thread(level_of, server.process.pid, tasks)


async def round_of_calls(endings: Endings, times: int) -> int:
    """Have calls of every ending, most of them side by side; returns how many had a stream."""
    slots = asyncio.Semaphore(_AT_ONCE if times > 1 else _AT_ONCE_AMONG_OTHER_TESTS)

    async def take_turn(end) -> None:
        async with slots:
            await end()

    ways = [way for _ in range(times) for way in endings.anytime()]
    if times > 1:
        ways.append(endings.talk_too_long)
    await asyncio.gather(*(take_turn(way) for way in ways))
    stalled = min(times, _AT_ONCE)
    await endings.outlive_a_stalled_model(stalled)
    await endings.lose_the_model_for_good(stalled)
    if times > 1:
        await endings.ring_until_busy()
    endings.gemini.forget_ended()
    return len(ways) + 2 * stalled


@pytest.mark.parametrize(
    ("calls", "times"),
    [
        pytest.param(20, 1, marks=pytest.mark.soak),
        pytest.param(500, 4, marks=[pytest.mark.soak, pytest.mark.timeout(1800)]),
    ],
)
async def test_the_server_is_back_at_its_level_after_calls_of_every_ending(
    calls: int, times: int, tmp_path: Path
) -> None:
    began = time.monotonic()
    levels: list[Level] = []
    had = 0
    async with open_server(tmp_path) as (server, endings):
        while had < calls:
            had += await round_of_calls(endings, times)
            if had >= calls / 10:
                levels.append(await settled(server))
                print(f"after {had} calls ({time.monotonic() - began:.0f} s): {levels[-1]}")  # noqa: T201 - a long proof
    first, last = levels[0], levels[-1]
    assert len(levels) > 1
    assert last.files <= first.files, levels
    assert last.tasks <= first.tasks + _SPARE_TASKS, levels
    assert last.threads <= first.threads + _SPARE_THREADS, levels
    assert last.connections <= _MOST_CONNECTIONS, levels
    assert last.rss_mb <= first.rss_mb + _MOST_MORE_RSS_MB, levels
