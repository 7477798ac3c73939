"""Who may come into the playground: this machine in open mode, else whoever gave the secret at the door."""

import hashlib
import hmac
from typing import Annotated
from urllib.parse import urlsplit

from fastapi import Depends, Query, Response
from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import HTTPConnection
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from api.access import may_ask_openly
from api.api_keys import count
from api.asking import OPERATOR, THIS_MACHINE, Rule
from api.deps import Services, ServicesDep
from api.errors import ForeignPage, PlaygroundOff, SecretNeeded
from api.operators import check_attempts, check_operator, note_wrong_secret
from api.tokens import LONGEST_TEXT
from config.settings import Settings

PATH = "/playground"
DOOR = f"{PATH}/door"
_COOKIE = "trunkline_playground"
_COOKIE_SECS = 12 * 3600
_HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
        "media-src 'self' blob:; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    # Not "no-referrer": a browser then sends "Origin: null" with forms and beacons, and we could not tell our own page.
    "Referrer-Policy": "same-origin",
    "Permissions-Policy": "microphone=(self), camera=(), geolocation=()",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cache-Control": "no-store",
}


async def check_visitor(connection: HTTPConnection, services: ServicesDep) -> None:
    """Let a visitor of the playground pass.

    Raises `ForeignPage` when a page of another site makes the request, `PlaygroundOff` when no secret is configured,
    `SecretNeeded` without the door's cookie, and without the secret as a bearer token or password; as `let_in` for
    who shows a key or a token instead.
    """
    await _check(connection, services, None)


async def check_listener(
    connection: HTTPConnection,
    services: ServicesDep,
    token: Annotated[str | None, Query(max_length=LONGEST_TEXT)] = None,
) -> None:
    """Let pass as `check_visitor`, and who has a token in the query: for what a browser asks without headers."""
    await _check(connection, services, token)


async def check_chooser(connection: HTTPConnection, services: ServicesDep) -> None:
    """Let pass as `check_visitor`; the route then refuses agents that are not the visitor's."""
    await _check(connection, services, None, names_agent=True)


async def _check(
    connection: HTTPConnection, services: Services, token: str | None, *, names_agent: bool = False
) -> None:
    if connection.scope.get("method") != "GET":
        refuse_foreign_page(connection.headers, services.settings)
    if may_ask_openly(services.settings, connection.headers):
        connection.state.asked = THIS_MACHINE
    elif has_good_cookie(connection, services):
        await count(connection, services, OPERATOR)
        connection.state.asked = OPERATOR
    else:
        await check_operator(connection, services, _RULES[token is not None, names_agent], token)


_RULES = {
    (in_query, names_agent): Rule("playground:use", takes_query=in_query, names_agent=names_agent)
    for in_query in (False, True)
    for names_agent in (False, True)
}
check_visitor.rule = _RULES[False, False]  # pyright: ignore[reportFunctionMemberAccess]
check_listener.rule = _RULES[True, False]  # pyright: ignore[reportFunctionMemberAccess]
check_chooser.rule = _RULES[False, True]  # pyright: ignore[reportFunctionMemberAccess]
Visitor = Depends(check_visitor)
Listener = Depends(check_listener)
Chooser = Depends(check_chooser)


def refuse_foreign_page(headers: Headers, settings: Settings) -> None:
    """Raise `ForeignPage` for a request that another site's page made; programs that name no origin pass."""
    if headers.get("sec-fetch-site", "same-origin") not in ("same-origin", "none"):
        raise ForeignPage
    hosts = headers.getlist("host")
    own = {urlsplit(settings.effective_public_base_url).netloc, *hosts[:1]}
    # A proxy may rewrite Host, so the public address counts as ours too; the scheme is the proxy's business.
    if any(not _netloc(origin) or _netloc(origin) not in own for origin in headers.getlist("origin")):
        raise ForeignPage


async def check_secret(secret: str, connection: HTTPConnection, services: Services) -> None:
    """Compare in constant time. Raises `PlaygroundOff`, `SecretNeeded`, `TooManyFailures`."""
    if services.settings.playground_secret is None:
        raise PlaygroundOff
    await check_attempts(connection, services)
    right = services.settings.playground_secret.get_secret_value().encode()
    if not hmac.compare_digest(right, secret.encode("utf-8", "replace")):
        if secret:
            await note_wrong_secret(connection, services)
        raise SecretNeeded


def set_cookie(response: Response, services: Services) -> None:
    """Let the browser in for twelve hours, or until the secret is changed."""
    expires_at = int(services.now()) + _COOKIE_SECS
    response.set_cookie(
        _COOKIE,
        f"{expires_at}.{_signature(expires_at, services)}",
        max_age=_COOKIE_SECS,
        path=PATH,
        httponly=True,
        samesite="strict",
        secure=services.settings.effective_public_base_url.startswith("https:"),
    )


def has_good_cookie(connection: HTTPConnection, services: Services) -> bool:
    """Whether the browser came through the door less than twelve hours ago, with the secret of today."""
    expires_text, _, signature = connection.cookies.get(_COOKIE, "").partition(".")
    if services.settings.playground_secret is None or not (expires_text.isascii() and expires_text.isdigit()):
        return False
    if len(expires_text) > 12 or int(expires_text) <= services.now():
        return False
    right = _signature(int(expires_text), services)
    return hmac.compare_digest(right.encode(), signature.encode("utf-8", "replace"))


class PageHeaders:
    """ASGI middleware: every answer under /playground, errors too, tells the browser how little it may do."""

    def __init__(self, app: ASGIApp) -> None:
        """Wrap `app`."""
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Add the headers to what begins a response; pass on the rest."""
        if scope["type"] != "http" or not (scope["path"] == PATH or scope["path"].startswith(f"{PATH}/")):
            await self._app(scope, receive, send)
            return

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in _HEADERS.items():
                    headers[name] = value
            await send(message)

        await self._app(scope, receive, send_with_headers)


def _signature(expires_at: int, services: Services) -> str:
    secret = services.settings.playground_secret
    assert secret is not None
    # Of the process's key and the secret both: to change either one closes the door to every cookie given out.
    key = hmac.digest(services.token_secret, secret.get_secret_value().encode(), hashlib.sha256)
    return hmac.new(key, f"playground until {expires_at}".encode(), hashlib.sha256).hexdigest()


def _netloc(origin: str) -> str:
    try:
        return urlsplit(origin).netloc
    except ValueError:
        return ""
