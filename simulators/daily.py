"""A stand-in for the two calls of Daily's REST API that make a room: POST /rooms and POST /meeting-tokens.

There is no media behind it: nobody can join its rooms. Shapes as https://docs.daily.co/reference/rest-api describes.
"""

from __future__ import annotations

import json
import secrets
from datetime import UTC, datetime
from types import TracebackType
from typing import Any, Self, cast

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from simulators.loopback import LoopbackServer

_ROOM_FIELDS = {"name", "privacy", "properties"}
_ROOM_PROPERTIES = {"exp", "nbf", "eject_at_room_exp", "max_participants", "start_video_off", "start_audio_off"}
_TOKEN_PROPERTIES = {"room_name", "user_name", "user_id", "is_owner", "exp", "nbf", "eject_at_token_exp"}


class _Refusal(Exception):
    """What Daily answers instead of a room: status, error, info."""

    def __init__(self, status: int, error: str, info: str = "") -> None:
        super().__init__(info or error)
        self.status = status
        self.answer = {"error": error, **({"info": info} if info else {})}


class DailySimulator:
    """Daily's REST API on loopback, as an async context manager in the running loop.

    Attributes:
        base_url: The API's address, without a trailing slash.
        rooms: The rooms made so far, by name, as the API showed them.
        tokens: The properties of each token made so far.
        domain: Where the rooms pretend to be.
    """

    base_url: str

    def __init__(self, *, api_key: str = "simulated-daily-key", domain: str = "https://simulated.daily.co") -> None:
        self.rooms: dict[str, dict[str, Any]] = {}
        self.tokens: dict[str, dict[str, Any]] = {}
        self.domain = domain
        self._api_key = api_key
        routes = [
            Route("/v1/rooms", self._create_room, methods=["POST"]),
            Route("/v1/meeting-tokens", self._create_token, methods=["POST"]),
        ]
        app = Starlette(routes=routes, exception_handlers={_Refusal: _refuse})
        self._server = LoopbackServer(app, name="stand-in daily")

    async def __aenter__(self) -> Self:
        await self._server.__aenter__()
        self.base_url = f"http://127.0.0.1:{self._server.port}/v1"
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._server.__aexit__(kind, error, trace)

    async def _create_room(self, request: Request) -> JSONResponse:
        body = await self._read(request, _ROOM_FIELDS)
        properties = _properties(body, _ROOM_PROPERTIES)
        privacy = body.get("privacy", "public")
        if privacy not in ("public", "private"):
            raise _Refusal(400, "invalid-request-error", "privacy must be public or private")
        name = str(body.get("name") or secrets.token_urlsafe(15))
        if name in self.rooms:
            raise _Refusal(400, "invalid-request-error", f"a room named {name} already exists")
        room = {
            "id": secrets.token_hex(16),
            "name": name,
            "api_created": True,
            "privacy": privacy,
            "url": f"{self.domain}/{name}",
            "created_at": datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z"),
            "config": properties,
        }
        self.rooms[name] = room
        return JSONResponse(room)

    async def _create_token(self, request: Request) -> JSONResponse:
        properties = _properties(await self._read(request, {"properties"}), _TOKEN_PROPERTIES)
        if properties.get("room_name") not in self.rooms:
            raise _Refusal(400, "invalid-request-error", "room_name is not one of this domain's rooms")
        token = ".".join(secrets.token_urlsafe(18) for _ in range(3))
        self.tokens[token] = properties
        return JSONResponse({"token": token})

    async def _read(self, request: Request, fields: set[str]) -> dict[str, Any]:
        if request.headers.get("authorization") != f"Bearer {self._api_key}":
            raise _Refusal(401, "authentication-error")
        try:
            body = json.loads(await request.body())
        except ValueError:
            raise _Refusal(400, "json-parsing-error") from None
        return _only(body, fields, "body")


def _properties(body: dict[str, Any], known: set[str]) -> dict[str, Any]:
    return _only(body.get("properties", {}), known, "properties")


def _only(value: Any, known: set[str], where: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise _Refusal(400, "invalid-request-error", f"{where} must be an object")
    fields = cast(dict[str, Any], value)
    if unknown := set(fields) - known:
        raise _Refusal(400, "invalid-request-error", f"unknown parameter '{min(unknown)}'")
    return fields


async def _refuse(_request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, _Refusal)
    return JSONResponse(error.answer, error.status)
