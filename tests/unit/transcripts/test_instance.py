"""A process's name and its lock, with real processes that live, die and end in order."""

import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from transcripts.instance import InstanceLocks, name_instance

ROOT = Path(__file__).parents[3]
_HOLD = """
import sys
from pathlib import Path
from transcripts.instance import InstanceLocks
lock = InstanceLocks(Path(sys.argv[1])).hold(sys.argv[2])
print("held", flush=True)
sys.stdin.read()
"""


@contextmanager
def _holder(folder: Path, name: str) -> Iterator[subprocess.Popen[str]]:
    """A process that holds a lock until it is killed."""
    process = subprocess.Popen(
        [sys.executable, "-c", _HOLD, str(folder), name],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdin
    assert process.stdout
    try:
        assert process.stdout.readline() == "held\n"
        yield process
    finally:
        process.kill()
        process.wait()
        process.stdin.close()
        process.stdout.close()


def test_a_name_is_unique_and_may_stand_in_a_url() -> None:
    names = {name_instance().name for _ in range(100)}
    assert len(names) == 100
    assert all(re.fullmatch(r"[A-Za-z0-9-]{10,80}", name) for name in names)
    assert all(f"-{os.getpid()}-" in name for name in names)
    assert name_instance().started_at.tzinfo is not None


def test_a_lock_tells_the_living_from_the_dead(tmp_path: Path) -> None:
    locks = InstanceLocks(tmp_path / "instances")
    assert locks.names() == set()
    assert locks.is_alive("a-1-x") is None
    with _holder(tmp_path / "instances", "a-1-x") as process:
        assert locks.is_alive("a-1-x") is True
        locks.bury("a-1-x")
        assert locks.names() == {"a-1-x"}
        process.send_signal(signal.SIGKILL)
        process.wait()
        assert locks.is_alive("a-1-x") is False
    locks.bury("a-1-x")
    assert locks.names() == set()


def test_a_child_that_outlives_the_process_keeps_no_lock(tmp_path: Path) -> None:
    program = _HOLD.replace(
        "sys.stdin.read()",
        "import subprocess, os; child = subprocess.Popen(['sleep', '60']); print(child.pid, flush=True); os._exit(1)",
    )
    done = subprocess.Popen(
        [sys.executable, "-c", program, str(tmp_path), "a-1-x"], cwd=ROOT, stdout=subprocess.PIPE, text=True
    )
    assert done.stdout
    assert done.stdout.readline() == "held\n"
    child = int(done.stdout.readline())
    try:
        done.wait(10)
        assert InstanceLocks(tmp_path).is_alive("a-1-x") is False
    finally:
        os.kill(child, signal.SIGKILL)
        done.stdout.close()


def test_one_that_ended_in_order_leaves_a_proof_only_where_it_is_needed(tmp_path: Path) -> None:
    locks = InstanceLocks(tmp_path)
    locks.release("a-1-x", locks.hold("a-1-x"), is_proof_needed=False)
    assert locks.is_alive("a-1-x") is None
    locks.release("a-1-x", locks.hold("a-1-x"), is_proof_needed=True)
    assert locks.is_alive("a-1-x") is False


def test_a_lock_of_another_machine_proves_nothing(tmp_path: Path) -> None:
    """On a network's file system the other machine's lock may not be seen here."""
    locks = InstanceLocks(tmp_path)
    for content in ("another-machine", ""):
        (tmp_path / "a-1-x.lock").write_text(content)
        assert locks.is_alive("a-1-x") is None
    locks.bury("a-1-x")
    assert locks.names() == set()


def test_a_name_never_leads_out_of_the_folder(tmp_path: Path) -> None:
    (tmp_path / "secret.lock").write_text("")
    locks = InstanceLocks(tmp_path / "instances")
    assert locks.is_alive("../secret") is None
    locks.bury("../secret")
    assert (tmp_path / "secret.lock").exists()
