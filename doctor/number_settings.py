"""How a telephone number of the account must be set at Twilio so that this server answers it. Pure."""

from collections.abc import Iterator
from dataclasses import dataclass

from config.agents_folder import AgentCatalog
from config.routing import Routing
from telephony.rest import OwnedNumber

VOICE_PATH, STATUS_PATH = "/twilio/voice", "/twilio/status"


@dataclass(frozen=True, slots=True)
class Fault:
    """Something wrong with a number: `part` names it, `message` says what, with the cure behind a semicolon."""

    part: str
    message: str


def answerer_of(number: str, agents: AgentCatalog) -> str:
    """Return who answers a number (E.164) by our files, in words; "" when nobody does."""
    agent = agents.by_number(number)
    name = agent.name if agent is not None else ""
    if agents.routing.route_of(number) is not None:
        return f"routing.yaml, else {name}" if name else "routing.yaml"
    return name


def numbers_in(agents: AgentCatalog) -> list[str]:
    """Return every number that an agent or a route names, in order."""
    routing: Routing = agents.routing
    named = [number for agent in agents.agents for number in agent.numbers]
    return sorted({*named, *(number for route in routing.routes for number in route.numbers)})


def faults_of(owned: OwnedNumber, base_url: str) -> Iterator[Fault]:
    """Yield what keeps calls to this number from `base_url`, or their ends."""
    cure = f"run: cli.py numbers connect {owned.number}"
    if owned.trunk_sid:
        yield Fault("voice webhook", "it belongs to a SIP trunk, which gets its calls; take it out of the trunk")
        return
    if owned.application_sid:
        yield Fault("voice webhook", f"a TwiML application gets its calls; {cure}")
    elif owned.voice_url != base_url + VOICE_PATH:
        asked = f"Twilio asks {owned.voice_url}" if owned.voice_url else "Twilio asks nobody"
        yield Fault("voice webhook", f"{asked}; {cure}")
    elif owned.voice_method != "POST":
        yield Fault("voice webhook", f"Twilio asks by {owned.voice_method}, and we answer POST alone; {cure}")
    if owned.status_callback != base_url + STATUS_PATH:
        told = f"Twilio tells {owned.status_callback}" if owned.status_callback else "Twilio tells nobody"
        yield Fault("status callback", f"{told} when a call is over; {cure}")
    elif owned.status_method != "POST":
        yield Fault("status callback", f"Twilio tells by {owned.status_method}, and we take POST alone; {cure}")


def is_ours(url: str, base_url: str) -> bool:
    """Whether a URL leads to this server."""
    return url == base_url or url.startswith((f"{base_url}/", f"{base_url}?"))
