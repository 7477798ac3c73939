"""`/v1/keys` and `/v1/tokens`: keys made, seen, rotated and revoked by keys that may; tokens for browsers."""

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from typing import Annotated

from fastapi import APIRouter, Depends, Path, Query, Request
from pydantic import ConfigDict, Field, StringConstraints

from api.api_keys import needs, needs_key
from api.asking import Asked
from api.deps import Services, ServicesDep
from api.errors import AgentsTooWide, BadMoment, DeadKey, NotForTokens, ScopeTooWide
from api.idempotency import keep_instead
from api.patience import database_in_time
from api.problems import problems
from api.shapes import Given, Limit, Moment, Shown, When
from api.tokens import MOST_SECS, NOT_FOR_TOKENS
from storage.keys import KeyExpired, KeyRevoked, KeyRow, NoSuchKey, check_scopes
from telemetry.moments import moment_text

router = APIRouter(prefix="/v1", tags=["keys"])

_MOST_DAYS = 36_500
_MOST_AGENTS = 100
_MOST_OVERLAP_HOURS = 720

_KeyId = Annotated[
    str, Path(pattern=r"^[0-9a-f]{12}$", description="What follows `tk_` in the key.", examples=["8b4fe3c61e5a"])
]
_Scopes = Annotated[
    list[Annotated[str, StringConstraints(min_length=1, max_length=40)]],
    Field(min_length=1, max_length=100, description="What it is good for.", examples=[["calls:read", "calls:write"]]),
]
_AgentName = Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9-]{0,62}$")]
_Agents = Annotated[list[_AgentName], Field(min_length=1, max_length=_MOST_AGENTS)]
_Cursor = Annotated[str | None, Query(pattern=r"^[0-9a-f]{12}$", description="`next_cursor` of the page before.")]
_Reader = Annotated[str, Depends(needs("keys:read"))]
_Writer = Annotated[str, Depends(needs("keys:write", is_for_keys=True, names_agent=True))]


class NewKeyGiven(Given):
    """A key to be made."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {"name": "order desk", "scopes": ["calls:read", "calls:write"], "expires_at": "2027-03-01T09:00:00Z"}
            ]
        }
    )

    name: str = Field(min_length=1, max_length=100, description="Who or what it is for.", examples=["order desk"])
    scopes: _Scopes
    expires_at: When | None = Field(
        default=None,
        description="From when on it is good for nothing; left out: as long as the key that makes it.",
        examples=["2027-03-01T09:00:00Z"],
    )
    agents: _Agents | None = Field(
        default=None,
        description="The only agents that it may see and use; left out: those of the key that makes it.",
        examples=[["front-desk"]],
    )


class RotationGiven(Given):
    """How a key is to be rotated."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"overlap_hours": 24}]})

    overlap_hours: Annotated[int, Field(ge=0, le=_MOST_OVERLAP_HOURS)] = Field(
        default=24, description="How long the secret that it has now stays good."
    )


class KeyShown(Shown):
    """A key, of which nobody can make use."""

    key_id: str
    name: str
    scopes: list[str]
    agents: list[str] | None = Field(description="The only agents that it may see and use; null: all.")
    state: str = Field(description="`good`, `revoked` or `expired`.", pattern="^(good|revoked|expired)$")
    created_at: Moment
    expires_at: Moment | None
    last_used_at: Moment | None = Field(description="To the minute.")
    revoked_at: Moment | None
    old_secret_until: Moment | None = Field(description="How long the secret before the last rotation is good.")


class NewKeyShown(KeyShown):
    """A key that was just made or rotated."""

    key: str | None = Field(
        description="The key itself: shown now and never again, and null where the request was made before.",
        examples=["tk_8b4fe3c61e5a_" + "x" * 43],
    )


class KeyPage(Shown):
    """Keys, newest first."""

    keys: list[KeyShown]
    next_cursor: str | None = Field(description="Asks for the page behind; null: there is none.")


