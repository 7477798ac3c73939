"""An agent as it is written over the API: a mapping in, AgentConfig out, or every problem that it has."""

from collections.abc import Iterator, Mapping
from typing import Any

from pydantic import BaseModel

from config.agent import AGENT_NAME, AgentConfig
from config.agent_file import Checks, GuestSettings, make_agent
from config.agents_folder import AgentCatalog
from config.errors import Fault
from config.origin import Origin
from config.wording import suggest
from config.written_bounds import bound_faults
from config.written_refusals import refusals_in, refusals_of, take_out_files
from config.written_types import settings_faults, type_faults


def read_written(
    name: str, content: Mapping[str, Any], origin: Origin, checks: Checks
) -> tuple[AgentConfig | None, list[Fault]]:
    """Return the agent and what is wrong with it; None for one that cannot be used at all.

    An agent that comes with faults could be used, but for the tools that the faults are about. May take some
    milliseconds: call it in a thread.
    """
    if not AGENT_NAME.fullmatch(name):
        cure = "use lower-case letters, digits and dashes, a letter or digit first, 63 at the most"
        return None, [Fault(("name",), "is not a usable agent name", cure)]
    if faults := bound_faults(content):
        return None, faults
    if "name" in content:
        return None, [Fault(("name",), "is not a part of the content", "give it beside the content")]
    harmless, faults = take_out_files(content)
    faults += refusals_in(harmless)
    faults += _faulty_settings(harmless, checks)
    without_tools = Checks(known_bots=checks.known_bots)
    agent, wrong = make_agent(name, harmless, without_tools, origin=origin)
    faults += wrong
    if agent is not None:
        faults += [fault for fault in refusals_of(agent) if fault not in faults]
        faults += type_faults(harmless)
    if agent is None or faults:
        return None, _each_once(faults)
    return agent, list(checks.check_tools(agent)) if checks.check_tools else []


def clashes(agent: AgentConfig, catalog: AgentCatalog) -> Iterator[Fault]:
    """Yield what of an agent does not go with the others that are in use."""
    others = [other for other in catalog.agents if other.name != agent.name]
    for position, number in enumerate(agent.numbers):
        owner = next((other for other in others if number in other.numbers), None)
        if owner is not None:
            cure = "choose another number, or take it away from that agent first"
            yield Fault(("numbers", position), f"{number} is answered by {owner.name} already", cure)
    names = {other.name for other in others}
    for name in agent.handoff.to:
        if name not in names and name != agent.name:
            yield Fault(("handoff", "to", name), f"there is no agent {name!r}", suggest(name, names, "agents are"))


def _faulty_settings(content: Mapping[str, Any], checks: Checks) -> Iterator[Fault]:
    model = _settings_model(content, checks)
    settings = content.get("settings")
    if model is not None and isinstance(settings, dict):
        yield from settings_faults(model, settings)  # pyright: ignore[reportUnknownArgumentType]


def _settings_model(content: Mapping[str, Any], checks: Checks) -> type[BaseModel] | None:
    model = (checks.known_bots or {}).get(str(content.get("bot")))
    return None if model is GuestSettings else model


def _each_once(faults: list[Fault]) -> list[Fault]:
    """Of several faults of one place the first is the clearest."""
    found: dict[tuple[str | int, ...], Fault] = {}
    for fault in faults:
        found.setdefault(fault.path, fault)
    return list(found.values())
