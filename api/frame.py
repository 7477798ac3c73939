"""What stands around every route: an id for each request, and around those of `/v1` all that is the same for each."""

import re
from secrets import token_hex

from loguru import logger
from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from api.errors import ANSWERS, Unexpected, answer_to
from api.idempotency import Repeatable
from api.request_body import ClientGone, check_address, read_body

_HEADER = "X-Request-Id"
_SANE = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{7,63}")


def is_v1(path: str) -> bool:
    """Return whether a path is one of the REST API."""
    return path == "/v1" or path.startswith("/v1/")


class Named:
    """ASGI, around the whole app: an id for each request, in `scope["state"]["request_id"]`.

    Every answer carries it as `X-Request-Id`, and so does every log line about the request. It is the one that was
    asked with when it can be one: 8 to 64 letters, digits, `.`, `_`, `-`.
    """

    def __init__(self, app: ASGIApp) -> None:
        """Wrap `app`."""
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request; sockets pass untouched."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        given = Headers(scope=scope).getlist(_HEADER)
        request_id = given[0] if len(given) == 1 and _SANE.fullmatch(given[0]) else token_hex(8)
        scope.setdefault("state", {})["request_id"] = request_id

        async def send_named(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message)[_HEADER] = request_id
            await send(message)

        with logger.contextualize(request_id=request_id):
            await self._app(scope, receive, send_named)


class Frame:
    """ASGI, inside `Named`.

    A request of `/v1` has its body read and checked, is answered again when it is a repeated one, and gets a problem
    for an answer whatever goes wrong.
    """

    def __init__(self, app: ASGIApp, patience_secs: float) -> None:
        """Wrap `app`; a body of `/v1` has `patience_secs` to come in."""
        self._app = app
        self._patience_secs = patience_secs

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request; what is not of `/v1` passes untouched."""
        if scope["type"] != "http" or not is_v1(scope["path"]):
            await self._app(scope, receive, send)
            return
        request_id, has_begun = str(scope["state"]["request_id"]), False

        async def send_noted(message: Message) -> None:
            nonlocal has_begun
            has_begun = has_begun or message["type"] == "http.response.start"
            await send(message)

        try:
            check_address(scope)
            body, value = await read_body(scope, receive, self._patience_secs)
            repeatable = Repeatable.of(scope, value if value is not None else body)
            async with repeatable.answering(send_noted) as answer:
                await self._app(scope, _body_again(body, receive), answer)
        except ClientGone:
            return
        except tuple(ANSWERS) as error:
            await answer_to(error, scope["path"], request_id)(scope, receive, send)
        except Exception as error:
            # Whatever it is, whoever asked gets an answer that tells nothing of our insides.
            _log(error)
            if not has_begun:
                await answer_to(Unexpected(), scope["path"], request_id)(scope, receive, send)


def _log(error: Exception) -> None:
    # What an exception says may be what somebody said: only its name and where it was raised are logged.
    nameless = Unexpected(type(error).__name__)
    logger.opt(exception=(Unexpected, nameless, error.__traceback__)).bind(problem=type(error).__name__).error(
        "a request was not answered, by a fault of the server"
    )


def _body_again(body: bytes, receive: Receive) -> Receive:
    """Return a `receive` that gives the body that was read, and then what comes after it."""
    is_told = False

    async def receive_again() -> Message:
        nonlocal is_told
        if is_told:
            return await receive()
        is_told = True
        return {"type": "http.request", "body": body, "more_body": False}

    return receive_again
