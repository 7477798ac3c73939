"""The folder of agents: one YAML file each, read at start and watched while calls run."""

import os
import threading
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from loguru import logger

from config.agent import AgentConfig
from config.agent_file import Checks, KnownBots, read_agent
from config.errors import AgentErrors, AgentProblem

# A file system's clock may stand still for some milliseconds: a file this young is read again even if it looks alike.
_UNSETTLED_NS = 100_000_000


class AgentCatalog:
    """The agents that are in use, never changed after it was made."""

    def __init__(self, agents: Iterable[AgentConfig]) -> None:
        self.agents: tuple[AgentConfig, ...] = tuple(sorted(agents, key=lambda agent: agent.name))
        self._by_name = {agent.name: agent for agent in self.agents}
        self._by_number = {number: agent for agent in self.agents for number in agent.numbers}

    def by_name(self, name: str) -> AgentConfig | None:
        """Return the agent of that name, or None."""
        return self._by_name.get(name)

    def by_number(self, e164: str) -> AgentConfig | None:
        """Return the agent that answers that number (E.164, as Twilio sends it), or None."""
        return self._by_number.get(e164)


def load_agents(
    folder: Path, *, known_bots: KnownBots | None, check_dotted: Callable[[str], str | None] | None = None
) -> AgentCatalog:
    """Read every agent in `folder`. Reads files: call it before the event loop runs, or in a thread.

    Raises:
        AgentErrors: with every problem of every file, when there is any.
    """
    return AgentWatch(folder, known_bots=known_bots, check_dotted=check_dotted).catalog


def check_agents(
    folder: Path, known_bots: KnownBots | None, check_dotted: Callable[[str], str | None] | None = None
) -> list[AgentProblem]:
    """Return every problem of every agent in `folder`; an empty list when all can be used."""
    try:
        load_agents(folder, known_bots=known_bots, check_dotted=check_dotted)
    except AgentErrors as error:
        return error.problems
    return []


class _Version(NamedTuple):
    """What tells one state of a file from the next without reading it; a tuple, because many are made and compared."""

    file_name: str
    inode: int
    mtime_ns: int
    size_bytes: int


@dataclass(slots=True)
class _File:
    """One file: what it says now (`newest`, None when broken) and what is in use (`good`, None when it never was)."""

    path: Path
    version: _Version | None = None
    was_settled: bool = False
    newest: AgentConfig | None = None
    good: AgentConfig | None = None
    problems: list[AgentProblem] = field(default_factory=list[AgentProblem])


@dataclass(frozen=True, slots=True)
class _Clash:
    """Two files claim one number, and this one must give way."""

    loser: Path
    problem: AgentProblem


