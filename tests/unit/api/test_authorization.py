"""Every route of the app x everything that somebody may show at its door x what he is answered, on both databases.

The routes are read from the app: one that is added without a rule fails here, and one with a rule is tried.
"""

import time
from collections.abc import AsyncGenerator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import jwt
import pytest
from fastapi import FastAPI
from fastapi.dependencies.utils import get_flat_params
from fastapi.params import Query
from fastapi.routing import iter_route_contexts
from websockets.asyncio.client import connect
from websockets.exceptions import InvalidStatus

from api.asking import SIGNED, Rule
from api.secret_key import derive
from api.tokens import NOT_FOR_TOKENS, Tokens
from config.settings import Settings
from server import RunningServer
from storage.keys import SCOPES
from tests.databases import database_url
from tests.unit.api.wire import reachable

__all__ = ["database_url"]

SECRET = "open sesame"
MANY = 10_000_000
PUBLIC = {
    # Is it alive: told to everybody, and nothing else is.
    ("GET", "/livez"): 200,
    ("GET", "/readyz"): 200,
    # The door asks for the secret; it and its style are shown to whoever has none.
    ("GET", "/playground"): 401,
    ("POST", "/playground/door"): 401,
    ("GET", "/playground/playground.css"): 200,
    ("GET", "/playground/icon.svg"): 200,
    ("GET", "/playground/{name}.js"): 200,
}
"""Routes that ask for no key, and what each answers whoever has none."""

PATH_VALUES = {"call_id": "nocall", "key_id": "0" * 12, "name": "playground", "number": "1"}


@dataclass(frozen=True)
class Route:
    """One method of one path, and what its dependencies say it asks for."""

    method: str
    path: str
    rules: tuple[Rule | str, ...]
    queries: frozenset[str]

    @property
    def url(self) -> str:
        """The path with something in its places; what would go on for ever is asked for what is there."""
        path = self.path
        for name in [part.split(":")[0] for part in _places(path)]:
            path = path.replace("{" + name + "}", PATH_VALUES.get(name, "none"))
        return f"{path}?follow=false" if "follow" in self.queries else path


def _places(path: str) -> list[str]:
    return [part.partition("}")[0] for part in path.split("{")[1:]]


def _rules(dependant: Any) -> Iterator[Rule | str]:
    rule = getattr(dependant.call, "rule", None)
    if rule is not None:
        yield rule
    for inner in dependant.dependencies:
        yield from _rules(inner)


def routes_of(app: FastAPI) -> list[Route]:
    """All HTTP routes, also those that are in no document."""
    found: list[Route] = []
    for context in iter_route_contexts(app.routes):
        dependant: Any = getattr(context, "dependant", None)
        flat = [] if dependant is None else get_flat_params(dependant)
        queries = frozenset(field.alias for field in flat if isinstance(field.field_info, Query))
        for method in sorted(context.methods or ()):
            found.append(Route(method, str(context.path), tuple(_rules(dependant) if dependant else ()), queries))
    return found


@dataclass
class Door:
    """An app and everything that may be shown at its door."""

    server: RunningServer
    http: httpx.AsyncClient
    keys: dict[str, str]
    tokens: Tokens

    async def ask(self, route: Route, shown: str | None, **more: Any) -> int:
        headers = {} if shown is None else {"Authorization": shown.encode("latin-1")}
        body: dict[str, Any] = {"json": {}} if route.method in ("POST", "PUT", "PATCH") else {}
        if route.path.startswith("/twilio") or route.path.endswith("/door"):
            body = {"data": {"secret": "wrong"}}
        return (await self.http.request(route.method, route.url, headers=headers, **body, **more)).status_code

    def token(self, scopes: set[str], owner: str = "all", **bound: Any) -> str:
        return self.tokens.issue(self.keys[owner].split("_")[1], scopes, 600, **bound)[0]

    def forged(self, scope: str, *, algorithm: str = "HS256", key: bytes | None = b"wrong" * 8, **claims: Any) -> str:
        kid = jwt.get_unverified_header(self.token({scope}))["kid"]
        said = jwt.decode(self.token({scope}), options={"verify_signature": False}) | claims
        return jwt.encode(said, key, algorithm, {"kid": kid})


