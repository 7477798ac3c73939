"""Agents that are stored over the API: their versions, which one is published, and the secrets granted to them.

Whatever changes what answers calls (a publication, a deletion, a grant) adds one to a counter, in the same
transaction. Who read the counter and then finds it unchanged knows all agents as they are; and who changes them says at
which count he looked, so that of two who claim one number at the same moment the second has to look again.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, ClassVar, cast

from sqlalchemy import Delete
from sqlmodel import JSON, Field, ForeignKey, col, delete, select, update
from sqlmodel.ext.asyncio.session import AsyncSession

from storage.engine import Database
from storage.key_ring import keyed_hash
from storage.known_keys import CONTENTS
from storage.rows import Row, insert_or_ignore
from storage.sealing import Seal, SealedText, ring_of

_ONLY_ROW = 1


class StoredAgentRow(Row, table=True):
    """One stored agent. `latest` and `published` are numbers of its versions."""

    __tablename__ = "stored_agents"  # pyright: ignore[reportAssignmentType]

    name: str = Field(primary_key=True)
    latest: int
    published: int | None = None
    created_at: datetime
    updated_at: datetime
    deleted_at: datetime | None = None


class AgentVersionRow(Row, table=True):
    """One version: never changed, but for the moment of its first publication."""

    __tablename__ = "stored_agent_versions"  # pyright: ignore[reportAssignmentType]
    seal: ClassVar[Seal] = Seal(("agent_name", "number"))

    agent_name: str = Field(primary_key=True, sa_column_args=[ForeignKey("stored_agents.name", ondelete="CASCADE")])
    number: int = Field(primary_key=True)
    content: str = Field(sa_type=SealedText)
    """JSON, an object: what an agent's file holds."""
    content_hash: str
    """The same for the same content, and by a key: nobody finds out a prompt by trying."""
    note: str | None = Field(default=None, sa_type=SealedText)
    created_at: datetime
    created_by: str
    """The API key's id; empty in the open mode."""
    published_at: datetime | None = None

    @property
    def fields(self) -> dict[str, Any]:
        """The content as a mapping."""
        return cast(dict[str, Any], json.loads(self.content))


class AgentChangesRow(Row, table=True):
    """One row for all: how often it was changed what answers calls."""

    __tablename__ = "stored_agent_changes"  # pyright: ignore[reportAssignmentType]

    id: int = Field(primary_key=True)
    counter: int


class SecretGrantRow(Row, table=True):
    """One secret that a stored agent's tools may send; to any host when `hosts` is empty."""

    __tablename__ = "agent_secret_grants"  # pyright: ignore[reportAssignmentType]

    agent_name: str = Field(primary_key=True)
    secret_name: str = Field(primary_key=True)
    hosts: list[str] = Field(sa_type=JSON)
    granted_at: datetime


Grants = Mapping[str, frozenset[str]]
"""Secrets that one agent may send, each with the hosts that may get it; none: any host."""


class NameTaken(Exception):
    """A stored agent has this name already. Change it with PUT, or choose another name."""


class NoSuchStoredAgent(Exception):
    """There is no stored agent of that name."""


class NoSuchVersion(Exception):
    """The agent has no such version."""


class VersionMoved(Exception):
    """The agent has been changed meanwhile."""

    def __init__(self, latest: int) -> None:
        """Take the number of its latest version."""
        super().__init__(f"The latest version is {latest}; read it, and send If-Match with its ETag.")
        self.latest = latest


class CatalogMoved(Exception):
    """What answers calls was changed since the caller looked: look again, and check anew."""


@dataclass(frozen=True, slots=True)
class Draft:
    """A version to be written. `by` is an API key's id; `at` is aware."""

    content: Mapping[str, Any]
    by: str
    at: datetime
    note: str | None = None


@dataclass(frozen=True, slots=True)
class InForce:
    """A published version, as it answers calls."""

    name: str
    number: int
    content: Mapping[str, Any]
    grants: Grants


