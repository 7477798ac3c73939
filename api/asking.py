"""Who asks: what a door finds out about a request, for the routes behind it and for the audit log."""

from dataclasses import dataclass
from enum import StrEnum

from starlette.requests import HTTPConnection

from calling.errors import NoSuchAgent
from storage.audit import Actor, ActorKind
from storage.keys import SCOPES

OPEN = ""
"""Who asks in the open mode."""


class Bucket(StrEnum):
    """What is counted apart: who dials too often may still read."""

    READS = "reads"
    WRITES = "writes"
    DIALS = "dials"


@dataclass(frozen=True, slots=True)
class Rule:
    """What a route asks for; the test of the authorization matrix reads it from the route.

    `scope`: of the key or token; empty: any will do. `is_for_keys`: a token will not do. `takes_query`: a token may
    stand in the query too. `names_agent`: the route itself refuses agents that are not the asker's, see `Asked`.
    `bucket`: what the request counts as; None: by its method.
    """

    scope: str
    is_for_keys: bool = False
    takes_query: bool = False
    names_agent: bool = False
    bucket: Bucket | None = None


SIGNED = "signed by Twilio"
"""The rule of what Twilio asks."""


@dataclass(frozen=True, slots=True)
class Asked:
    """Who asks, and what he may.

    `agents`: the only ones he may see and use; None: all. `call_id`: the only call that he may see and touch; None:
    all. `until`: Unix time from which on he may nothing any more; None: it is not known.
    """

    actor: Actor
    scopes: frozenset[str]
    agents: frozenset[str] | None = None
    call_id: str | None = None
    until: float | None = None

    @property
    def key_id(self) -> str:
        """The key's id; `OPEN` for who has none."""
        return self.actor.key_id

    def may_use(self, agent_name: str) -> bool:
        """Whether the agent is one of those he may see and use."""
        return self.agents is None or agent_name in self.agents


THIS_MACHINE = Asked(Actor(ActorKind.THIS_MACHINE), frozenset(SCOPES))
OPERATOR = Asked(Actor(ActorKind.PLAYGROUND), frozenset({"playground:use", "metrics:read"}))
"""Who knows the playground's secret."""


def asked_of(connection: HTTPConnection) -> Asked | None:
    """Return who asks, once a door has let him pass."""
    asked: Asked | None = getattr(connection.state, "asked", None)
    return asked


def note_known(connection: HTTPConnection) -> None:
    """Note that a request showed a good key, token, secret or cookie, whatever that is good for."""
    connection.state.is_known = True


def is_known(connection: HTTPConnection) -> bool:
    """Whether `note_known` was told of this request."""
    return bool(getattr(connection.state, "is_known", False))


def actor_of(connection: HTTPConnection) -> Actor | None:
    """Return who asks, as the audit log names him, once a door has let him pass."""
    asked = asked_of(connection)
    return None if asked is None else asked.actor


def agents_of(connection: HTTPConnection) -> frozenset[str] | None:
    """Return the only agents that whoever asks may see and use; None: all. Known once a door has let him pass."""
    asked = asked_of(connection)
    return None if asked is None else asked.agents


def may_also(connection: HTTPConnection, scope: str) -> bool:
    """Whether whoever asks, whom a door has let pass, is good for this scope too."""
    asked = asked_of(connection)
    return asked is not None and scope in asked.scopes


def check_agent(connection: HTTPConnection, agent: str) -> None:
    """Raise `NoSuchAgent` for an agent that is none of the business of whoever asks."""
    agents = agents_of(connection)
    if agents is not None and agent not in agents:
        raise NoSuchAgent(f"There is no agent {agent!r}.")
