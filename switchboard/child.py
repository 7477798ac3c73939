"""One server process, as the supervisor has it: started, spoken with, and seen to its end."""

import asyncio
import contextlib
import signal
import socket
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, field

from switchboard.handing_over import make_passage
from switchboard.link import Answer, Hear, Link
from switchboard.messages import Begin, CannotBegin, Stop
from telemetry.merging import Family


@dataclass
class Child:
    """A process. `name` is its instance name, empty until it is up; `number` is its place among the processes.

    Times are of the monotonic clock.
    """

    number: int
    process: asyncio.subprocess.Process
    link: Link
    passage: socket.socket
    name: str = ""
    is_settled: asyncio.Event = field(default_factory=asyncio.Event)
    """It is up, or will never be."""
    is_leaving: bool = False
    is_told_to_stop: bool = False
    problem: CannotBegin | None = None
    families: Sequence[Family] = ()
    """Its metrics as they were last told."""
    heard_at_secs: float = field(default_factory=time.monotonic)
    began_at_secs: float = field(default_factory=time.monotonic)
    up_at_secs: float | None = None

    @property
    def is_up(self) -> bool:
        """Whether it takes connections."""
        return bool(self.name) and not self.is_leaving and not self.link.is_closed

    def stop(self, *, is_at_once: bool = False) -> None:
        """Have it end, after its calls or at once."""
        self.is_told_to_stop = True
        self.link.tell(Stop(is_at_once=is_at_once))

    def kill(self) -> None:
        """End it without any order, when it does not do so by itself."""
        with contextlib.suppress(ProcessLookupError):
            self.process.send_signal(signal.SIGKILL)

    def close(self) -> None:
        """Close what led to a process that has ended."""
        self.link.close()
        self.passage.close()


async def start_child(command: Sequence[str], begin: Begin, hear: Hear, answer: Answer) -> Child:
    """Start a process and tell it what it is to be.

    `command` is what starts it, without the numbers of its two sockets. It has a session of its own: Ctrl-C in the
    terminal reaches the supervisor alone, which passes it on in order.
    """
    ours, theirs = socket.socketpair()
    giving, taking = make_passage()
    try:
        process = await asyncio.create_subprocess_exec(
            *command,
            str(theirs.fileno()),
            str(taking.fileno()),
            pass_fds=(theirs.fileno(), taking.fileno()),
            stdin=asyncio.subprocess.DEVNULL,
            start_new_session=True,
        )
    except BaseException:
        ours.close()
        giving.close()
        raise
    finally:
        theirs.close()
        taking.close()
    link = Link(ours, hear, answer)
    link.tell(begin)
    return Child(begin.number, process, link, giving)


def server_command() -> list[str]:
    """Return the command that starts a process of this server, as `start_child` wants it."""
    from pathlib import Path

    return [sys.executable, str(Path(__file__).resolve().parent.parent / "cli.py"), "work"]