class TokenGiven(Given):
    """A token to be made."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"scopes": ["calls:read"], "call_id": "3f0b6c9a51d24e7e", "ttl_secs": 300}]}
    )

    scopes: _Scopes
    call_id: str | None = Field(
        default=None,
        pattern=r"^[A-Za-z0-9_-]{1,64}$",
        description="The only call that it is good for.",
        examples=["3f0b6c9a51d24e7e"],
    )
    agent: _AgentName | None = Field(
        default=None, description="The only agent that it is good for.", examples=["front-desk"]
    )
    ttl_secs: Annotated[int, Field(ge=1, le=MOST_SECS)] = Field(default=MOST_SECS, description="How long it is good.")


class TokenShown(Shown):
    """A token."""

    token: str | None = Field(description="The token itself; null where the request was made before.")
    token_id: str
    scopes: list[str]
    call_id: str | None
    agent: str | None
    expires_at: Moment


@router.post("/keys", status_code=201, response_model=NewKeyShown)
async def create_key(given: NewKeyGiven, request: Request, services: ServicesDep, asked_by: _Writer) -> NewKeyShown:
    """Make a key. It has no scope, no agent and no day more than the key that makes it."""
    asked: Asked = request.state.asked
    now = datetime.now(UTC)
    scopes = _within(given.scopes, asked)
    own = None if asked.agents is None else sorted(asked.agents)
    agents = _agents_within(own if given.agents is None else given.agents, asked)
    async with database_in_time():
        maker = await services.keys.get(asked.key_id) if asked.key_id else None
        expires_at = _expiry(given.expires_at, None if maker is None else maker.expires_at, now)
        new = await services.keys.create(given.name, scopes, now=now, expires_at=expires_at, agents=agents)
    detail = {"scopes": scopes, "agents": agents, "expires_at": expires_at and moment_text(expires_at)}
    await services.audit.note(asked_by, "keys.create", "key", new.key_id, request=request, detail=detail)
    return _shown_once(request, await _find(services, new.key_id), new.text)


@router.get("/keys", response_model=KeyPage, responses=problems(404))
async def list_keys(
    services: ServicesDep,
    _asked_by: _Reader,
    limit: Limit = 50,
    cursor: Annotated[
        str | None, Query(pattern=r"^[0-9a-f]{12}$", description="`next_cursor` of the page before.")
    ] = None,
) -> KeyPage:
    """List the keys, of whatever state, newest first."""
    async with database_in_time():
        rows = await services.keys.list_page(limit + 1, after=cursor)
    shown = [_shown(row) for row in rows[:limit]]
    return KeyPage(keys=shown, next_cursor=shown[-1].key_id if len(rows) > limit else None)


@router.get("/keys/{key_id}", response_model=KeyShown, responses=problems(404))
async def show_key(key_id: _KeyId, services: ServicesDep, _asked_by: _Reader) -> KeyShown:
    """Show one key."""
    return _shown(await _find(services, key_id))


@router.post("/keys/{key_id}/rotate", response_model=NewKeyShown, responses=problems(404, 409))
async def rotate_key(
    key_id: _KeyId, request: Request, services: ServicesDep, asked_by: _Writer, given: RotationGiven | None = None
) -> NewKeyShown:
    """Give a key a new secret; the one that it has stays good for the overlap. It may be the key that asks."""
    asked: Asked = request.state.asked
    row = await _find(services, key_id)
    # Who rotates a key has it: it must be good for nothing that his own is not.
    _within(row.scopes, asked)
    _agents_within(row.agents, asked)
    overlap_hours = (given or RotationGiven()).overlap_hours
    try:
        async with database_in_time():
            new = await services.keys.rotate(key_id, now=datetime.now(UTC), overlap=timedelta(hours=overlap_hours))
    except (KeyRevoked, KeyExpired) as dead:
        raise DeadKey from dead  # the answer is of another key than the one that asks
    await services.audit.note(
        asked_by, "keys.rotate", "key", key_id, request=request, detail={"overlap_hours": overlap_hours}
    )
    return _shown_once(request, await _find(services, key_id), new.text)


@router.post("/keys/{key_id}/revoke", response_model=KeyShown, responses=problems(404))
async def revoke_key(key_id: _KeyId, request: Request, services: ServicesDep, asked_by: _Writer) -> KeyShown:
    """Make a key useless, and every token that it made, at once. One that is revoked stays as it is."""
    row = await _find(services, key_id)
    _agents_within(row.agents, request.state.asked)
    async with database_in_time():
        await services.keys.revoke(key_id, now=datetime.now(UTC))
    await services.audit.note(asked_by, "keys.revoke", "key", key_id, request=request)
    return _shown(await _find(services, key_id))


@router.post("/tokens", status_code=201, response_model=TokenShown)
async def create_token(
    given: TokenGiven, request: Request, services: ServicesDep, asked_by: Annotated[str, Depends(needs_key)]
) -> TokenShown:
    """Make a token for a browser: of some of the key's scopes, for 15 minutes at most, for one call or agent."""
    asked: Asked = request.state.asked
    scopes = _within(given.scopes, asked)
    if lasting := NOT_FOR_TOKENS & frozenset(scopes):
        raise NotForTokens(f"No token has the scope {min(lasting)}. Use the key itself.")
    if given.agent is not None:
        _agents_within([given.agent], asked)
    text, token = services.gate.tokens.issue(asked_by, scopes, given.ttl_secs, call_id=given.call_id, agent=given.agent)
    detail = {"scopes": scopes, "agent": given.agent, "call_id": given.call_id, "ttl_secs": given.ttl_secs}
    await services.audit.note(asked_by, "tokens.create", "token", token.token_id, request=request, detail=detail)
    shown = TokenShown(
        token=text,
        token_id=token.token_id,
        scopes=scopes,
        call_id=token.call_id,
        agent=token.agent,
        expires_at=datetime.fromtimestamp(token.expires_at, UTC),
    )
    keep_instead(request, shown.model_copy(update={"token": None}).model_dump_json().encode())
    return shown


