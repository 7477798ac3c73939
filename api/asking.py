"""Who asks: what a door finds out about a request, for the routes behind it and for the audit log."""

from dataclasses import dataclass

from starlette.requests import HTTPConnection

from calling.errors import NoSuchAgent
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


def agents_of(connection: HTTPConnection) -> frozenset[str] | None:
    """Return the only agents that whoever asks may see and use; None: all. Known once a door has let him pass."""
    agents: frozenset[str] | None = getattr(connection.state, "agents", None)
    return agents


def check_agent(connection: HTTPConnection, agent: str) -> None:
    """Raise `NoSuchAgent` for an agent that is none of the business of whoever asks."""
    agents = agents_of(connection)
    if agents is not None and agent not in agents:
        raise NoSuchAgent(f"There is no agent {agent!r}.")
