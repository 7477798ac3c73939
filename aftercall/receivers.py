"""Who is told of a call: the agent's receivers and the server's. Pure."""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from urllib.parse import urlsplit

from config.agent import AgentConfig
from config.settings import Settings
from config.webhooks import WebhookEvent

SERVER = "server"
"""The `endpoint_id` of the receiver that hears of every agent's calls."""


@dataclass(frozen=True, slots=True)
class Receiver:
    """One receiver. `secret_name`: which of the operator's secrets signs; None: the server's, or one that is made."""

    endpoint_id: str
    agent_name: str
    url: str
    secret_name: str | None
    events: frozenset[WebhookEvent]
    include: frozenset[str]


def receivers_of(agent: AgentConfig | None, settings: Settings) -> list[Receiver]:
    """Return who is told of a call of this agent; None: of an agent that there is no more."""
    return [*_of_server(settings), *(() if agent is None else _of_agent(agent))]


def _of_server(settings: Settings) -> Iterator[Receiver]:
    if settings.webhook_url is not None:
        events, include = frozenset(settings.webhook_events), frozenset(settings.webhook_include)
        yield Receiver(SERVER, "", settings.webhook_url, None, events, include)


def _of_agent(agent: AgentConfig) -> Iterator[Receiver]:
    seen: set[str] = set()
    for webhook in agent.webhooks:
        endpoint_id = hashlib.sha256(f"{agent.name}\n{webhook.url}".encode()).hexdigest()[:16]
        if endpoint_id not in seen:
            seen.add(endpoint_id)
            secret = None if webhook.secret is None else webhook.secret.secret
            host = (urlsplit(webhook.url).hostname or "").lower()
            if secret is not None and not agent.origin.may_send(secret, [host]):
                continue  # withdrawn since: what it would sign is told to nobody
            yield Receiver(
                endpoint_id, agent.name, webhook.url, secret, frozenset(webhook.events), frozenset(webhook.include)
            )
