"""`routing.yaml`: YAML text in, Routing out, or every problem that it has, those with the agents included."""

from collections.abc import Iterator, Mapping, Set
from pathlib import Path

from pydantic import ValidationError

from config.agent import AgentConfig
from config.agent_file import dotted, fault_of
from config.errors import AgentProblem, Fault
from config.opening_hours import unknown_hours
from config.routing import Result, Routing
from config.wording import suggest
from config.yaml_mapping import MAX_FILE_BYTES, parse_mapping
from config.yaml_text import FaultyYaml


def read_routing(path: Path) -> tuple[Routing | None, list[AgentProblem]]:
    """Return the rules in the file and no problem, or None and every problem; `against_agents` checks the agents."""
    try:
        with path.open("rb") as file:
            content = file.read(MAX_FILE_BYTES + 1)
    except OSError as error:
        return None, [AgentProblem(str(path), "", f"cannot be read ({error.strerror})", "make it a readable file")]
    routing, faults = parse_routing(content)
    return (None, _named(path, faults)) if faults else (routing, [])


def parse_routing(content: bytes) -> tuple[Routing | None, list[Fault]]:
    """As `read_routing`, for the file's bytes; the problems do not know their file."""
    try:
        values = parse_mapping(
            content, when_large="ask a webhook instead", when_empty="begin with 'routes:', or remove the file"
        )
    except FaultyYaml as error:
        return None, error.faults
    try:
        routing = Routing.model_validate(values)
    except ValidationError as error:
        return None, [fault_of(Routing, line) for line in error.errors()]
    faults = [*_repeated(routing), *_unknown_hours(routing)]
    return (None, faults) if faults else (routing, [])


def against_agents(
    path: Path, routing: Routing, agents: Mapping[str, AgentConfig], broken: Set[str] = frozenset()
) -> list[AgentProblem]:
    """Return what of the rules does not go with these agents (name -> agent); `broken` ones may be anything."""
    faults = [*_unknown_agents(routing, agents, broken), *_leads_back(routing, agents)]
    if not broken:
        faults += _nobody(routing, agents)
    return _named(path, faults)


def _named(path: Path, faults: list[Fault]) -> list[AgentProblem]:
    return [AgentProblem(str(path), dotted(fault.path), fault.message, fault.cure) for fault in faults]


def _repeated(routing: Routing) -> Iterator[Fault]:
    seen: set[str] = set()
    for position, route in enumerate(routing.routes):
        for number, e164 in enumerate(route.numbers):
            if e164 in seen:
                yield Fault(("routes", position, "numbers", number), f"{e164} is listed twice", "keep one of them")
            seen.add(e164)


def _unknown_hours(routing: Routing) -> Iterator[Fault]:
    for position, route in enumerate(routing.routes):
        for number, rule in enumerate(route.rules):
            for side in ("open", "closed"):
                name: str | None = getattr(rule.when, side)
                if name is not None and name not in routing.hours:
                    path = ("routes", position, "rules", number, "when", side)
                    yield Fault(path, *unknown_hours(name, routing.hours))


def _unknown_agents(routing: Routing, agents: Mapping[str, AgentConfig], broken: Set[str]) -> Iterator[Fault]:
    for path, result in routing.results():
        for below, name in result.agents():
            if name not in agents and name not in broken:
                yield Fault((*path, *below), f"there is no agent {name!r}", suggest(name, agents, "agents are"))
        if result.agent is not None and result.agent in agents:
            yield from _unknown_variables(path, result, agents[result.agent])


def _unknown_variables(path: tuple[str | int, ...], result: Result, agent: AgentConfig) -> Iterator[Fault]:
    for name in result.variables:
        if name not in agent.variables:
            cure = suggest(name, agent.variables, f"add it under variables: of {agent.name}, which has")
            yield Fault((*path, "variables", name), f"{agent.name} has no variable {name!r}", cure)


def _leads_back(routing: Routing, agents: Mapping[str, AgentConfig]) -> Iterator[Fault]:
    ours = {number for agent in agents.values() for number in agent.numbers}
    ours |= {number for route in routing.routes for number in route.numbers}
    for path, result in routing.results():
        if result.transfer in ours:
            message = f"{result.transfer} is a number of this server: the call would come back"
            yield Fault((*path, "transfer"), message, "name a person's number")


def _nobody(routing: Routing, agents: Mapping[str, AgentConfig]) -> Iterator[Fault]:
    answered = {number for agent in agents.values() for number in agent.numbers}
    for position, route in enumerate(routing.routes):
        for number, e164 in enumerate(route.numbers):
            if route.default is None and e164 not in answered:
                cure = "add 'default: {agent: ...}' to the route, or the number to an agent's numbers:"
                path = ("routes", position, "numbers", number)
                yield Fault(path, f"nobody answers {e164} when no rule applies", cure)
