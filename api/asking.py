"""Who asks: what a door finds out about a request, for the routes behind it and for the audit log."""

from dataclasses import dataclass

from starlette.requests import HTTPConnection

from storage.audit import Actor

OPEN = ""
"""Who asks in the open mode."""


@dataclass(frozen=True, slots=True)
class Rule:
    """What a route asks for; the test of the authorization matrix reads it from the route. Empty: any key will do."""

    scope: str


def actor_of(connection: HTTPConnection) -> Actor | None:
    """Return who asks, once a door has let him pass."""
    actor: Actor | None = getattr(connection.state, "actor", None)
    return actor
