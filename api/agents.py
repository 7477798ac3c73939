"""`/v1/agents`, what is there: agents of files and stored ones in one list, versions, differences."""

import asyncio
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Depends, Query, Request, Response

from api.agent_shapes import (
    AgentListed,
    AgentName,
    AgentPage,
    AgentShown,
    ChangeShown,
    Difference,
    VersionListed,
    VersionNumber,
    VersionPage,
    VersionShown,
    WhichVersion,
)
from api.api_keys import needs
from api.asking import agents_of
from api.deps import Services, ServicesDep
from api.patience import database_in_time
from api.problems import Fault, problems
from api.shapes import Limit
from config.agent import AgentConfig
from config.agent_diff import changes, yaml_diff
from config.agent_file import dotted
from config.agents_folder import AgentCatalog
from config.errors import Fault as ConfigFault
from config.errors import printable
from config.yaml_writing import write_yaml
from storage.stored_agents import AgentVersionRow, NoSuchStoredAgent, NoSuchVersion, StoredAgentRow

router = APIRouter(prefix="/v1/agents", tags=["agents"])

MayReadAgents = Annotated[str, Depends(needs("agents:read"))]

_HIDDEN = Fault(
    where="name",
    problem="a stored agent of this name is out of force: the file goes before it",
    cure="rename the file on the server, or remove it",
)


@router.get("")
async def list_agents(
    request: Request,
    services: ServicesDep,
    _asked_by: Annotated[str, Depends(needs("agents:read", names_agent=True))],
    limit: Limit = 50,
    cursor: Annotated[
        str | None, Query(pattern=r"^[a-z0-9-]{1,63}$", description="`next_cursor` of the page before.")
    ] = None,
    source: Annotated[Literal["yaml", "api"] | None, Query(description="Only agents of files, or stored ones.")] = None,
    published: Annotated[bool | None, Query(description="Only agents that are published, or that are not.")] = None,
    prefix: Annotated[str, Query(pattern=r"^[a-z0-9-]{0,63}$", description="Only agents whose names begin so.")] = "",
    number: Annotated[
        str | None, Query(pattern=r"^\+[1-9][0-9]{6,14}$", description="Only the agents that list this number.")
    ] = None,
) -> AgentPage:
    """List agents by name, those of files and stored ones; deleted ones are left out, and what a key may not see."""
    after, own = cursor or "", agents_of(request)
    async with database_in_time():
        catalog = await services.current_agents()
        in_files = {agent.name: agent for agent in catalog.agents if not agent.origin.is_stored}
        wanted = None if own is None else sorted(own)
        if number is not None:
            answering = [agent.name for agent in catalog.agents if number in agent.numbers]
            wanted = [name for name in answering if own is None or name in own]
        rows: list[StoredAgentRow] = []
        if source != "yaml":
            rows = await services.in_force.store.list_agents(
                after=after, limit=limit + 1, is_published=published, prefix=prefix, but=list(in_files), among=wanted
            )
    listed = [_of_row(row, services, catalog) for row in rows]
    if source != "api" and published is not False:
        listed += [
            _of_file(agent, catalog)
            for agent in in_files.values()
            if agent.name > after and agent.name.startswith(prefix) and (wanted is None or agent.name in wanted)
        ]
    page = sorted(listed, key=lambda agent: agent.name)
    more = len(page) > limit
    return AgentPage(agents=page[:limit], next_cursor=page[limit - 1].name if more else None)


@router.get("/{name}", responses=problems(404))
async def show_agent(
    name: AgentName,
    services: ServicesDep,
    response: Response,
    _asked_by: MayReadAgents,
    version: WhichVersion = "published",
) -> AgentShown:
    """Show an agent: the version that answers calls (the latest when none does), or another one.

    The ETag is the version that is shown.
    """
    async with database_in_time():
        catalog = await services.current_agents()
        agent = catalog.by_name(name)
        if agent is not None and not agent.origin.is_stored:
            if version.isdigit():
                raise NoSuchVersion
            content = dict(agent.origin.content)
            listed = _of_file(agent, catalog)
            return AgentShown(**dict(listed), version=None, content=content, yaml=await _as_yaml(content))
        row = await services.in_force.store.find(name)
        return await shown(services, row, response, version)


@router.get("/{name}/versions", responses=problems(404))
async def list_versions(
    name: AgentName,
    services: ServicesDep,
    _asked_by: MayReadAgents,
    limit: Limit = 50,
    cursor: Annotated[str | None, Query(pattern=r"^[1-9][0-9]{0,8}$", description="`next_cursor` before.")] = None,
) -> VersionPage:
    """List an agent's versions, the newest first; those of a deleted agent too."""
    async with database_in_time():
        store = services.in_force.store
        row = await store.find(name, with_deleted=True)
        rows = await store.versions(name, before=None if cursor is None else int(cursor), limit=limit + 1)
    page = [VersionListed(**_version_fields(one, row)) for one in rows[:limit]]
    return VersionPage(versions=page, next_cursor=str(page[-1].number) if len(rows) > limit else None)


