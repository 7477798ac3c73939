"""A receiver of webhooks over a real socket, which checks what it gets with the library that receivers use."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from standardwebhooks import Webhook
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from simulators.loopback import LoopbackServer

SECRET = "whsec_" + "a2V5" * 8


@dataclass
class ReceiverHouse:
    """What came, and what is answered: `answers` first, then what `statuses` has for a type, then `status`."""

    url: str = ""
    host: str = ""
    secret: str = SECRET
    status: int = 204
    statuses: dict[str, int] = field(default_factory=dict[str, int])
    answers: list[Response] = field(default_factory=list[Response])
    came: list[dict[str, Any]] = field(default_factory=list[dict[str, Any]])
    ids: list[str] = field(default_factory=list[str])
    is_checked: bool = True

    async def take(self, request: Request) -> Response:
        """Check the signature, and keep the message."""
        body, headers = await request.body(), dict(request.headers)
        checked: Any = Webhook(self.secret).verify(body, headers) if self.is_checked else {}
        self.came.append(checked)
        self.ids.append(headers["webhook-id"])
        if self.answers:
            return self.answers.pop(0)
        return Response(status_code=self.statuses.get(checked.get("type", ""), self.status))


@asynccontextmanager
async def receiving(port: int = 0) -> AsyncGenerator[ReceiverHouse]:
    house = ReceiverHouse()
    app = Starlette(routes=[Route("/{rest:path}", house.take, methods=["POST"])])
    async with LoopbackServer(app, name="a receiver", port=port) as server:
        house.host = f"127.0.0.1:{server.port}"
        house.url = f"http://{house.host}/calls"
        yield house
