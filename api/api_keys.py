"""The door of `/v1`: a key or token with the scope that is asked for, or this machine in open mode."""

from collections.abc import Awaitable, Callable
from dataclasses import replace
from datetime import UTC, datetime
from typing import Annotated

from fastapi import Depends, Query, Request
from starlette.requests import HTTPConnection

from api.access import may_ask_openly
from api.addresses import address_of
from api.asking import THIS_MACHINE, Asked, Bucket, Rule, asked_of, note_known
from api.deps import Services, ServicesDep
from api.errors import BoundElsewhere, KeyNeeded, ScopeMissing
from api.idempotency import begin_once
from api.patience import database_in_time
from api.tokens import LONGEST_TEXT, BadToken, is_token
from calling.errors import NoSuchCall
from storage.audit import Actor, ActorKind
from storage.keys import SCOPES, BadKey, KeyRow

_READING = frozenset({"GET", "HEAD", "OPTIONS"})
_AGENT_NAMES = ("agent", "agent_name", "name")
"""How a route names the agent that it is about, in its path or its query."""

Door = Callable[..., Awaitable[str]]


def needs(
    scope: str,
    *,
    takes_query: bool = False,
    names_agent: bool = False,
    is_for_keys: bool = False,
    bucket: Bucket | None = None,
) -> Door:
    """Return a door that lets pass whose key or token has this scope.

    The door tells the key's id, also of a token that the key made; `OPEN` in the open mode. What else it found out,
    see `api.asking.asked_of`.

    Args:
        scope: one of `SCOPES`; KeyError for another one.
        takes_query: a token may stand in `?token=`, for what a browser asks without headers.
        names_agent: the route itself leaves other agents out, or asks `check_agent`. Otherwise who is
            bound to some agents passes only where path or query name one of them, or a call of one of them.
        is_for_keys: a token will not do.
        bucket: what the request counts as; None: by its method.
    """
    _ = SCOPES[scope]
    return _door(Rule(scope, is_for_keys, takes_query, names_agent, bucket))


def _door(rule: Rule) -> Door:
    if rule.takes_query:

        async def check_with_query(
            request: Request,
            services: ServicesDep,
            token: Annotated[
                str | None, Query(max_length=LONGEST_TEXT, description="A token, where no header can be sent.")
            ] = None,
        ) -> str:
            return await _pass(request, services, rule, token)

        check: Door = check_with_query
    else:

        async def check_without_query(request: Request, services: ServicesDep) -> str:
            return await _pass(request, services, rule, None)

        check = check_without_query
    check.rule = rule  # pyright: ignore[reportFunctionMemberAccess]
    return check


async def _pass(request: Request, services: Services, rule: Rule, token: str | None) -> str:
    asked = await let_in(request, services, rule, token)
    await begin_once(request, services, asked.key_id)
    return asked.key_id


async def let_in(connection: HTTPConnection, services: Services, rule: Rule, query_token: str | None = None) -> Asked:
    """Find out who asks, and whether he may; `asked_of` tells it from then on.

    Raises:
        KeyNeeded: nobody, or a token where only a key will do.
        BadKey: and what is derived from it: the key or token is not good.
        ScopeMissing: it is good for other things.
        BoundElsewhere: it is good for another call or another agent.
        TooManyRequests: he asks too often.
        TooManyFailures: too many wrong keys have come from his address.
    """
    if may_ask_openly(services.settings, connection.headers):
        return _keep(connection, THIS_MACHINE)
    scheme, _, given = connection.headers.get("authorization", "").partition(" ")
    text = given.strip() if scheme.lower() == "bearer" else ""
    if not text and query_token:
        # A key in an address would end up in the logs of every proxy, and lasts.
        text = query_token if is_token(query_token) else ""
    if not text or (rule.is_for_keys and is_token(text)):
        raise KeyNeeded
    asked = await recognise(connection, services, text)
    await count(connection, services, asked, rule.bucket)
    if rule.scope and rule.scope not in asked.scopes:
        raise ScopeMissing(f"This API key lacks the scope {rule.scope}. Make one with it: cli.py keys create.")
    await _refuse_bound(connection, services, asked, rule)
    return _keep(connection, asked)


