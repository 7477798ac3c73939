"""Durable work on both databases: done once, on our loop, at its time; taken over from the dead; forgotten later."""

import asyncio
import os
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text

from storage.errors import DatabaseAway
from storage.workflow_tables import WorkflowTables
from storage.workflows import Workflows, WorkflowsElsewhere

ROOT = Path(__file__).resolve().parents[3]
POLL_SECS = 0.05


def make(database_url: str, data_dir: Path, executor: str = "a") -> Workflows:
    return Workflows(WorkflowTables(database_url, data_dir), executor, poll_secs=POLL_SECS)


async def until(condition: Callable[[], object], timeout_secs: float = 10) -> None:
    async with asyncio.timeout(timeout_secs):
        while not condition():  # noqa: ASYNC110 - what another thread or process does rings no bell here
            await asyncio.sleep(0.02)


async def test_one_life_of_durable_work(database_url, tmp_path, monkeypatch):
    """One start for all this: a start takes a second."""
    monkeypatch.setattr("storage.workflows._RETRY_SECS", 0.01)
    done: list[tuple[str, str]] = []
    loops: set[object] = set()
    rang_at: dict[str, float] = {}

    async def prepare(key: str) -> str:
        done.append(("prepare", key))
        return "well"

    async def ring(key: str) -> str:
        done.append(("ring", key))
        loops.add(asyncio.get_running_loop())
        rang_at[key] = time.monotonic()
        return "well"

    async def stumble(key: str) -> str:
        done.append(("stumble", key))
        if key == "faulty":
            raise ValueError("a fault of ours")
        if done.count(("stumble", key)) < 3:
            raise DatabaseAway("away")
        return "well"

    workflows = make(database_url, tmp_path)
    workflows.add("ring", (prepare, ring))
    workflows.add("stumble", (stumble,))
    async with workflows.carrying_out(look_secs=0.05):
        assert not workflows.is_started
        with pytest.raises(ValueError, match="there is no durable work sing"):
            await workflows.schedule("sing", "one")
        asked = time.monotonic()
        for _ in range(2):
            await workflows.schedule("ring", "soon", delay_secs=1.2)
        await workflows.schedule("ring", "called-off", delay_secs=1.2)
        await workflows.schedule("ring", "in-a-minute", delay_secs=60)
        await workflows.cancel("ring", "called-off")
        await workflows.schedule("stumble", "faulty")
        await workflows.schedule("stumble", "patient")
        other = make(database_url, tmp_path, "b")
        other.add("ring", ())
        with pytest.raises(WorkflowsElsewhere):
            await other.schedule("ring", "two")

        await until(lambda: ("ring", "soon") in done)
        await until(lambda: done.count(("stumble", "patient")) == 3)
        await asyncio.sleep(4 * POLL_SECS)
        assert sorted(done) == [
            ("prepare", "soon"),
            ("ring", "soon"),
            ("stumble", "faulty"),
            *[("stumble", "patient")] * 3,
        ]
        assert done.index(("prepare", "soon")) < done.index(("ring", "soon"))
        assert loops == {asyncio.get_running_loop()}
        assert rang_at["soon"] - asked >= 1.2

        now = datetime.now(UTC)
        assert await workflows.purge(now - timedelta(days=1)) == 0
        assert await workflows.purge(now + timedelta(days=1)) == 4
        assert workflows._tables.has_unfinished(), "what waits is kept, however old"


async def test_a_server_without_work_starts_nothing_and_makes_no_file(tmp_path):
    workflows = make(f"sqlite+aiosqlite:///{tmp_path}/trunkline.db", tmp_path)
    async with workflows.carrying_out(look_secs=0.05):
        await workflows.look(0.0)
        assert await workflows.list_executors() == set()
        await workflows.take_over("nobody")
    assert not workflows.is_started
    assert list(tmp_path.iterdir()) == []


