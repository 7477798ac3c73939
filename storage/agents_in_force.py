"""The agents that answer calls: the files of this machine and what is stored in the database, as both are now."""

import asyncio
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

from loguru import logger

from config.agent import AgentConfig
from config.agent_file import Checks, dotted
from config.agents_folder import AgentCatalog, AgentWatch, watch_agents
from config.errors import AgentProblem, Fault
from config.origin import Origin
from config.written_agent import read_written
from storage.engine import Database
from storage.envelope import SealingError
from storage.errors import DatabaseAway
from storage.stored_agents import AgentStore, InForce, NoSuchStoredAgent, NoSuchVersion, Published

LOOK_SECS = 1.0
"""How often the count of changes is read when no call does it, and how long a new call waits for it."""


class AgentsInForce:
    """The stored agents of this process, beside those of the folder that it watches.

    While the database is away, the agents that were last known stay in force.
    """

    def __init__(self, store: AgentStore, checks: Checks) -> None:
        """Take where agents are stored, and what is known of bots and tools. `load` comes before all else."""
        self.store = store
        self.checks = checks
        self.on_changed: Callable[[], None] = lambda: None
        self._watch: AgentWatch | None = None
        self._looking = asyncio.Lock()
        self._published = Published(-1)
        self._read: dict[str, tuple[InForce, AgentConfig | None, list[Fault]]] = {}
        self._is_away = False

    async def load(self, folder: Path) -> AgentWatch:
        """Read what is stored, and the folder of files beside it. Raises `AgentErrors`, `DatabaseAway`."""
        published = await self.store.load()
        stored = await asyncio.to_thread(self._read_all, published)
        self._watch = await asyncio.to_thread(watch_agents, folder, self.checks, stored)
        self._published = published
        return self._watch

    @property
    def watch(self) -> AgentWatch:
        """The catalog that both are in."""
        if self._watch is None:
            raise RuntimeError("AgentsInForce.load() comes first.")
        return self._watch

    @property
    def seen(self) -> int:
        """At which count of changes the stored agents were read."""
        return self._published.counter

    async def current(self) -> AgentCatalog:
        """Return the agents as they are now; asked once per new call, and not for longer than a second."""
        try:
            async with asyncio.timeout(LOOK_SECS):
                await self.look()
        except (DatabaseAway, SealingError, TimeoutError) as error:
            self._say_away(error)
        await asyncio.to_thread(self.watch.refresh)
        return self.watch.catalog

    async def look(self) -> None:
        """Read the stored agents anew when they were changed. Raises `DatabaseAway`."""
        async with self._looking:
            if await self.store.counter() != self.seen:
                published = await self.store.load()
                stored = await asyncio.to_thread(self._read_all, published)
                await asyncio.to_thread(self.watch.put_stored, stored)
                self.watch.regrant(published.grants)
                self._published = published
                self.on_changed()
        self._is_away = False

    async def of_call(self, name: str, version: int | None) -> AgentConfig | None:
        """Return the agent that a call began with, also when another version is published now, or none any more.

        What cannot be had of it any more is the agent as it is now. Raises `DatabaseAway`.
        """
        held = self.watch.held(name, version)
        if version is None or (held is not None and held.origin.version == version):
            return held
        try:
            row = await self.store.version(name, version)
        except (NoSuchStoredAgent, NoSuchVersion):
            return held
        grants = await self.store.grants(name)
        in_force = InForce(name, version, row.fields, grants)
        agent, _faults = await asyncio.to_thread(self._read_one, in_force)
        if agent is None:
            return held
        self.watch.keep([agent])
        return agent

    def problems(self, name: str) -> list[Fault]:
        """Return what is wrong with the published version of a stored agent here and now."""
        return self._read[name][2] if name in self._read else []

    def all_problems(self) -> list[AgentProblem]:
        """Return what is wrong with the published versions of all stored agents here and now, with its cure."""
        return [
            AgentProblem(f"stored agent {name}", dotted(fault.path), fault.message, fault.cure)
            for name, (_one, _agent, faults) in sorted(self._read.items())
            for fault in faults
        ]

    async def keep_current(self) -> None:
        """Look every second, until cancelled."""
        while True:
            await asyncio.sleep(LOOK_SECS)
            try:
                await self.look()
            except (DatabaseAway, SealingError) as error:
                self._say_away(error)

    def _read_all(self, published: Published) -> list[AgentConfig]:
        before = self._read
        self._read = {}
        for one in published.agents:
            known = before.get(one.name)
            if known is not None and known[0] == one:
                self._read[one.name] = known
                continue
            agent, faults = self._read_one(one)
            if agent is None:
                problems = [str(AgentProblem("", dotted(fault.path), fault.message, fault.cure)) for fault in faults]
                logger.bind(agent=one.name, version=one.number, problems=problems).error(
                    "a stored agent cannot be used; its last good version, if any, stays in use"
                )
                agent = known[1] if known is not None else None
            self._read[one.name] = one, agent, faults
        return [agent for _, agent, _ in self._read.values() if agent is not None]

    def _read_one(self, one: InForce) -> tuple[AgentConfig | None, list[Fault]]:
        origin = Origin(one.number, one.grants, one.content)
        return read_written(one.name, one.content, origin, self.checks)

    def _say_away(self, error: Exception) -> None:
        if not self._is_away:
            self._is_away = True
            problem = str(error) or f"no answer within {LOOK_SECS:g} s"
            logger.bind(problem=problem).warning("stored agents cannot be read; the last known ones stay in force")


@asynccontextmanager
async def open_agents(db: Database, folder: Path, checks: Checks) -> AsyncGenerator[AgentsInForce]:
    """Yield the agents of a process, kept up to date until the end of the block. Raises as `AgentsInForce.load`."""
    agents = AgentsInForce(AgentStore(db), checks)
    await agents.load(folder)
    looking = asyncio.create_task(agents.keep_current(), name="stored agents")
    looking.add_done_callback(_tell_of_the_end)
    try:
        yield agents
    finally:
        looking.cancel()
        await asyncio.wait({looking})


def _tell_of_the_end(looking: asyncio.Task[None]) -> None:
    if not looking.cancelled() and (error := looking.exception()) is not None:
        logger.opt(exception=error).error("changes of stored agents are seen only when a call comes")
