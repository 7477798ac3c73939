"""The door of `/v1`: an API key with the scope that is asked for, or this machine in open mode."""

from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import Annotated

from fastapi import Depends, Request

from api.access import may_ask_openly
from api.asking import OPEN, Rule
from api.deps import Services, ServicesDep
from api.errors import KeyNeeded, ScopeMissing
from api.idempotency import begin_once
from api.patience import database_in_time
from storage.audit import Actor, ActorKind
from storage.keys import SCOPES, BadKey, KeyRow


def needs(scope: str) -> Callable[..., Awaitable[str]]:
    """Return a door that lets pass whose key has this scope, and tells the key's id; `OPEN` in the open mode.

    Who it was is kept for the audit log, see `actor_of`. Raises KeyError for a scope that there is not.
    """
    _ = SCOPES[scope]

    async def check(request: Request, services: ServicesDep) -> str:
        key = await _read_key(request, services)
        if key is not None and scope not in key.scopes:
            raise ScopeMissing(f"This API key lacks the scope {scope}. Make one with it: cli.py keys create.")
        asked_by = OPEN if key is None else key.key_id
        await begin_once(request, services, asked_by)
        return asked_by

    check.rule = Rule(scope)  # pyright: ignore[reportFunctionMemberAccess]
    return check


async def needs_any(request: Request, services: ServicesDep) -> str:
    """Let pass whoever has any key, whatever it is good for."""
    key = await _read_key(request, services)
    return OPEN if key is None else key.key_id


needs_any.rule = Rule("")  # pyright: ignore[reportFunctionMemberAccess]


async def check_again(request: Request, services: Services) -> bool:
    """Tell whether the key, which let the request pass at the door, still would: for answers that go on for long."""
    try:
        await _read_key(request, services)
    except (KeyNeeded, BadKey):
        return False
    return True


async def _read_key(request: Request, services: Services) -> KeyRow | None:
    """Return the key of the request; None in the open mode. Raises `KeyNeeded`, and what `KeyStore.check` does."""
    if may_ask_openly(services.settings, request.headers):
        request.state.actor = Actor(ActorKind.THIS_MACHINE)
        return None
    scheme, _, given = request.headers.get("authorization", "").partition(" ")
    if scheme.lower() != "bearer" or not given.strip():
        raise KeyNeeded
    async with database_in_time():
        key = await services.keys.check(given.strip(), now=datetime.now(UTC))
    request.state.actor = Actor(ActorKind.KEY, key.key_id)
    request.state.expires_at = key.expires_at
    request.state.agents = None if key.agents is None else frozenset(key.agents)
    return key


MayRead = Annotated[str, Depends(needs("calls:read"))]
MayWrite = Annotated[str, Depends(needs("calls:write"))]
