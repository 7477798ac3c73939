"""All routes of the server, and what stands before and behind them."""

from fastapi import Depends, FastAPI
from starlette.types import ASGIApp

from api import (
    agent_changes,
    agents,
    answered_by,
    audit,
    calls,
    errors,
    health,
    idempotency,
    live,
    openapi,
    playground,
    recordings,
    stream,
    transfer_webhooks,
    twilio,
)
from api.frame import Frame
from api.http_watch import HttpWatch
from api.playground_door import PageHeaders
from api.query import check_query

V1 = (agents, agent_changes, audit, calls, live, openapi, recordings)
"""The rooms of the REST API; each has a `router` whose prefix begins with /v1."""
_OTHERS = (health, twilio, transfer_webhooks, stream, playground, answered_by)


class App(FastAPI):
    """FastAPI with our frame around everything it does, its own answers to faults and to large bodies included."""

    def build_middleware_stack(self) -> ASGIApp:
        """Return the whole app as ASGI."""
        return HttpWatch(Frame(super().build_middleware_stack()))


def install(app: FastAPI) -> None:
    """Let `app` answer everything that this room answers."""
    errors.install(app)
    app.add_exception_handler(idempotency.Replayed, idempotency.answer_again)
    for room in _OTHERS:
        app.include_router(room.router, include_in_schema=False)
    for room in V1:
        app.include_router(room.router, dependencies=[Depends(check_query)])
    app.add_middleware(PageHeaders)
