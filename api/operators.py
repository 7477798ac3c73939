"""Who operates the server: this machine in open mode, or by the playground's secret, or by a key with the scope."""

import hmac
from base64 import b64decode
from urllib.parse import urlsplit

from fastapi import Depends
from starlette.requests import HTTPConnection

from api.access import may_ask_openly
from api.addresses import address_of
from api.api_keys import count, let_in
from api.asking import OPERATOR, THIS_MACHINE, Rule
from api.deps import Services, ServicesDep
from api.errors import ForeignPage, PlaygroundOff, SecretNeeded
from api.tokens import is_token

METRICS = Rule("metrics:read")


async def check_operator(connection: HTTPConnection, services: Services, rule: Rule, token: str | None = None) -> None:
    """Let an operator pass: anybody of this machine in open mode, else by the secret, or by a key or token.

    The secret is taken as the password of HTTP Basic (any user name) or as a bearer token. `token` is one from the
    query, where the route takes it. Raises `PlaygroundOff` when no secret is configured and no key is shown,
    `SecretNeeded`, `ForeignPage` when another site's page uses a remembered password, and as `let_in`.
    """
    settings = services.settings
    if may_ask_openly(settings, connection.headers):
        connection.state.asked = THIS_MACHINE
        return
    authorization = connection.headers.get("authorization", "")
    given = _credential(authorization)
    if given is None and token:
        await let_in(connection, services, rule, token)
        return
    if given is not None and await _is_secret(given, connection, services):
        own_origin = _origin(settings.effective_public_base_url)
        if any(_origin(origin) != own_origin for origin in connection.headers.getlist("origin")):
            raise ForeignPage
        await count(connection, services, OPERATOR)
        connection.state.asked = OPERATOR
        return
    text = "" if given is None else given.decode("utf-8", "replace")
    if authorization[:7].lower() == "bearer " and (text.startswith("tk_") or is_token(text)):
        await let_in(connection, services, rule)
        return
    if settings.playground_secret is None:
        raise PlaygroundOff
    if given:
        await note_wrong_secret(connection, services)
    raise SecretNeeded


async def check_attempts(connection: HTTPConnection, services: Services) -> None:
    """Raise `TooManyFailures` while no secret of this address is looked at."""
    await services.gate.logins.check(address_of(connection, services.settings.trusted_proxies))


async def note_wrong_secret(connection: HTTPConnection, services: Services) -> None:
    """Count a wrong secret against the address that it came from."""
    await services.gate.note_failure(connection, address_of(connection, services.settings.trusted_proxies))


async def check_metrics(connection: HTTPConnection, services: ServicesDep) -> None:
    """Let pass who may read the metrics."""
    await check_operator(connection, services, METRICS)


check_metrics.rule = METRICS  # pyright: ignore[reportFunctionMemberAccess]
MetricsReader = Depends(check_metrics)


async def _is_secret(given: bytes, connection: HTTPConnection, services: Services) -> bool:
    secret = services.settings.playground_secret
    if secret is None:
        return False
    await check_attempts(connection, services)
    return hmac.compare_digest(secret.get_secret_value().encode("utf-8"), given)


def _credential(authorization: str) -> bytes | None:
    scheme, _, value = authorization.partition(" ")
    if scheme.lower() == "bearer":
        return value.strip().encode("utf-8", "replace")
    if scheme.lower() != "basic":
        return None
    try:
        _, colon, password = b64decode(value.strip(), validate=True).partition(b":")
    except ValueError:
        return None
    return password if colon else None


def _origin(url: str) -> tuple[str, str | None, int | None] | None:
    try:
        parts = urlsplit(url)
        return parts.scheme, parts.hostname, parts.port or {"http": 80, "https": 443}.get(parts.scheme)
    except ValueError:
        return None