async def check_again(request: Request, services: Services) -> bool:
    """Tell whether who was let in at the door still would be: for answers that go on for long."""
    asked = asked_of(request)
    if asked is None or not asked.key_id:
        return asked is not None
    if asked.until is not None and asked.until <= services.now():
        return False
    try:
        async with database_in_time():
            await services.keys.check_id(asked.key_id, now=datetime.now(UTC))
    except BadKey:
        return False
    return True


async def recognise(connection: HTTPConnection, services: Services, text: str) -> Asked:
    """Return who has this key or token. Raises as `let_in`; a wrong one is counted against the address."""
    address = address_of(connection, services.settings.trusted_proxies)
    await services.gate.logins.check(address)
    now = datetime.now(UTC)
    try:
        async with database_in_time():
            if not is_token(text):
                key = await services.keys.check(text, now=now)
                return _of_key(key, Actor(ActorKind.KEY, key.key_id))
            token = services.gate.tokens.read(text)
            # Looked up each time: a key that is revoked takes its tokens with it at once.
            key = await services.keys.check_id(token.key_id, now=now)
    except BadKey as error:
        # A key that was good once was not guessed; browsers ask on with tokens that have just expired.
        if type(error) in (BadKey, BadToken):
            await services.gate.note_failure(connection, address)
        raise
    whole = _of_key(key, Actor(ActorKind.TOKEN, key.key_id, token.token_id))
    agents = whole.agents
    if token.agent is not None:
        agents = frozenset({token.agent} if whole.may_use(token.agent) else ())
    until = float(token.expires_at) if whole.until is None else min(whole.until, float(token.expires_at))
    return replace(whole, scopes=token.scopes & whole.scopes, agents=agents, call_id=token.call_id, until=until)


def _of_key(key: KeyRow, actor: Actor) -> Asked:
    agents = None if key.agents is None else frozenset(key.agents)
    until = None if key.expires_at is None else key.expires_at.timestamp()
    return Asked(actor, frozenset(key.scopes), agents, until=until)


async def count(connection: HTTPConnection, services: Services, asked: Asked, bucket: Bucket | None = None) -> None:
    """Count a request of somebody who was recognised. Raises `TooManyRequests`."""
    note_known(connection)
    by_method = Bucket.READS if connection.scope.get("method", "GET") in _READING else Bucket.WRITES
    address = address_of(connection, services.settings.trusted_proxies)
    # The headers are the answer's; `api.safe_headers` puts them there, whatever the route answers.
    connection.state.rate_headers = await services.gate.rates.count(bucket or by_method, asked.key_id, address)


async def _refuse_bound(connection: HTTPConnection, services: Services, asked: Asked, rule: Rule) -> None:
    call_id = connection.path_params.get("call_id")
    if asked.call_id is not None and call_id != asked.call_id:
        raise BoundElsewhere
    if asked.agents is None or rule.names_agent:
        return
    if call_id is not None:
        async with database_in_time():
            row = await services.store.get_call(str(call_id))
        # Of a call that is not his he hears no more than of one that there is not.
        if row is None or not asked.may_use(row.agent_name):
            raise NoSuchCall
        return
    places = (connection.path_params, connection.query_params)
    agent = next((place[name] for place in places for name in _AGENT_NAMES if name in place), None)
    if agent is None or not asked.may_use(str(agent)):
        raise BoundElsewhere


def _keep(connection: HTTPConnection, asked: Asked) -> Asked:
    connection.state.asked = asked
    return asked


needs_any = _door(Rule("", names_agent=True))
"""Lets pass whoever has any key or token, whatever it is good for."""

needs_key = _door(Rule("", is_for_keys=True, names_agent=True))
"""Lets pass whoever has any key; a token will not do."""

MayRead = Annotated[str, Depends(needs("calls:read"))]
MayWrite = Annotated[str, Depends(needs("calls:write"))]
MayList = Annotated[str, Depends(needs("calls:read", names_agent=True))]
MayFollow = Annotated[str, Depends(needs("calls:read", takes_query=True))]
MayFollowAll = Annotated[str, Depends(needs("calls:read", takes_query=True, names_agent=True))]
MayDial = Annotated[str, Depends(needs("calls:write", names_agent=True, bucket=Bucket.DIALS))]