@pytest.fixture
async def door(settings: Settings, database_url: str) -> AsyncGenerator[Door]:
    async with open_door(settings, database_url) as opened:
        yield opened


@pytest.fixture
async def sqlite_door(settings: Settings) -> AsyncGenerator[Door]:
    async with open_door(settings, settings.database_url) as opened:
        yield opened


@asynccontextmanager
async def open_door(settings: Settings, database_url: str) -> AsyncGenerator[Door]:
    tried = reachable(
        settings,
        database_url=database_url,
        playground_secret=SECRET,
        max_reads_per_minute=MANY,
        max_writes_per_minute=MANY,
        max_dials_per_minute=MANY,
        max_failed_logins=MANY,
        max_keyless_per_minute=MANY,
    )
    async with AsyncExitStack() as closing:
        server = await closing.enter_async_context(RunningServer(tried))
        keys, now, made = server.services.keys, datetime.now(UTC), dict[str, str]()
        everything = {
            "all": (SCOPES, {}),
            "revoked": (SCOPES, {}),
            "expired": (SCOPES, {"expires_at": now - timedelta(seconds=1)}),
            "of another agent": (SCOPES, {"agents": ["somebody-else"]}),
        } | {f"all but {scope}": (set(SCOPES) - {scope}, {}) for scope in SCOPES}
        for name, (scopes, changes) in everything.items():
            made[name] = (await keys.create(name, scopes, now=now, **changes)).text
        await keys.revoke(made["revoked"].split("_")[1], now=now)
        transport = httpx.ASGITransport(server.app, raise_app_exceptions=False)
        http = httpx.AsyncClient(transport=transport, base_url="https://voice.example.com")
        yield Door(server, await closing.enter_async_context(http), made, server.services.gate.tokens)


async def test_every_route_has_one_rule_and_keeps_it(door: Door) -> None:
    routes, wrong = routes_of(door.server.app), list[str]()
    assert len(routes) > 40
    for route in routes:
        if (route.method, route.path) in PUBLIC:
            expected = {"no key": (None, {PUBLIC[route.method, route.path]})}
            assert not route.rules or route.path == "/playground"
        elif route.rules == (SIGNED,):
            bearer = f"Bearer {door.keys['all']}"
            expected = {"no signature": (None, {403}), "a key and no signature": (bearer, {403})}
        else:
            expected = expectations(door, route, rule_of(route))
        for what, (shown, statuses) in expected.items():
            status = await door.ask(route, shown)
            if status not in statuses:
                wrong.append(f"{route.method} {route.path}, {what}: {status}, and not {sorted(statuses)}")
    assert not wrong, "\n".join(wrong)


def rule_of(route: Route) -> Rule:
    """Return what a route asks for. Fails for one that does not say so, or says it twice."""
    assert len(route.rules) == 1, f"{route.method} {route.path} declares {len(route.rules)} rules, and not one"
    rule = route.rules[0]
    assert isinstance(rule, Rule), f"{route.method} {route.path}: what is {rule!r}?"
    return rule


PASSED = set(range(200, 500)) - {401, 403, 429} | {503}
"""What whoever is let in may hear: his request is empty, and its call is none."""