@dataclass(frozen=True, slots=True)
class Published:
    """All that answers calls, at one count of changes."""

    counter: int
    agents: Sequence[InForce] = ()
    grants: Mapping[str, Grants] = field(default_factory=dict[str, Grants])


class AgentStore:
    """Every method may raise `storage.errors.DatabaseAway`.

    `seen` is the count at which the caller has checked what he publishes; another one raises `CatalogMoved`, and
    nothing was changed.
    """

    def __init__(self, db: Database) -> None:
        self._db = db

    # ---- what answers calls ----

    async def counter(self) -> int:
        """Return how often it was changed what answers calls."""
        async with self._db.reader() as session:
            return await _counter(session)

    async def load(self) -> Published:
        """Read every published version and every grant, as they are at one moment."""
        query = (
            select(AgentVersionRow)
            .join(StoredAgentRow, col(StoredAgentRow.name) == col(AgentVersionRow.agent_name))
            .where(col(StoredAgentRow.deleted_at).is_(None), col(StoredAgentRow.published) == AgentVersionRow.number)
            .order_by(col(AgentVersionRow.agent_name))
        )
        while True:
            async with self._db.reader() as session:
                before = await _counter(session)
                grants: dict[str, dict[str, frozenset[str]]] = {}
                for row in (await session.exec(select(SecretGrantRow))).all():
                    grants.setdefault(row.agent_name, {})[row.secret_name] = frozenset(row.hosts)
                rows = (await session.exec(query)).all()
                # PostgreSQL shows each statement what was committed before it, not before the first of them.
                if await _counter(session) == before:
                    break
        found = [InForce(row.agent_name, row.number, row.fields, grants.get(row.agent_name, {})) for row in rows]
        return Published(before, found, grants)

    # ---- what is there ----

    async def list_agents(
        self,
        *,
        after: str = "",
        limit: int,
        is_published: bool | None = None,
        prefix: str = "",
        but: Sequence[str] = (),
        among: Sequence[str] | None = None,
    ) -> list[StoredAgentRow]:
        """List agents by name, those after `after`, without `but`, and only `among`; deleted ones are left out."""
        query = select(StoredAgentRow).where(col(StoredAgentRow.deleted_at).is_(None), col(StoredAgentRow.name) > after)
        if but:
            query = query.where(col(StoredAgentRow.name).not_in(but))
        if among is not None:
            query = query.where(col(StoredAgentRow.name).in_(among))
        if prefix:
            query = query.where(col(StoredAgentRow.name).startswith(prefix, autoescape=True))
        if is_published is not None:
            published = col(StoredAgentRow.published)
            query = query.where(published.is_not(None) if is_published else published.is_(None))
        async with self._db.reader() as session:
            return list((await session.exec(query.order_by(col(StoredAgentRow.name)).limit(limit))).all())

    async def find(self, name: str, *, with_deleted: bool = False) -> StoredAgentRow:
        """Find an agent. Raises `NoSuchStoredAgent`."""
        async with self._db.reader() as session:
            return await _find(session, name, with_deleted=with_deleted)

    async def version(self, name: str, number: int) -> AgentVersionRow:
        """Find a version, of a deleted agent too. Raises `NoSuchStoredAgent`, `NoSuchVersion`."""
        async with self._db.reader() as session:
            await _find(session, name, with_deleted=True)
            return await _version(session, name, number)

    async def versions(self, name: str, *, before: int | None = None, limit: int) -> list[AgentVersionRow]:
        """List an agent's versions, the latest first, those below `before`. Raises `NoSuchStoredAgent`."""
        query = select(AgentVersionRow).where(col(AgentVersionRow.agent_name) == name)
        if before is not None:
            query = query.where(col(AgentVersionRow.number) < before)
        async with self._db.reader() as session:
            await _find(session, name, with_deleted=True)
            return list((await session.exec(query.order_by(col(AgentVersionRow.number).desc()).limit(limit))).all())

    async def published_before(self, name: str, number: int) -> int | None:
        """Return the latest version below this one that was ever published; None when there is none."""
        query = (
            select(AgentVersionRow.number)
            .where(
                col(AgentVersionRow.agent_name) == name,
                col(AgentVersionRow.number) < number,
                col(AgentVersionRow.published_at).is_not(None),
            )
            .order_by(col(AgentVersionRow.number).desc())
        )
        async with self._db.reader() as session:
            return (await session.exec(query)).first()

    # ---- changes ----

    async def create(self, name: str, draft: Draft, *, seen: int | None) -> StoredAgentRow:
        """Store a new agent; published when `seen` is given. Raises `NameTaken`, `CatalogMoved`.

        The name of a deleted agent may be taken again; its versions are counted on, so that each call's stays one. The
        secrets that it had are not the new one's, but for those that were granted since.
        """
        async with self._db.writer() as session:
            if seen is not None:
                await _count(session, seen)
            fields = {"name": name, "latest": 0, "created_at": draft.at, "updated_at": draft.at}
            if not await insert_or_ignore(session, StoredAgentRow, [fields]):
                await _revive(session, name, draft.at)
            row = await _find(session, name)
            return await _add_version(session, row, draft, is_published=seen is not None)

    async def change(self, name: str, draft: Draft, *, expected: int | None, seen: int | None) -> StoredAgentRow:
        """Store a new version of an agent; published when `seen` is given. What is the latest already is no new one.

        `expected` is the latest version that the caller knows; None: any. Raises `NoSuchStoredAgent`, `VersionMoved`,
        `CatalogMoved`.
        """
        async with self._db.writer() as session:
            if seen is not None:
                await _count(session, seen)
            row = await _find(session, name, lock=True)
            if expected is not None and row.latest != expected:
                raise VersionMoved(row.latest)
            latest = await _version(session, name, row.latest)
            if latest.content_hash == _hash_of(session, draft.content):
                return await _publish(session, row, row.latest, draft.at) if seen is not None else row
            return await _add_version(session, row, draft, is_published=seen is not None)

    async def publish(self, name: str, number: int, *, expected: int | None, seen: int, at: datetime) -> StoredAgentRow:
        """Let a version answer calls from now on. Raises as `change`, and `NoSuchVersion`."""
        async with self._db.writer() as session:
            await _count(session, seen)
            row = await _find(session, name, lock=True)
            if expected is not None and row.latest != expected:
                raise VersionMoved(row.latest)
            await _version(session, name, number)
            return await _publish(session, row, number, at)

    async def delete(self, name: str, *, expected: int | None, at: datetime) -> None:
        """Let an agent answer no more calls; versions and secrets are kept for those that go on. Raises as `change`."""
        async with self._db.writer() as session:
            await _count(session, None)
            row = await _find(session, name, lock=True)
            if expected is not None and row.latest != expected:
                raise VersionMoved(row.latest)
            change = update(StoredAgentRow).where(col(StoredAgentRow.name) == name)
            await session.exec(change.values(deleted_at=at, published=None))

    # ---- secrets ----

    async def grants(self, name: str) -> dict[str, frozenset[str]]:
        """Return the secrets that an agent of this name may send, if it is there or not."""
        query = select(SecretGrantRow).where(col(SecretGrantRow.agent_name) == name)
        async with self._db.reader() as session:
            return {row.secret_name: frozenset(row.hosts) for row in (await session.exec(query)).all()}

    async def grants_to_come(self, name: str) -> dict[str, frozenset[str]]:
        """Return the secrets that an agent of this name may send that is written now: see `create`."""
        query = select(SecretGrantRow).where(col(SecretGrantRow.agent_name) == name)
        async with self._db.reader() as session:
            row = await session.get(StoredAgentRow, name)
            since = None if row is None else row.deleted_at
            found = (await session.exec(query)).all()
        return {one.secret_name: frozenset(one.hosts) for one in found if since is None or one.granted_at > since}

    async def grant(self, name: str, secret: str, hosts: Sequence[str], *, at: datetime) -> None:
        """Let a stored agent of this name send a secret, to these hosts or to any; in place of an earlier grant."""
        async with self._db.writer() as session:
            await _count(session, None)
            await session.exec(_grant(name, secret))
            fields = {"agent_name": name, "secret_name": secret, "hosts": list(hosts), "granted_at": at}
            await insert_or_ignore(session, SecretGrantRow, [fields])

    async def withdraw(self, name: str, secret: str) -> bool:
        """Take a grant back; False when there was none."""
        async with self._db.writer() as session:
            await _count(session, None)
            return (await session.exec(_grant(name, secret))).rowcount == 1


