"""The folder of agents: a YAML file each, and the rules of `routing.yaml`, read at start and watched during calls."""

import os
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Iterable, Mapping, Set
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import NamedTuple

from loguru import logger

from config.agent import AgentConfig
from config.agent_file import Checks, KnownBots, ToolCheck, read_agent
from config.errors import AgentErrors, AgentProblem
from config.routing import ROUTING_FILE, Routing
from config.routing_file import against_agents, read_routing
from config.wording import suggest

# A file system's clock may stand still for some milliseconds: a file this young is read again even if it looks alike.
_UNSETTLED_NS = 100_000_000
_MOST_KEPT = 500
"""Versions of stored agents, for calls that began with one that is not published any more."""


class AgentCatalog:
    """The agents that are in use, never changed after it was made."""

    def __init__(
        self, agents: Iterable[AgentConfig], routing: Routing | None = None, hidden: Iterable[AgentConfig] = ()
    ) -> None:
        self.routing: Routing = routing or Routing()
        """The rules for numbers that have any; they go before the agents' own numbers."""
        self.agents: tuple[AgentConfig, ...] = tuple(sorted(agents, key=lambda agent: agent.name))
        self.hidden: tuple[AgentConfig, ...] = tuple(hidden)
        """Stored agents that are out of use, because a file has their name."""
        self._by_name = {agent.name: agent for agent in self.agents}
        # A number that a file claims is the file's agent's.
        by_claim = sorted(self.agents, key=lambda agent: not agent.origin.is_stored)
        self._by_number = {number: agent for agent in by_claim for number in agent.numbers}

    def by_name(self, name: str) -> AgentConfig | None:
        """Return the agent of that name, or None."""
        return self._by_name.get(name)

    def by_number(self, e164: str) -> AgentConfig | None:
        """Return the agent that answers that number (E.164, as Twilio sends it), or None."""
        return self._by_number.get(e164)

    def numbers(self) -> frozenset[str]:
        """Return every number that is ours: those that agents answer, and those that they show when they call."""
        shown = {agent.outbound.from_number for agent in self.agents if agent.outbound.from_number is not None}
        return frozenset({*self._by_number, *shown})


def load_agents(
    folder: Path,
    *,
    known_bots: KnownBots | None,
    check_dotted: Callable[[str], str | None] | None = None,
    check_tools: ToolCheck | None = None,
) -> AgentCatalog:
    """Read every agent in `folder`. Reads files: call it before the event loop runs, or in a thread.

    Raises:
        AgentErrors: with every problem of every file, when there is any.
    """
    return AgentWatch(folder, known_bots=known_bots, check_dotted=check_dotted, check_tools=check_tools).catalog


def check_agents(
    folder: Path,
    known_bots: KnownBots | None,
    check_dotted: Callable[[str], str | None] | None = None,
    check_tools: ToolCheck | None = None,
) -> list[AgentProblem]:
    """Return every problem of every agent in `folder`; an empty list when all can be used."""
    try:
        load_agents(folder, known_bots=known_bots, check_dotted=check_dotted, check_tools=check_tools)
    except AgentErrors as error:
        return error.problems
    return []


def watch_agents(folder: Path, checks: Checks, stored: Iterable[AgentConfig] = ()) -> "AgentWatch":
    """Read the folder and keep it up to date, with these agents beside it; raises AgentErrors, as AgentWatch does."""
    return AgentWatch(
        folder,
        known_bots=checks.known_bots,
        check_dotted=checks.check_dotted,
        check_tools=checks.check_tools,
        stored=stored,
    )


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
    """A file that does not go with the others: two claim one number, say, and this one must give way."""

    loser: Path
    problem: AgentProblem