def expectations(door: Door, route: Route, rule: Rule) -> dict[str, tuple[str | None, set[int]]]:
    """What is shown to a route with this rule, and the statuses that may come of it."""
    bad, forbidden = {401}, {403}
    scope = rule.scope or "calls:read"
    keys = {name: f"Bearer {text}" for name, text in door.keys.items()}
    token_passes = bad if rule.is_for_keys else PASSED
    token_bound = bad if rule.is_for_keys else forbidden
    now = int(time.time())
    right_key = derive(door.server.services.token_secret, "browser tokens")
    expired = {"iat": now - 900, "nbf": now - 900, "exp": now - 1}
    expected: dict[str, tuple[str | None, set[int]]] = {
        "no key": (None, bad),
        "not a bearer": ("Basic eDp5", bad),
        "an empty bearer": ("Bearer ", bad),
        "a malformed key": ("Bearer tk_x", bad),
        "what is no text": ("Bearer \xff\xfe", bad),
        "an unknown key": (f"Bearer tk_{'0' * 12}_{'x' * 43}", bad),
        "another secret": (keys["all"][:-1] + ("A" if keys["all"][-1] != "A" else "B"), bad),
        "a revoked key": (keys["revoked"], bad),
        "an expired key": (keys["expired"], bad),
        "a token of a revoked key": (f"Bearer {door.token({scope}, 'revoked')}", bad),
        "a token by alg none": (f"Bearer {door.forged(scope, algorithm='none', key=None)}", bad),
        "a token by another key": (f"Bearer {door.forged(scope)}", bad),
        "a token for others": (f"Bearer {door.forged(scope, key=right_key, aud='other')}", bad),
        "an expired token": (f"Bearer {door.forged(scope, key=right_key, **expired)}", bad),
        "a tampered token": (f"Bearer {door.token({scope})[:-3]}AAA", bad),
        "a token of another call": (f"Bearer {door.token({scope}, call_id='another')}", token_bound),
        "the right key": (keys["all"], PASSED),
        "the right token": (f"Bearer {door.token({scope})}", token_passes if scope not in NOT_FOR_TOKENS else bad),
    }
    if rule.scope:
        others = set(SCOPES) - {scope}
        expected["a key without the scope"] = keys[f"all but {scope}"], forbidden
        expected["a token without the scope"] = f"Bearer {door.token(others)}", token_bound
    if not rule.names_agent:
        expected["a key of another agent"] = keys["of another agent"], {403, 404}
    if scope in ("playground:use", "metrics:read"):
        expected["the secret"] = f"Bearer {SECRET}", PASSED
    return expected


async def test_a_token_in_the_address_is_taken_where_the_route_says_so_and_nowhere_else(sqlite_door: Door) -> None:
    door, takes = sqlite_door, set[str]()
    for route in routes_of(door.server.app):
        rule = next((rule for rule in route.rules if isinstance(rule, Rule)), None)
        if rule is None:
            continue
        assert ("token" in route.queries) == rule.takes_query, route
        token = door.token({rule.scope or "calls:read"})
        status = await door.ask(route, None, params=_params(route) | {"token": token})
        key_in_address = await door.ask(route, None, params=_params(route) | {"token": door.keys["all"]})
        assert key_in_address in (401, 422), "a key is never taken from an address"
        if rule.takes_query:
            takes.add(route.path)
            assert status in PASSED, route
        else:
            assert status in (401, 422), route
    assert "/playground/events/{call_id}" in takes
    assert {path for path in takes if path.startswith("/v1")} <= {
        "/v1/calls/{call_id}/events",
        "/v1/calls/{call_id}/recording",
        "/v1/events",
    }


def _params(route: Route) -> dict[str, str]:
    return {"follow": "false"} if "follow" in route.queries else {}


async def test_every_socket_asks_for_a_signature(sqlite_door: Door) -> None:
    door = sqlite_door
    sockets = [context for context in iter_route_contexts(door.server.app.routes) if not context.methods]
    assert sockets
    for context in sockets:
        route: Any = getattr(context, "starlette_route", None) or context
        path = str(route.path).replace("{instance}", "x")
        assert path.startswith("/twilio/stream"), f"{path}: what does it ask for?"
        url = f"ws{door.server.base_url.removeprefix('http')}{path}"
        for headers in ({}, {"Authorization": f"Bearer {door.keys['all']}"}, {"X-Twilio-Signature": "AAAA"}):
            with pytest.raises(InvalidStatus) as refused:
                await connect(url, additional_headers=headers, proxy=None)
            assert refused.value.response.status_code == 403


def test_a_route_without_a_rule_would_be_noticed() -> None:
    app = FastAPI()

    @app.get("/v1/forgotten")
    async def forgotten() -> dict[str, str]:
        return {}

    unruled = {route.path: route for route in routes_of(app)}
    for path in ("/v1/forgotten", "/openapi.json"):
        with pytest.raises(AssertionError, match=f"{path} declares 0 rules"):
            rule_of(unruled[path])