def canonical(content: Mapping[str, Any]) -> str:
    """Return the content as JSON, in the order in which it was written."""
    return json.dumps(content, ensure_ascii=False, allow_nan=False, separators=(",", ":"))


def _hash_of(session: AsyncSession, content: Mapping[str, Any]) -> str:
    """Return a hash that is the same for the same content, however its names are ordered."""
    text = json.dumps(content, ensure_ascii=False, allow_nan=False, sort_keys=True, separators=(",", ":"))
    return keyed_hash(ring_of(session.info), CONTENTS, text)


async def _counter(session: AsyncSession) -> int:
    query = select(AgentChangesRow.counter).where(col(AgentChangesRow.id) == _ONLY_ROW)
    return (await session.exec(query)).first() or 0


async def _count(session: AsyncSession, seen: int | None) -> None:
    """Add one to the counter, as the first thing of a transaction: whoever else does so waits for its end."""
    change = update(AgentChangesRow).where(col(AgentChangesRow.id) == _ONLY_ROW)
    if seen is not None:
        change = change.where(col(AgentChangesRow.counter) == seen)
    if (await session.exec(change.values(counter=col(AgentChangesRow.counter) + 1))).rowcount != 1:
        raise CatalogMoved


async def _find(session: AsyncSession, name: str, *, with_deleted: bool = False, lock: bool = False) -> StoredAgentRow:
    query = select(StoredAgentRow).where(col(StoredAgentRow.name) == name)
    row = (await session.exec(query.with_for_update() if lock else query)).first()
    if row is None or (row.deleted_at is not None and not with_deleted):
        raise NoSuchStoredAgent
    return row


