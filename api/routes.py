"""All routes of the server, and what stands before and behind them."""

from fastapi import FastAPI

from api import answered_by, audit, calls, errors, health, playground, stream, transfer_webhooks, twilio
from api.playground_door import PageHeaders


def install(app: FastAPI) -> None:
    """Let `app` answer everything that this room answers."""
    errors.install(app)
    for room in (health, twilio, transfer_webhooks, stream, playground, calls, answered_by, audit):
        app.include_router(room.router)
    app.add_middleware(PageHeaders)
