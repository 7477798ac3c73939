"""All routes of the server, and what stands before and behind them."""

from fastapi import Depends, FastAPI
from starlette.types import ASGIApp

from api import (
    agent_changes,
    agents,
    answered_by,
    audit,
    call_results,
    calls,
    do_not_call,
    errors,
    health,
    idempotency,
    keys,
    live,
    openapi,
    people,
    playground,
    recordings,
    stream,
    transfer_webhooks,
    twilio,
    usage,
    webhook_deliveries,
)
from api.frame import Frame, Named
from api.http_watch import HttpWatch
from api.playground_door import PageHeaders
from api.query import check_query
from api.safe_headers import OtherOrigins, SafeHeaders
from api.slow_bodies import SlowBodies
from api.strangers import Strangers
from config.settings import Settings

V1 = (
    agent_changes,
    agents,
    audit,
    call_results,
    calls,
    do_not_call,
    keys,
    live,
    openapi,
    people,
    recordings,
    usage,
    webhook_deliveries,
)
"""The rooms of the REST API; each has a `router` whose prefix begins with /v1."""
_OTHERS = (health, twilio, transfer_webhooks, stream, playground, answered_by)


class App(FastAPI):
    """FastAPI with our frame around everything it does, its own answers to faults and to large bodies included.

    `state.settings` are the server's, from the beginning.
    """

    def build_middleware_stack(self) -> ASGIApp:
        """Return the whole app as ASGI."""
        settings: Settings = self.state.settings
        patience_secs = settings.slow_request_secs
        framed = Frame(SlowBodies(super().build_middleware_stack(), patience_secs), patience_secs)
        watched = HttpWatch(Named(Strangers(framed)))
        return SafeHeaders(OtherOrigins(watched, settings.cors_origins), settings)


def install(app: FastAPI) -> None:
    """Let `app` answer everything that this room answers."""
    errors.install(app)
    app.add_exception_handler(idempotency.Replayed, idempotency.answer_again)
    for room in _OTHERS:
        app.include_router(room.router, include_in_schema=False)
    for room in V1:
        app.include_router(
            room.router, dependencies=[Depends(check_query)], generate_unique_id_function=openapi.name_operation
        )
    app.add_middleware(PageHeaders)