async def _revive(session: AsyncSession, name: str, at: datetime) -> None:
    row = await _find(session, name, with_deleted=True, lock=True)
    if row.deleted_at is None:
        raise NameTaken
    old = delete(SecretGrantRow).where(
        col(SecretGrantRow.agent_name) == name, col(SecretGrantRow.granted_at) <= row.deleted_at
    )
    await session.exec(old)
    row.deleted_at, row.created_at = None, at
    session.add(row)


async def _version(session: AsyncSession, name: str, number: int) -> AgentVersionRow:
    row = await session.get(AgentVersionRow, (name, number))
    if row is None:
        raise NoSuchVersion
    return row


async def _add_version(
    session: AsyncSession, row: StoredAgentRow, draft: Draft, *, is_published: bool
) -> StoredAgentRow:
    number = row.latest + 1
    fields = {
        "agent_name": row.name,
        "number": number,
        "content": canonical(draft.content),
        "content_hash": _hash_of(session, draft.content),
        "note": draft.note,
        "created_at": draft.at,
        "created_by": draft.by,
    }
    if not await insert_or_ignore(session, AgentVersionRow, [fields]):
        raise VersionMoved(number)
    row.latest, row.updated_at = number, draft.at
    session.add(row)
    return await _publish(session, row, number, draft.at) if is_published else row


async def _publish(session: AsyncSession, row: StoredAgentRow, number: int, at: datetime) -> StoredAgentRow:
    row.published, row.updated_at = number, at
    session.add(row)
    first = update(AgentVersionRow).where(
        col(AgentVersionRow.agent_name) == row.name,
        col(AgentVersionRow.number) == number,
        col(AgentVersionRow.published_at).is_(None),
    )
    await session.exec(first.values(published_at=at))
    return row


def _grant(name: str, secret: str) -> Delete:
    return delete(SecretGrantRow).where(
        col(SecretGrantRow.agent_name) == name, col(SecretGrantRow.secret_name) == secret
    )