async def test_what_a_stop_leaves_is_found_and_what_it_interrupts_is_done_again_once(
    database_url, tmp_path, monkeypatch
):
    monkeypatch.setattr("storage.workflows._GRACE_SECS", 0.05)
    began: list[str] = []
    may_end = asyncio.Event()

    async def step(key: str) -> str:
        began.append(key)
        if key == "now":
            await may_end.wait()
        return ""

    early, late = make(database_url, tmp_path, "early"), make(database_url, tmp_path, "late")
    for workflows in (early, late):
        workflows.add("ring", (step,))
    async with early.carrying_out(look_secs=0.05):
        await early.schedule("ring", "now")
        await early.schedule("ring", "in-a-minute", delay_secs=60)
        await until(lambda: began)
    assert began == ["now"]
    may_end.set()
    async with late.carrying_out(look_secs=0.05):
        await until(lambda: late.is_started)
        assert await late.list_executors() == {"early"}
        await asyncio.sleep(4 * POLL_SECS)
        assert began == ["now"], "nobody has proved yet that the first process is dead"
        await asyncio.gather(late.take_over("early"), late.take_over("early"))
        await until(lambda: began.count("now") == 2)
        await until(lambda: not late._tables.list_executors())
        await late.take_over("early")
        await asyncio.sleep(4 * POLL_SECS)
    assert began == ["now", "now"]


def test_the_private_name_that_takes_over_from_the_dead_is_still_there():
    from dbos import DBOS
    from dbos._sys_db import SystemDatabase

    assert callable(DBOS._recover_pending_workflows)
    # What makes it safe to call twice: it asks whose the work is.
    assert "executor_ids" in SystemDatabase.reenqueue_for_recovery.__annotations__


WORKER = """
    import asyncio, os, sys, time
    from pathlib import Path
    sys.path.insert(0, {root!r})
    from storage.workflow_tables import WorkflowTables
    from storage.workflows import Workflows

    name, url, folder, blocks = sys.argv[1:5]

    async def main():
        async def prepare(key):
            (Path(folder) / f"prepared-{{key}}-{{time.time_ns()}}").touch()
            return ""

        async def ring(key):
            (Path(folder) / f"began-{{key}}-{{name}}-{{time.time_ns()}}").touch()
            await asyncio.sleep(60 if blocks == "yes" else 0)
            (Path(folder) / f"rang-{{key}}-{{name}}-{{time.time_ns()}}").touch()
            return ""

        workflows = Workflows(WorkflowTables(url, Path(folder)), name, poll_secs=0.05)
        workflows.add("ring", (prepare, ring))
        async with workflows.carrying_out(look_secs=0.1):
            if blocks == "yes":
                await workflows.schedule("ring", "one")
            print("up", flush=True)
            dead = await asyncio.to_thread(sys.stdin.readline)
            if dead.strip():
                await workflows.take_over(dead.strip())
                print("took over", flush=True)
                await asyncio.to_thread(sys.stdin.readline)

    asyncio.run(main())
"""


async def test_kill_9_in_a_step_and_two_others_that_take_over_do_it_once(database_url, tmp_path):
    script = tmp_path / "worker.py"
    script.write_text(textwrap.dedent(WORKER.format(root=str(ROOT))))

    def start(name: str, blocks: str) -> subprocess.Popen[str]:
        arguments = [sys.executable, str(script), name, database_url, str(tmp_path), blocks]
        return subprocess.Popen(arguments, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=ROOT)

    def count(what: str) -> int:
        return len(list(tmp_path.glob(f"{what}-*")))

    victim = start("victim", "yes")
    others: list[subprocess.Popen[str]] = []
    try:
        await until(lambda: count("began") == 1, 20)
        others += [start("b", "no"), start("c", "no")]
        os.kill(victim.pid, signal.SIGKILL)
        await asyncio.to_thread(victim.wait)
        for other in others:
            assert other.stdout is not None
            assert other.stdin is not None
            assert await asyncio.to_thread(other.stdout.readline) == "up\n"
            other.stdin.write("victim\n")
            other.stdin.flush()
        for other in others:
            assert await asyncio.to_thread(other.stdout.readline) == "took over\n"
        await until(lambda: count("rang") == 1, 20)
        await asyncio.sleep(0.3)
    finally:
        for process in (victim, *others):
            process.kill()
            await asyncio.to_thread(process.communicate)
    assert count("rang") == 1
    assert count("began") == 2, "once by the victim, once by whoever took over"
    assert count("prepared") == 1, "the step that was done before is not done again"


def test_a_connection_that_is_still_used_is_closed_when_it_is_given_back(database_url: str, tmp_path: Path) -> None:
    tables = WorkflowTables(database_url, tmp_path)
    used = tables.engine().connect()
    raw: Any = used.connection.dbapi_connection
    assert used.execute(text("SELECT 1")).scalar_one() == 1
    tables.close()
    used.close()
    with pytest.raises(Exception, match="closed"):
        raw.cursor()