class AgentWatch:
    """The agents of a folder, kept up to date while it is edited.

    A new file is picked up and a removed one forgotten; a broken edit keeps that file's last good version, and so does
    an edit that claims another agent's number. Safe to use from several threads.
    """

    def __init__(
        self, folder: Path, *, known_bots: KnownBots | None, check_dotted: Callable[[str], str | None] | None = None
    ) -> None:
        """Read the folder. Raises AgentErrors when any file cannot be used: a start is the time to be strict."""
        self._folder = folder
        self._checks = Checks(known_bots, check_dotted)
        self._files: dict[Path, _File] = {}
        self._lock = threading.Lock()
        self._seen: list[_Version] | None = None
        self._problems: list[AgentProblem] = []
        self._problems = self._scan()
        if self._problems:
            raise AgentErrors(self._problems)
        self._catalog = AgentCatalog(file.good for file in self._files.values() if file.good)

    @property
    def catalog(self) -> AgentCatalog:
        """The agents in use now. Each refresh makes a new catalog: a call keeps the agent that it began with."""
        return self._catalog

    @property
    def problems(self) -> list[AgentProblem]:
        """What is wrong with the files as they stand; those files' last good versions are in use."""
        return list(self._problems)

    def refresh(self) -> list[AgentProblem]:
        """Look at the folder again and return what is wrong with it now; each problem is logged when it appears.

        One `scandir` and one `stat` per file as long as nothing changes. Reads files: call it in a thread.
        """
        with self._lock:
            problems = self._scan()
            if problems is self._problems:
                return list(problems)
            catalog = AgentCatalog(file.good for file in self._files.values() if file.good)
            if catalog.agents != self._catalog.agents:
                self._catalog = catalog
                logger.bind(agents=[agent.name for agent in self._catalog.agents]).info("agents changed")
            for found in problems:
                if found not in self._problems:
                    logger.bind(file=found.file, field=found.field, problem=str(found)).warning(
                        "agent file cannot be used; its last good version, if any, stays in use"
                    )
            self._problems = problems
            return list(problems)

    def _scan(self) -> list[AgentProblem]:
        try:
            entries = sorted(self._entries())
        except OSError as error:
            self._seen = None
            cure = "create it, or point TRUNKLINE_AGENTS_DIR at the folder with your agents"
            return [AgentProblem(str(self._folder), "", f"cannot be read ({error.strerror})", cure)]
        if entries == self._seen:
            return self._problems
        named = {self._folder / entry.file_name: entry for entry in entries if entry.file_name.endswith(".yaml")}
        for path in self._files.keys() - named.keys():
            del self._files[path]
        for path, version in named.items():
            self._look_at(self._files.setdefault(path, _File(path)), version)
        self._seen = entries if all(file.was_settled for file in self._files.values()) else None
        wrong_suffix = [
            AgentProblem(str(self._folder / entry.file_name), "", "is not read", "rename it so that it ends in .yaml")
            for entry in entries
            if entry.file_name.endswith(".yml")
        ]
        broken = [problem for file in self._files.values() for problem in file.problems]
        return sorted([*wrong_suffix, *broken, *self._accept()], key=lambda problem: problem.file)

    def _entries(self) -> Iterable[_Version]:
        with os.scandir(self._folder) as entries:
            for entry in entries:
                # Editors keep their swap and lock files beside the file, hidden.
                if entry.name.startswith(".") or not entry.name.endswith((".yaml", ".yml")):
                    continue
                try:
                    found = entry.stat()
                except FileNotFoundError:
                    continue  # removed, or a link to nowhere, since the folder was listed
                yield _Version(entry.name, found.st_ino, found.st_mtime_ns, found.st_size)

    def _look_at(self, file: _File, version: _Version) -> None:
        if file.version == version and file.was_settled:
            return
        file.version = version
        file.was_settled = time.time_ns() - version.mtime_ns > _UNSETTLED_NS
        file.newest, file.problems = read_agent(file.path, self._checks)

    def _accept(self) -> list[AgentProblem]:
        """Put every file's newest version in use, except those that claim a number which another agent has.

        Terminates because each round takes one file back to its last good version, and those never clash.
        """
        wanted = {path: file.newest or file.good for path, file in self._files.items()}
        problems: list[AgentProblem] = []
        while clash := self._clash(wanted):
            problems.append(clash.problem)
            wanted[clash.loser] = self._files[clash.loser].good
        for path, file in self._files.items():
            file.good = wanted[path]
        return problems

    def _clash(self, wanted: dict[Path, AgentConfig | None]) -> _Clash | None:
        """Return the first number that two of the wanted agents claim, or None."""
        owners: dict[str, Path] = {}
        for path, agent in wanted.items():
            for number in agent.numbers if agent else ():
                owner = owners.setdefault(number, path)
                if owner != path:
                    return self._judge(number, owner, path)
        return None

    def _judge(self, number: str, first: Path, second: Path) -> _Clash:
        """The number stays with the agent that had it; of two new claims, with the file that was saved first."""

        def lateness(path: Path) -> tuple[bool, int, Path]:
            file = self._files[path]
            is_new_claim = file.good is None or number not in file.good.numbers
            return is_new_claim, file.version.mtime_ns if file.version else 0, path

        owner, loser = sorted((first, second), key=lateness)
        claim = self._files[loser].newest
        position = claim.numbers.index(number) if claim else 0
        message = f"{number} is already claimed by {owner}"
        return _Clash(
            loser, AgentProblem(str(loser), f"numbers[{position}]", message, "remove it from one of the two files")
        )
