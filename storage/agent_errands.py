"""Agents from the command line: the database opened for one errand, and what came of it as lines of text."""

import asyncio
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path

from loguru import logger
from sqlalchemy.engine import make_url

from config.agent_file import Checks
from config.agents_folder import AgentCatalog, load_agents
from config.errors import AgentProblem, Fault
from config.settings import Settings
from config.yaml_mapping import parse_mapping
from config.yaml_text import FaultyYaml
from config.yaml_writing import write_yaml
from storage.agent_desk import AgentDesk, BadAgent
from storage.agents_in_force import AgentsInForce
from storage.audit import COMMAND_LINE, AuditStore
from storage.engine import Database
from storage.envelope import SealingError
from storage.errand import open_database
from storage.errors import DatabaseAhead, DatabaseAway
from storage.key_ring import KeyRing
from storage.stored_agents import AgentStore, Draft, NoSuchStoredAgent

_BY = "cli"


@asynccontextmanager
async def open_store(settings: Settings) -> AsyncGenerator[tuple[AgentStore, AuditStore, Database]]:
    """Yield the stored agents of the server with these settings. Raises `storage.errors` when that cannot be."""
    async with open_database(settings) as database:
        yield AgentStore(database), AuditStore(database), database


async def read_catalog(
    settings: Settings, checks: Checks, tell: Callable[[AgentProblem], None] | None = None
) -> AgentCatalog:
    """Return the agents of files and, where the database is there and answers at once, the stored ones beside them.

    `tell` is told why a stored agent cannot be used. Changes nothing, and makes no database. Raises `AgentErrors`.
    """
    url = make_url(settings.database_url)
    is_absent = url.drivername.startswith("sqlite") and not await asyncio.to_thread(Path(url.database or "").is_file)
    if not is_absent:
        database = Database(settings.database_url, await asyncio.to_thread(KeyRing.load, settings))
        try:
            await database.connect(0)
            if await database.count_pending_migrations() == 0:
                in_force = AgentsInForce(AgentStore(database), checks)
                catalog = (await in_force.load(settings.agents_dir)).catalog
                if tell is not None:
                    for problem in in_force.all_problems():
                        tell(problem)
                return catalog
        except (DatabaseAway, DatabaseAhead, SealingError) as error:
            logger.bind(problem=str(error)).warning("stored agents are not looked at")
        finally:
            await database.close()
    return await asyncio.to_thread(
        load_agents,
        settings.agents_dir,
        known_bots=checks.known_bots,
        check_dotted=checks.check_dotted,
        check_tools=checks.check_tools,
    )


async def grant_secret(settings: Settings, agent: str, secret: str, hosts: Sequence[str]) -> str:
    """Let a stored agent of this name send a secret; returns what to print. Raises as `open_store`."""
    wanted = sorted({host.strip().lower() for host in hosts})
    async with open_store(settings) as (store, audit, _):
        await store.grant(agent, secret, wanted, at=datetime.now(UTC))
        detail = {"secret": secret, "hosts": wanted}
        await audit.add(COMMAND_LINE, "agents.grant_secret", "agent", agent, at=datetime.now(UTC), detail=detail)
    whom = f"to {', '.join(wanted)}" if wanted else "to any host"
    known = "" if secret in settings.tool_secrets else f"\nTRUNKLINE_SECRET_{secret} is not set here yet."
    return f"the stored agent {agent} may send the secret {secret} {whom}{known}"


async def withdraw_secret(settings: Settings, agent: str, secret: str) -> bool:
    """Take a grant back; False when there was none. Raises as `open_store`."""
    async with open_store(settings) as (store, audit, _):
        if not await store.withdraw(agent, secret):
            return False
        detail = {"secret": secret}
        await audit.add(COMMAND_LINE, "agents.withdraw_secret", "agent", agent, at=datetime.now(UTC), detail=detail)
    return True


async def export_agent(settings: Settings, name: str, version: int | None) -> str:
    """Return a stored agent as YAML: the published version, the latest when none is, or this one.

    Raises `NoSuchStoredAgent`, `NoSuchVersion`, and as `open_store`.
    """
    async with open_store(settings) as (store, _, _):
        row = await store.find(name)
        found = await store.version(name, version or row.published or row.latest)
    return write_yaml(found.fields)


async def import_agent(settings: Settings, checks: Checks, file: Path, *, is_published: bool) -> str:
    """Store a YAML file as a new agent, or as a new version of the one of its name; returns what to print.

    Raises `BadAgent`, `ReadOnlyAgent`, `AgentErrors`, and as `open_store`.
    """
    name = file.stem
    try:
        content = parse_mapping(
            await asyncio.to_thread(file.read_bytes), when_large="move long texts into the bot", when_empty="write it"
        )
    except FaultyYaml as error:
        raise BadAgent(error.faults) from error
    except OSError as error:
        raise BadAgent([Fault((), f"{file} cannot be read ({error.strerror})", "name a YAML file")]) from error
    async with open_store(settings) as (store, audit, _):
        in_force = AgentsInForce(store, checks)
        await in_force.load(settings.agents_dir)
        desk, draft = AgentDesk(in_force), Draft(content, _BY, datetime.now(UTC), f"imported from {file.name}")
        try:
            await store.find(name)
        except NoSuchStoredAgent:
            row = await desk.create(name, draft, is_published=is_published)
        else:
            row = await desk.change(name, draft, expected=None, is_published=is_published)
        detail = {"latest": row.latest, "published": row.published}
        await audit.add(COMMAND_LINE, "agents.import", "agent", name, at=datetime.now(UTC), detail=detail)
    state = f"version {row.published} answers calls" if row.published else "no version answers calls yet"
    return f"{name}: version {row.latest} is stored; {state}"