def _within(scopes: Iterable[str], asked: Asked) -> list[str]:
    """Return the scopes, each once. Raises `UnknownScope`, and `ScopeTooWide` for one that he has not himself."""
    wanted = check_scopes(scopes)
    if missing := [scope for scope in wanted if scope not in asked.scopes]:
        raise ScopeTooWide(f"This API key cannot give the scope {missing[0]}, which it has not. Use a key that has it.")
    return wanted


def _agents_within(agents: Iterable[str] | None, asked: Asked) -> list[str] | None:
    """Return the agents, each once; None is all of them. Raises `AgentsTooWide` for one that is not his."""
    if asked.agents is None:
        return None if agents is None else sorted(set(agents))
    if agents is None:
        raise AgentsTooWide
    wanted = sorted(set(agents))
    if any(not asked.may_use(agent) for agent in wanted):
        raise AgentsTooWide
    return wanted


def _expiry(wanted: datetime | None, of_maker: datetime | None, now: datetime) -> datetime | None:
    if wanted is None:
        return of_maker
    if wanted <= now:
        raise BadMoment("expires_at: is past. Name a moment that is to come.")
    if wanted > now + timedelta(days=_MOST_DAYS):
        raise BadMoment("expires_at: is more than a century away. Leave it out, or name an earlier moment.")
    if of_maker is not None and wanted > of_maker:
        raise BadMoment("expires_at: is after the end of the key that asks. Name an earlier moment.")
    return wanted.astimezone(UTC)


async def _find(services: Services, key_id: str) -> KeyRow:
    async with database_in_time():
        row = await services.keys.get(key_id)
    if row is None:
        raise NoSuchKey
    return row


def _shown(row: KeyRow) -> KeyShown:
    now = datetime.now(UTC)
    state = "revoked" if row.revoked_at else "expired" if row.expires_at and row.expires_at <= now else "good"
    until = row.previous_until if row.previous_until and row.previous_until > now and state == "good" else None
    return KeyShown(
        key_id=row.key_id,
        name=row.name,
        scopes=row.scopes,
        agents=row.agents,
        state=state,
        created_at=row.created_at,
        expires_at=row.expires_at,
        last_used_at=row.last_used_at,
        revoked_at=row.revoked_at,
        old_secret_until=until,
    )


def _shown_once(request: Request, row: KeyRow, text: str) -> NewKeyShown:
    shown = NewKeyShown(**_shown(row).model_dump(), key=text)
    # What is kept for a repeated request must not hold what is kept nowhere else.
    keep_instead(request, shown.model_copy(update={"key": None}).model_dump_json().encode())
    return shown
