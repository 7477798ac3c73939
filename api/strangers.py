"""How often an address may ask without a good key: counted around the doors, before a body is read or a row looked at.

Whoever shows a good key is counted by that, and is not kept out because strangers share the address: what looks like a
key is looked at first, and counted when it is none.
"""

from starlette.requests import HTTPConnection
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from api.access import may_ask_openly
from api.addresses import address_of
from api.asking import is_known, note_known
from api.deps import Services
from api.errors import TOO_OFTEN, answer_to
from api.playground_door import DOOR, has_good_cookie
from api.rate_limits import TooManyRequests

_UNCOUNTED = frozenset({"/livez", "/readyz"})
_TWILIO = "/twilio/"
"""Every request under it is signed: a busy signal for Twilio would be one for a caller."""


class Strangers:
    """ASGI, inside `api.frame.Named`. Sockets, Twilio, what asks whether we live, and the open mode pass untouched."""

    def __init__(self, app: ASGIApp) -> None:
        """Wrap `app`."""
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request, or answer that too much was asked without a good key."""
        services = _services_of(scope)
        connection = HTTPConnection(scope) if services is not None else None
        if services is None or connection is None or may_ask_openly(services.settings, connection.headers):
            await self._app(scope, receive, send)
            return
        if has_good_cookie(connection, services):
            note_known(connection)  # also for style and scripts of the page, which no door looks at
        elif not _shows_something(connection):
            refused = await _count(connection, services)
            if refused is None:
                await self._app(scope, receive, send)
            else:
                await _refuse(refused, scope, receive, send)
            return

        refused: TooManyRequests | None = None

        async def send_if_good(message: Message) -> None:
            nonlocal refused
            # Whoever has to wait for having been wrong was told how long, and cost nothing but that.
            if message["type"] == "http.response.start" and message["status"] != TOO_OFTEN and not is_known(connection):
                refused = await _count(connection, services)
            if refused is None:
                await send(message)

        await self._app(scope, receive, send_if_good)
        if refused is not None:
            await _refuse(refused, scope, receive, send)


def _services_of(scope: Scope) -> Services | None:
    """Return the services for a request that may have to be counted."""
    if scope["type"] != "http" or scope["path"] in _UNCOUNTED or scope["path"].startswith(_TWILIO):
        return None
    return getattr(scope["app"].state, "services", None) if "app" in scope else None


def _shows_something(connection: HTTPConnection) -> bool:
    """Whether there is something to be looked at that may be good: a key, a token, a secret."""
    return (
        bool(connection.headers.get("authorization"))
        or bool(connection.query_params.get("token"))
        or (connection.scope["method"], connection.scope["path"]) == ("POST", DOOR)
    )


async def _count(connection: HTTPConnection, services: Services) -> TooManyRequests | None:
    address = address_of(connection, services.settings.trusted_proxies)
    try:
        connection.state.rate_headers = await services.gate.rates.count_keyless(address)
    except TooManyRequests as error:
        return error
    return None


async def _refuse(refused: TooManyRequests, scope: Scope, receive: Receive, send: Send) -> None:
    await answer_to(refused, scope["path"], str(scope["state"]["request_id"]))(scope, receive, send)
