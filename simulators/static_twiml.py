"""A web page that is a TwiML document: what a number's fallback URL points to, on a server of its own."""

from __future__ import annotations

from types import TracebackType
from typing import Self

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from simulators.loopback import LoopbackServer


class StaticTwiml:
    """Serves one document on loopback to everyone, by GET and POST, between `async with` and its end.

    Attributes:
        url: where.
        requests: the parameters of each request, of the form or the query string.
    """

    url: str

    def __init__(self, xml: str) -> None:
        self.requests: list[dict[str, str]] = []
        self._xml = xml
        routes = [Route("/twiml.xml", self._answer, methods=["GET", "POST"])]
        self._server = LoopbackServer(Starlette(routes=routes), name="static TwiML")

    async def __aenter__(self) -> Self:
        await self._server.__aenter__()
        self.url = f"http://127.0.0.1:{self._server.port}/twiml.xml"
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._server.__aexit__(kind, error, trace)

    async def _answer(self, request: Request) -> Response:
        form = {name: str(value) for name, value in (await request.form()).items()}
        self.requests.append(dict(request.query_params) | form)
        return Response(self._xml, media_type="text/xml")
