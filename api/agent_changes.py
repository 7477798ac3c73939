"""`/v1/agents`, what is changed: agents made, changed, published, rolled back, deleted, and checked."""

import re
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Request, Response

from api.agent_shapes import (
    AgentName,
    AgentShown,
    AgentToCheck,
    ChangedAgent,
    Checked,
    IfMatch,
    NewAgent,
    PatchedAgent,
    RollBack,
    VersionNumber,
)
from api.agents import fault_shown, shown
from api.api_keys import needs
from api.asking import agents_of
from api.deps import Services, ServicesDep
from api.errors import BoundElsewhere, IfMatchNeeded
from api.patience import database_in_time
from api.problems import problems
from config.errors import Fault
from config.yaml_mapping import parse_mapping
from config.yaml_text import FaultyYaml
from storage.agent_desk import BadAgent
from storage.stored_agents import Draft, StoredAgentRow, VersionMoved

router = APIRouter(prefix="/v1/agents", tags=["agents"])

MayWriteAgents = Annotated[str, Depends(needs("agents:write"))]
MayWriteNamed = Annotated[str, Depends(needs("agents:write", names_agent=True))]

_ETAG = re.compile(r'"([1-9][0-9]{0,8})"')


@router.post("/check")
async def check_agent(body: AgentToCheck, request: Request, services: ServicesDep, _asked_by: MayWriteNamed) -> Checked:
    """Check an agent without storing it: every problem, with its place and its cure."""
    _refuse_other(request, body.name)
    try:
        content = _content(body.content, body.yaml)
        async with database_in_time():
            faults = await services.agent_desk.check(body.name, content)
    except BadAgent as error:
        faults = list(error.faults)
    return Checked(is_ok=not faults, problems=[fault_shown(fault) for fault in faults])


@router.post("", status_code=201, responses=problems(409))
async def create_agent(
    body: NewAgent, request: Request, response: Response, services: ServicesDep, asked_by: MayWriteNamed
) -> AgentShown:
    """Store a new agent as its version 1, and publish it if that is asked for."""
    _refuse_other(request, body.name)
    draft = _draft(_content(body.content, body.yaml), body.note, asked_by)
    async with database_in_time():
        row = await services.agent_desk.create(body.name, draft, is_published=body.publish)
        await _note(services, request, asked_by, "agents.create", row)
        response.headers["Location"] = f"/v1/agents/{row.name}"
        return await shown(services, row, response, "latest")


@dataclass(frozen=True, slots=True)
class _Asked:
    """What every change of an agent that is there begins with; FastAPI fills it in."""

    name: AgentName
    request: Request
    response: Response
    services: ServicesDep
    asked_by: MayWriteAgents
    if_match: IfMatch = None

    async def expected(self, *, is_needed: bool = False) -> int | None:
        """Return the version that has to be the latest; None: any. Raises `VersionMoved` where none can match."""
        if self.if_match is None:
            if is_needed:
                raise IfMatchNeeded
            return None
        if self.if_match.strip() == "*":
            return None
        named = [found[1] for one in self.if_match.split(",") if (found := _ETAG.fullmatch(one.strip()))]
        row = await self.services.in_force.store.find(self.name)
        if str(row.latest) not in named:
            raise VersionMoved(row.latest)
        return row.latest

    async def store(self, draft: Draft, *, is_published: bool, is_patch: bool) -> AgentShown:
        """Store a new version: `draft`, or the latest one changed by it."""
        async with database_in_time():
            expected = await self.expected(is_needed=True)
            row = await self.services.agent_desk.change(
                self.name, draft, expected=expected, is_published=is_published, is_patch=is_patch
            )
            return await self.told("agents.change", row, "latest")

    async def told(self, action: str, row: StoredAgentRow, which: str, **more: object) -> AgentShown:
        """Note what was done, and show the agent as it is now."""
        await _note(self.services, self.request, self.asked_by, action, row, **more)
        return await shown(self.services, row, self.response, which)


Asked = Annotated[_Asked, Depends()]


@router.put("/{name}", responses=problems(404, 409, 412, 428))
async def change_agent(body: ChangedAgent, asked: Asked) -> AgentShown:
    """Store a new version of an agent, in place of all that the latest one holds. The same content is no new version.

    If-Match must name the latest version: 428 without it, 412 when somebody else was faster.
    """
    draft = _draft(_content(body.content, body.yaml), body.note, asked.asked_by)
    return await asked.store(draft, is_published=body.publish, is_patch=False)


@router.patch("/{name}", responses=problems(404, 409, 412, 428))
async def patch_agent(body: PatchedAgent, asked: Asked) -> AgentShown:
    """Store a new version of an agent: the latest one with some of it changed. If-Match as for PUT."""
    draft = _draft(body.content, body.note, asked.asked_by)
    return await asked.store(draft, is_published=body.publish, is_patch=True)


@router.delete("/{name}", status_code=204, responses=problems(404, 409, 412))
async def delete_agent(asked: Asked) -> None:
    """Let an agent answer no more calls. Its live calls go on; its versions stay, for the calls that it had."""
    async with database_in_time():
        expected = await asked.expected()
        await asked.services.agent_desk.delete(asked.name, expected=expected, at=datetime.now(UTC))
        await asked.services.audit.note(asked.asked_by, "agents.delete", "agent", asked.name, request=asked.request)


@router.post("/{name}/versions/{number}/publish", responses=problems(404, 409, 412))
async def publish_version(number: VersionNumber, asked: Asked) -> AgentShown:
    """Let a version answer the next call, and every one from then on; calls that are live keep theirs."""
    async with database_in_time():
        expected = await asked.expected()
        row = await asked.services.agent_desk.publish(asked.name, number, expected=expected, at=datetime.now(UTC))
        return await asked.told("agents.publish", row, "published")


@router.post("/{name}/rollback", responses=problems(404, 409, 412))
async def roll_back(asked: Asked, body: RollBack | None = None) -> AgentShown:
    """Publish an earlier version again: the one that was published below the present one, or the one that is named."""
    async with database_in_time():
        expected = await asked.expected()
        row, before = await asked.services.agent_desk.roll_back(
            asked.name, (body or RollBack()).to, expected=expected, at=datetime.now(UTC)
        )
        return await asked.told("agents.roll_back", row, "published", before=before)


def _refuse_other(request: Request, name: str) -> None:
    """Let a key that is bound to agents make none but those. Raises `BoundElsewhere`."""
    own = agents_of(request)
    if own is not None and name not in own:
        raise BoundElsewhere


def _content(content: dict[str, Any] | None, yaml: str | None) -> dict[str, Any]:
    if (content is None) == (yaml is None):
        given = "both content and yaml" if content is not None else "neither content nor yaml"
        raise BadAgent([Fault((), f"has {given}", "give one of them")])
    if content is not None:
        return content
    try:
        return parse_mapping(
            (yaml or "").encode("utf-8", "surrogatepass"),
            when_large="move long texts into the bot",
            when_empty="begin with 'bot: assistant'",
        )
    except FaultyYaml as error:
        raise BadAgent(error.faults) from error


def _draft(content: dict[str, Any], note: str | None, asked_by: str) -> Draft:
    return Draft(content, asked_by, datetime.now(UTC), note or None)


async def _note(
    services: Services, request: Request, asked_by: str, action: str, row: StoredAgentRow, **more: object
) -> None:
    detail = {"latest": row.latest, "published": row.published, **more}
    await services.audit.note(asked_by, action, "agent", row.name, request=request, detail=detail)