class _Rules:
    """`routing.yaml`: what it says now and what of it is in use."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.good: Routing | None = None
        self._newest: Routing | None = None
        self._version: _Version | None = None
        self._was_settled = True
        self._problems: list[AgentProblem] = []

    def look(self, version: _Version | None) -> bool:
        """Read the file anew when it was changed; None: there is none. Returns whether what was read will stay so."""
        if version is None:
            self.good = self._newest = self._version = None
            self._was_settled, self._problems = True, []
        elif version != self._version or not self._was_settled:
            self._version = version
            self._was_settled = time.time_ns() - version.mtime_ns > _UNSETTLED_NS
            self._newest, self._problems = read_routing(self.path)
        return self._was_settled

    def accept(self, agents: dict[str, AgentConfig], broken: Set[str]) -> list[AgentProblem]:
        """Put the newest version in use if it goes with these agents; returns every problem of the file.

        Nothing is said about `broken` agents, whose own files say enough.
        """
        if self._newest is None:
            return self._problems
        problems = against_agents(self.path, self._newest, agents, broken)
        if not problems:
            self.good = self._newest
        return problems


class AgentWatch:
    """The agents of a folder, kept up to date while it is edited.

    A new file is picked up and a removed one forgotten; a broken edit keeps that file's last good version, and so does
    an edit that claims another agent's number. Stored agents stand beside them; a file goes before one of its name.
    Safe to use from several threads.
    """

    def __init__(
        self,
        folder: Path,
        *,
        known_bots: KnownBots | None,
        check_dotted: Callable[[str], str | None] | None = None,
        check_tools: ToolCheck | None = None,
        stored: Iterable[AgentConfig] = (),
    ) -> None:
        """Read the folder. Raises AgentErrors when any file cannot be used: a start is the time to be strict."""
        self._stored = tuple(stored)
        self._kept: OrderedDict[tuple[str, int | None], AgentConfig] = OrderedDict()
        self.keep(self._stored)
        self._folder = folder
        self._checks = Checks(known_bots, check_dotted, check_tools)
        self._files: dict[Path, _File] = {}
        self._lock = threading.Lock()
        self._seen: list[_Version] | None = None
        self._problems: list[AgentProblem] = []
        self._rules = _Rules(folder / ROUTING_FILE)
        self._problems = self._scan()
        if self._problems:
            raise AgentErrors(self._problems)
        self._catalog = self._made()
        _tell_hidden(self._catalog.hidden, ())

    @property
    def catalog(self) -> AgentCatalog:
        """The agents in use now. Each refresh makes a new catalog: a call keeps the agent that it began with."""
        return self._catalog

    @property
    def problems(self) -> list[AgentProblem]:
        """What is wrong with the files as they stand; those files' last good versions are in use."""
        return list(self._problems)

    def put_stored(self, stored: Iterable[AgentConfig]) -> None:
        """Have these stored agents in use from now on, and no others. Reads files: call it in a thread."""
        with self._lock:
            self._stored = tuple(stored)
            self.keep(self._stored)
            self._seen = None  # what the files say of agents that are not files is to be held against these
        self.refresh()

    def keep(self, agents: Iterable[AgentConfig]) -> None:
        """Remember these versions of stored agents for calls that began with them; the oldest make room."""
        for agent in agents:
            self._kept[agent.name, agent.origin.version] = agent
            self._kept.move_to_end((agent.name, agent.origin.version))
        while len(self._kept) > _MOST_KEPT:
            self._kept.popitem(last=False)

    def regrant(self, grants: Mapping[str, Mapping[str, frozenset[str]]]) -> None:
        """Let the versions that are remembered send these secrets from now on, by agent, and no others."""
        for key, agent in list(self._kept.items()):
            secrets = grants.get(agent.name, {})
            if agent.origin.secrets != secrets:
                self._kept[key] = agent.coming_from(replace(agent.origin, secrets=secrets))

    def held(self, name: str, version: int | None) -> AgentConfig | None:
        """Return the agent of a call that began with this version of it; the agent as it is now, if that is all."""
        now = self._catalog.by_name(name)
        if version is None or (now is not None and now.origin.version == version):
            return now
        return self._kept.get((name, version), now)

    def refresh(self) -> list[AgentProblem]:
        """Look at the folder again and return what is wrong with it now; each problem is logged when it appears.

        One `scandir` and one `stat` per file as long as nothing changes. Reads files: call it in a thread.
        """
        with self._lock:
            problems = self._scan()
            if problems is self._problems:
                return list(problems)
            catalog = self._made()
            if catalog.routing != self._catalog.routing:
                logger.bind(routes=len(catalog.routing.routes)).info("routing rules changed")
            _tell_hidden(catalog.hidden, self._catalog.hidden)
            if catalog.agents == self._catalog.agents:
                self._catalog = AgentCatalog(self._catalog.agents, catalog.routing, catalog.hidden)
            else:
                self._catalog = catalog
                logger.bind(agents=[agent.name for agent in self._catalog.agents]).info("agents changed")
            for found in problems:
                if found not in self._problems:
                    logger.bind(file=found.file, field=found.field, problem=str(found)).warning(
                        "file in the folder of agents cannot be used; its last good version, if any, stays in use"
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
        rules = named.pop(self._rules.path, None)
        for path in self._files.keys() - named.keys():
            del self._files[path]
        for path, version in named.items():
            self._look_at(self._files.setdefault(path, _File(path)), version)
        is_settled = self._rules.look(rules) and all(file.was_settled for file in self._files.values())
        self._seen = entries if is_settled else None
        wrong_suffix = [
            AgentProblem(str(self._folder / entry.file_name), "", "is not read", "rename it so that it ends in .yaml")
            for entry in entries
            if entry.file_name.endswith(".yml")
        ]
        broken = [problem for file in self._files.values() for problem in file.problems]
        found = [*wrong_suffix, *broken, *self._accept(), *self._accept_rules()]
        return sorted(found, key=lambda problem: problem.file)

    def _made(self) -> AgentCatalog:
        agents = self._in_use()
        hidden = [agent for agent in self._stored if agents[agent.name] is not agent]
        return AgentCatalog(agents.values(), self._rules.good, hidden)

    def _in_use(self) -> dict[str, AgentConfig]:
        in_files = {file.good.name: file.good for file in self._files.values() if file.good}
        return {**{agent.name: agent for agent in self._stored}, **in_files}

    def _accept_rules(self) -> list[AgentProblem]:
        agents = self._in_use()
        return self._rules.accept(agents, frozenset(path.stem for path in self._files) - agents.keys())

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
        """Put every file's newest version in use, except those that claim a number which another agent has, or hand
        over to an agent that is not there.

        Terminates because each round takes one file back to its last good version, and those never clash.
        """
        wanted = {path: file.newest or file.good for path, file in self._files.items()}
        problems: list[AgentProblem] = []
        told: set[tuple[Path, str]] = set()
        while clash := self._clash(wanted) or self._lost_handoff(wanted, told):
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

    def _lost_handoff(self, wanted: dict[Path, AgentConfig | None], told: set[tuple[Path, str]]) -> _Clash | None:
        """Return the first agent that hands over to one that has no file, and is not in `told` yet; or None."""
        names = {*(path.stem for path in wanted), *(agent.name for agent in self._stored)}
        for path, agent in wanted.items():
            for name in agent.handoff.to if agent else ():
                if name not in names and (path, name) not in told:
                    told.add((path, name))
                    cure = suggest(name, names - {path.stem}, "agents are")
                    problem = AgentProblem(str(path), f"handoff.to.{name}", f"there is no agent {name!r}", cure)
                    return _Clash(path, problem)
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


def _tell_hidden(now: Iterable[AgentConfig], before: Iterable[AgentConfig]) -> None:
    for name in sorted({agent.name for agent in now} - {agent.name for agent in before}):
        logger.bind(agent=name).warning("a stored agent is out of use: a file has its name")
