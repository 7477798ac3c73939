"""Arms faults of a stand-in Gemini from another process: a port of its own on loopback, so that none can cut it off.

POST   {control_url}/fault   {"name": "slow-audio", "times": 1, "skip": 0, "settings": {}}   null: until disarmed
DELETE {control_url}/fault   {"name": "slow-audio"}                                          no body: all
GET    {control_url}/fault   {"armed": ["slow-audio"], "hits": ["http-503"]}
"""

from __future__ import annotations

import json
from types import TracebackType
from typing import Any, Protocol, Self, cast

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from simulators.faults import Armoury
from simulators.loopback import LoopbackServer


class Faulty(Protocol):
    """A stand-in whose faults can be armed."""

    faults: Armoury

    def arm(self, name: str, *, times: int | None = 1, skip: int = 0, **settings: float) -> None: ...

    def disarm(self, name: str | None = None) -> None: ...


class FaultControl:
    """The control port of a stand-in, between `async with` and its end. `url`: "http://127.0.0.1:PORT/simulator"."""

    url: str

    def __init__(self, stand_in: Faulty) -> None:
        self._stand_in = stand_in
        routes = [Route("/simulator/fault", self._act, methods=["GET", "POST", "DELETE"])]
        self._server = LoopbackServer(Starlette(routes=routes), name="fault control")

    async def __aenter__(self) -> Self:
        await self._server.__aenter__()
        self.url = f"http://127.0.0.1:{self._server.port}/simulator"
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._server.__aexit__(kind, error, trace)

    async def _act(self, request: Request) -> JSONResponse:
        try:
            asked = _read(await request.body())
            if request.method == "POST":
                settings = {str(name): float(value) for name, value in dict(asked.get("settings") or {}).items()}
                times = asked.get("times", 1)
                times = None if times is None else int(times)
                self._stand_in.arm(str(asked.get("name")), times=times, skip=int(asked.get("skip", 0)), **settings)
            elif request.method == "DELETE":
                self._stand_in.disarm(None if asked.get("name") is None else str(asked["name"]))
        except (ValueError, TypeError) as error:
            return JSONResponse({"error": str(error)}, status_code=400)
        faults = self._stand_in.faults
        return JSONResponse({"armed": faults.armed, "hits": [strike.name for strike in faults.hits]})


def _read(body: bytes) -> dict[str, Any]:
    asked: Any = json.loads(body) if body.strip() else {}
    if not isinstance(asked, dict):
        raise ValueError('the body must be an object, as {"name": "slow-audio", "times": 1}')
    return cast(dict[str, Any], asked)
