"""Stored agents changed: each change is checked whole, against all that is in force, before anything is written."""

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Mapping
from datetime import datetime
from typing import Any

from config.agents_folder import AgentCatalog
from config.errors import Fault
from config.merge_patch import merged
from config.origin import Origin
from config.written_agent import clashes, read_written
from storage.agents_in_force import AgentsInForce
from storage.stored_agents import CatalogMoved, Draft, StoredAgentRow

_MOST_TRIES = 5


class BadAgent(Exception):
    """The agent cannot be used as it is written."""

    def __init__(self, faults: Iterable[Fault]) -> None:
        """Take everything that is wrong with it."""
        self.faults = tuple(faults)
        super().__init__("; ".join(fault.message for fault in self.faults))


class ReadOnlyAgent(Exception):
    """An agent of a file is read-only here."""

    def __init__(self, name: str, file: str) -> None:
        """Take the agent's name, and its file's."""
        super().__init__(f"The agent {name} is a file's, and read-only here. Edit {file} on the server.")


class AgentInUse(Exception):
    """Others send calls to the agent."""

    def __init__(self, name: str, places: Iterable[str]) -> None:
        """Take the agent's name, and who names it."""
        super().__init__(f"Calls are sent to {name} by {', '.join(places)}. Change that first.")


class NothingBefore(Exception):
    """No earlier version was ever published. Publish one by its number."""


class AgentsKeepChanging(Exception):
    """Other agents are being changed at this moment. Ask again in a second."""


class AgentDesk:
    """Changes stored agents. What it publishes is in force here when it returns, and elsewhere within a second.

    `expected` is the latest version that the caller knows, None for any. Every method may raise what `AgentStore`
    does, and `BadAgent`, `ReadOnlyAgent`.
    """

    def __init__(self, in_force: AgentsInForce) -> None:
        """Take the agents that answer calls."""
        self._in_force = in_force
        self._store = in_force.store

    async def check(self, name: str, content: Mapping[str, Any]) -> list[Fault]:
        """Return everything that is wrong with an agent, without storing it."""
        catalog = await self._in_force.current()
        faults = [Fault(("name",), str(error))] if (error := self._read_only(name, catalog)) else []
        return [*faults, *await self._faults(name, content, catalog)]

    async def create(self, name: str, draft: Draft, *, is_published: bool) -> StoredAgentRow:
        """Store a new agent. Raises `NameTaken`."""

        async def write(seen: int | None) -> StoredAgentRow:
            return await self._store.create(name, draft, seen=seen)

        return await self._checked(name, lambda: _as_it_is(draft.content), write, is_published)

    async def change(
        self, name: str, draft: Draft, *, expected: int | None, is_published: bool, is_patch: bool = False
    ) -> StoredAgentRow:
        """Store a new version; a patch (RFC 7396) is of the latest one. Raises `VersionMoved`."""
        base = expected

        async def content() -> Mapping[str, Any]:
            nonlocal base
            row = await self._store.find(name)
            if not is_patch:
                return draft.content
            # What the patch is of must still be the latest when it is written.
            base = row.latest if expected is None else expected
            return merged((await self._store.version(name, base)).fields, draft.content)

        async def write(seen: int | None) -> StoredAgentRow:
            whole = Draft(await content(), draft.by, draft.at, draft.note)
            return await self._store.change(name, whole, expected=base, seen=seen)

        return await self._checked(name, content, write, is_published)

    async def publish(self, name: str, number: int, *, expected: int | None, at: datetime) -> StoredAgentRow:
        """Let a version answer calls from now on. Raises `NoSuchVersion`."""

        async def content() -> Mapping[str, Any]:
            await self._store.find(name)
            return (await self._store.version(name, number)).fields

        async def write(seen: int | None) -> StoredAgentRow:
            return await self._store.publish(name, number, expected=expected, seen=seen or 0, at=at)

        return await self._checked(name, content, write, True)

    async def roll_back(
        self, name: str, to: int | None, *, expected: int | None, at: datetime
    ) -> tuple[StoredAgentRow, int | None]:
        """Publish an earlier version: the one below the published one that was published last, or `to`.

        Returns the agent, and which version was published before. Raises `NothingBefore`.
        """
        self._refuse_file(name)
        row = await self._store.find(name)
        earlier = to if to is not None else await self._store.published_before(name, row.published or row.latest + 1)
        if earlier is None:
            raise NothingBefore
        return await self.publish(name, earlier, expected=expected, at=at), row.published

    async def delete(self, name: str, *, expected: int | None, at: datetime) -> None:
        """Let an agent answer no more calls; live calls go on. Raises `AgentInUse`."""
        catalog = await self._in_force.current()
        self._refuse_file(name)
        await self._store.find(name)
        if places := list(_places_of(name, catalog)):
            raise AgentInUse(name, places)
        await self._store.delete(name, expected=expected, at=at)
        await self._in_force.look()

    async def _checked(
        self,
        name: str,
        content: Callable[[], Awaitable[Mapping[str, Any]]],
        write: Callable[[int | None], Awaitable[StoredAgentRow]],
        is_published: bool,
    ) -> StoredAgentRow:
        """Write what was checked against all that is in force; when that has changed meanwhile, check it anew."""
        for _ in range(_MOST_TRIES):
            await self._in_force.look()
            seen = self._in_force.seen
            catalog = await self._in_force.current()
            self._refuse_file(name)
            if faults := await self._faults(name, await content(), catalog):
                raise BadAgent(faults)
            try:
                row = await write(seen if is_published else None)
            except CatalogMoved:
                continue
            await self._in_force.look()
            return row
        raise AgentsKeepChanging

    async def _faults(self, name: str, content: Mapping[str, Any], catalog: AgentCatalog) -> list[Fault]:
        grants = await self._store.grants_to_come(name)
        origin = Origin(0, grants, content)
        agent, faults = await asyncio.to_thread(read_written, name, content, origin, self._in_force.checks)
        return faults if agent is None else [*faults, *clashes(agent, catalog)]

    def _refuse_file(self, name: str) -> None:
        if (error := self._read_only(name, self._in_force.watch.catalog)) is not None:
            raise error

    def _read_only(self, name: str, catalog: AgentCatalog) -> ReadOnlyAgent | None:
        agent = catalog.by_name(name)
        return None if agent is None or agent.origin.is_stored else ReadOnlyAgent(name, f"{name}.yaml")


def _places_of(name: str, catalog: AgentCatalog) -> Iterable[str]:
    for agent in catalog.agents:
        if name in agent.handoff.to:
            yield f"handoff.to of {agent.name}"
    for _, result in catalog.routing.results():
        if name in {other for _, other in result.agents()}:
            yield "routing.yaml"
            return


async def _as_it_is(content: Mapping[str, Any]) -> Mapping[str, Any]:
    return content