@router.get("/{name}/versions/{number}", responses=problems(404))
async def show_version(
    name: AgentName, number: VersionNumber, services: ServicesDep, _asked_by: MayReadAgents
) -> VersionShown:
    """Show a version with its content; one of a deleted agent too."""
    async with database_in_time():
        row = await services.in_force.store.find(name, with_deleted=True)
        version = await services.in_force.store.version(name, number)
    content = version.fields
    return VersionShown(**_version_fields(version, row), content=content, yaml=await _as_yaml(content))


@router.get("/{name}/diff", responses=problems(404))
async def show_difference(
    name: AgentName,
    services: ServicesDep,
    _asked_by: MayReadAgents,
    first: Annotated[str, Query(alias="from", pattern=r"^([1-9][0-9]{0,8}|latest|published)$")],
    second: Annotated[str, Query(alias="to", pattern=r"^([1-9][0-9]{0,8}|latest|published)$")] = "latest",
) -> Difference:
    """Show what is different between two versions."""
    async with database_in_time():
        store = services.in_force.store
        row = await store.find(name, with_deleted=True)
        before = await store.version(name, _number(row, first))
        after = await store.version(name, _number(row, second))
    names = (f"{name} version {before.number}", f"{name} version {after.number}")
    found = await asyncio.to_thread(changes, before.fields, after.fields)
    return Difference(
        from_version=before.number,
        to_version=after.number,
        changes=[
            ChangeShown(path=printable(one.path), kind=one.kind, before=one.before, after=one.after) for one in found
        ],
        yaml_diff=await asyncio.to_thread(yaml_diff, before.fields, after.fields, names),
    )


async def shown(services: Services, row: StoredAgentRow, response: Response, version: str) -> AgentShown:
    """Return a stored agent with one of its versions, whose ETag is put into the answer."""
    if version == "published" and row.published is None:
        version = "latest"
    number = _number(row, version)
    content = (await services.in_force.store.version(row.name, number)).fields
    response.headers["ETag"] = f'"{number}"'
    listed = _of_row(row, services, services.agents.catalog)
    return AgentShown(**dict(listed), version=number, content=content, yaml=await _as_yaml(content))


def fault_shown(fault: ConfigFault) -> Fault:
    """Return a fault as the API tells it."""
    return Fault(where=printable(dotted(fault.path)), problem=printable(fault.message), cure=printable(fault.cure))


def _number(row: StoredAgentRow, version: str) -> int:
    if version == "latest":
        return row.latest
    if version == "published":
        if row.published is None:
            raise NoSuchVersion
        return row.published
    return int(version)


def _of_row(row: StoredAgentRow, services: Services, catalog: AgentCatalog) -> AgentListed:
    agent = catalog.by_name(row.name)
    if agent is not None and not agent.origin.is_stored:
        raise NoSuchStoredAgent
    faults = [fault_shown(fault) for fault in services.in_force.problems(row.name)]
    taken = [] if agent is None else [one for one in agent.numbers if catalog.by_number(one) is not agent]
    for number in taken:
        problem = f"{number} is answered by the agent of a file"
        faults.append(Fault(where="numbers", problem=problem, cure="take the number out of one of the two"))
    return AgentListed(
        name=row.name,
        source="api",
        is_read_only=False,
        is_in_force=agent is not None,
        published_version=row.published,
        latest_version=row.latest,
        created_at=row.created_at,
        updated_at=row.updated_at,
        problems=faults,
        bot=agent.bot if agent else None,
        language=agent.language if agent else None,
        numbers=[one for one in agent.numbers if one not in taken] if agent else [],
    )


def _of_file(agent: AgentConfig, catalog: AgentCatalog) -> AgentListed:
    return AgentListed(
        name=agent.name,
        source="yaml",
        is_read_only=True,
        is_in_force=True,
        published_version=None,
        latest_version=None,
        created_at=None,
        updated_at=None,
        problems=[_HIDDEN] if any(hidden.name == agent.name for hidden in catalog.hidden) else [],
        bot=agent.bot,
        language=agent.language,
        numbers=list(agent.numbers),
    )


def _version_fields(version: AgentVersionRow, row: StoredAgentRow) -> dict[str, Any]:
    return {
        "number": version.number,
        "is_published": version.number == row.published,
        "created_at": version.created_at,
        "created_by": version.created_by,
        "published_at": version.published_at,
        "note": version.note,
        "content_hash": version.content_hash,
    }


async def _as_yaml(content: dict[str, Any]) -> str:
    return await asyncio.to_thread(write_yaml, content)
