"""A server process's name, and the file lock that proves whether the process still lives.

`<data folder>/instances/<name>.lock` is locked for as long as its process lives. The kernel releases the lock with the
process, however that ends, so whoever can take it has proof of death.
"""

import fcntl
import os
import platform
import re
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from secrets import token_hex

_LONGEST_HOST = 40
_NAME = re.compile(r"[A-Za-z0-9-]{1,128}")
# Linux gives it anew at each start of the machine, and all containers of one kernel see the same.
_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")


@dataclass(frozen=True, slots=True)
class Instance:
    """One server process. `name` is unique and has letters, digits and - only: it may stand in a URL's path."""

    name: str
    host: str
    started_at: datetime  # aware


def name_instance() -> Instance:
    """Name this process, `<host>-<pid>-<random>`: in containers neither host nor pid is unique."""
    host = platform.node() or "host"
    safe_host = re.sub(r"[^A-Za-z0-9]+", "-", host)[:_LONGEST_HOST].strip("-") or "host"
    return Instance(f"{safe_host}-{os.getpid()}-{token_hex(4)}", host, datetime.now(UTC))


class InstanceLocks:
    """The locks of all processes that share a data folder. Blocks; call it in a thread. Everything raises OSError.

    A lock is trusted on the machine that it was taken on only, for a network's file system may keep locks to each
    machine itself; the file says which machine that is.
    """

    def __init__(self, folder: Path) -> None:
        """Take the folder; it is made when the first lock is taken."""
        self._folder = folder
        self._machine = _read_machine()

    def hold(self, name: str) -> int:
        """Lock this process's own file. Returns the open file; the lock lasts until that is closed."""
        self._folder.mkdir(parents=True, exist_ok=True)
        path = self._path(name)
        while True:
            file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
            fcntl.flock(file, fcntl.LOCK_EX)
            if _is_at(file, path):
                os.write(file, self._machine.encode())
                return file
            # Between open and lock another process took the file for a dead one's and removed it.
            os.close(file)

    def release(self, name: str, file: int, *, is_proof_needed: bool) -> None:
        """Let the lock go at the process's end; the file stays when others need it as proof that there was an end."""
        if not is_proof_needed:
            self._path(name).unlink(missing_ok=True)
        os.close(file)

    def names(self) -> set[str]:
        """List the processes that have a file here: the living ones, and those that did not end in order."""
        return {path.stem for path in self._folder.glob("*.lock")}

    def is_alive(self, name: str) -> bool | None:
        """Tell whether a process lives; None when its lock is not here, or was taken on another machine."""
        if not _NAME.fullmatch(name):
            return None
        try:
            file = os.open(self._path(name), os.O_RDWR | os.O_CLOEXEC)
        except FileNotFoundError:
            return None
        try:
            # The machine is written once the lock is held: a file that is still empty tells nothing.
            if os.read(file, 128).decode(errors="replace") != self._machine:
                return None
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
        finally:
            os.close(file)
        return False

    def bury(self, name: str) -> None:
        """Remove the file of a process that is known to be dead. One that is locked stays."""
        if _NAME.fullmatch(name) and self.is_alive(name) is not True:
            self._path(name).unlink(missing_ok=True)

    def _path(self, name: str) -> Path:
        return self._folder / f"{name}.lock"


def _read_machine() -> str:
    try:
        return _BOOT_ID.read_text().strip()
    except FileNotFoundError:  # not Linux
        return platform.node()


def _is_at(file: int, path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(file), path.stat())
    except FileNotFoundError:
        return False
