"""A server under test, as data, and its life: started on its cores, awaited, stopped with all its children."""

import asyncio
import os
import signal
import subprocess
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

READY_SECS = 60.0
STOP_SECS = 20.0
_POLL_SECS = 0.1


class NotServing(Exception):
    """The server ended, or did not open its port, before it could be called; the text ends with what it printed."""


@dataclass(frozen=True)
class Launch:
    """How to start a server and where to phone it.

    Attributes:
        name: what the tables call it.
        argv: the command; its first word is a program's path.
        cwd: folder to start it in.
        env: its whole environment; nothing of ours is added.
        voice_path: path of the voice webhook: a form is posted there, the answer is TwiML with `<Connect><Stream>`.
        port: TCP port on 127.0.0.1 that it opens when it is ready.
        status_path: path of the status callback; empty: it has none.
        keeps_rows: does it write Trunkline's database, so that calls can be looked up there afterwards?
    """

    name: str
    argv: list[str]
    cwd: Path
    env: dict[str, str]
    voice_path: str
    port: int
    keeps_rows: bool
    status_path: str = ""


@asynccontextmanager
async def serving(launch: Launch, cores: Sequence[int], log_file: Path) -> AsyncGenerator[int]:
    """Run the server on these cores; yields its process id once its port answers.

    Args:
        launch: What to start.
        cores: Numbers of the cores that it and its children may use.
        log_file: Where everything it prints is written.

    Raises:
        NotServing: It was not ready within READY_SECS.
    """
    child = await asyncio.to_thread(_start, launch, cores, log_file)
    try:
        await _await_port(child, launch.port, log_file)
        yield child.pid
    finally:
        await asyncio.to_thread(_stop, child)


def _start(launch: Launch, cores: Sequence[int], log_file: Path) -> subprocess.Popen[bytes]:
    with log_file.open("wb") as log:
        # `taskset` and not preexec_fn, which is unsafe beside threads; a group of its own, to end its children too.
        return subprocess.Popen(
            ["taskset", "-c", ",".join(str(core) for core in cores), *launch.argv],
            cwd=launch.cwd,
            env=launch.env,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )


async def _await_port(child: subprocess.Popen[bytes], port: int, log_file: Path) -> None:
    try:
        async with asyncio.timeout(READY_SECS):
            while not await _answers(port):
                if child.poll() is not None:
                    raise NotServing(f"it ended with {child.returncode}:\n{_last_lines(log_file)}")
                await asyncio.sleep(_POLL_SECS)
    except TimeoutError as error:
        raise NotServing(f"port {port} is closed after {READY_SECS:g} s:\n{_last_lines(log_file)}") from error


async def _answers(port: int) -> bool:
    try:
        _, writer = await asyncio.open_connection("127.0.0.1", port)
    except OSError:
        return False
    writer.close()
    return True


def _last_lines(log_file: Path) -> str:
    return "\n".join(log_file.read_text(encoding="utf-8", errors="replace").splitlines()[-12:])


def _stop(child: subprocess.Popen[bytes]) -> None:
    """SIGTERM to the server, which is to end its own children; SIGKILL to the whole group after STOP_SECS."""
    child.send_signal(signal.SIGTERM)
    try:
        child.wait(STOP_SECS)
    except subprocess.TimeoutExpired:
        pass
    finally:
        try:
            os.killpg(child.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass  # nobody of the group is left, as it should be
        child.wait()
