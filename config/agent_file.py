"""One agent file: YAML text in, AgentConfig out, or every problem that the file has."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_args

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from config.agent import AGENT_NAME, AgentConfig
from config.ambient_sound import find_sound, sound_fault
from config.errors import AgentProblem, Fault
from config.machine import FOLDER
from config.on_failure import RUNGS
from config.origin import Origin
from config.pipeline import STAGES, PipelineDefinition, Stage
from config.wording import describe, suggest
from config.yaml_mapping import MAX_FILE_BYTES, parse_mapping
from config.yaml_text import FaultyYaml

KnownBots = Mapping[str, type[BaseModel] | None]
ToolCheck = Callable[[AgentConfig], Iterable[Fault]]
"""Given an agent that is sound in itself, returns what is wrong with its tools."""


class GuestSettings(BaseModel):
    """What `KnownBots` has for a bot with a pipeline of its own: it takes no settings, and cannot ask anybody."""


@dataclass(frozen=True, slots=True)
class Checks:
    """What only the rest of the server knows.

    `known_bots` maps each bot to the model of its settings, or None when it takes none; None instead of the mapping
    skips the check. `check_dotted` returns what is wrong with a dotted class name, or None. `check_tools` returns what
    is wrong with an agent's tools.
    """

    known_bots: KnownBots | None = None
    check_dotted: Callable[[str], str | None] | None = None
    check_tools: ToolCheck | None = None


def read_agent(path: Path, checks: Checks) -> tuple[AgentConfig | None, list[AgentProblem]]:
    """Return the agent in the file at `path` and no problem, or None and every problem; raises for no content."""
    if not path.is_file():  # a directory, or a pipe that would block for ever
        return None, [AgentProblem(str(path), "", "is not a regular file", "remove it from the folder")]
    try:
        with path.open("rb") as file:
            content = file.read(MAX_FILE_BYTES + 1)
    except OSError as error:
        return None, [AgentProblem(str(path), "", f"cannot be read ({error.strerror})", "make it a readable file")]
    return parse_agent(path, content, checks)


def parse_agent(path: Path, content: bytes, checks: Checks) -> tuple[AgentConfig | None, list[AgentProblem]]:
    """As `read_agent`, for the file's bytes."""
    agent, faults = _parse(path, content, checks)
    problems = [AgentProblem(str(path), dotted(fault.path), fault.message, fault.cure) for fault in faults]
    return (None, problems) if problems else (agent, [])


def _parse(path: Path, content: bytes, checks: Checks) -> tuple[AgentConfig | None, list[Fault]]:
    name = path.stem
    if not AGENT_NAME.fullmatch(name):
        cure = "the file's name is the agent's name: lower-case letters, digits and dashes"
        return None, [Fault((), f"{name!r} is not a usable agent name", cure)]
    try:
        fields = parse_mapping(
            content, when_large="move long texts into the bot", when_empty="begin with 'bot: receptionist'"
        )
    except FaultyYaml as error:
        return None, error.faults
    if "name" in fields:
        return None, [Fault(("name",), "is taken from the file's name", "remove this line")]
    found = find_sound(fields, path.parent)
    return make_agent(name, found, checks, origin=Origin(content=fields), folder=path.parent)


def make_agent(
    name: str, fields: Mapping[str, Any], checks: Checks, *, origin: Origin, folder: Path | None = None
) -> tuple[AgentConfig | None, list[Fault]]:
    """Return the agent that these fields make, and what is wrong with it; None when they make none.

    `folder` is where relative paths in the fields start from.
    """
    try:
        agent = AgentConfig.model_validate({**fields, "name": name}, context={FOLDER: folder} if folder else None)
    except ValidationError as error:
        return None, [fault_of(AgentConfig, line) for line in error.errors()]
    agent = agent.coming_from(origin)
    tool_faults = checks.check_tools(agent) if checks.check_tools else ()
    return agent, [*_bot_faults(agent, checks), *_sound_faults(agent), *_dotted_faults(agent, checks), *tool_faults]


def _bot_faults(agent: AgentConfig, checks: Checks) -> list[Fault]:
    if checks.known_bots is None:
        return []
    if agent.bot not in checks.known_bots:
        cure = suggest(agent.bot, checks.known_bots, f"add bots/{agent.bot}.py, or choose one of")
        return [Fault(("bot",), f"there is no bot {agent.bot!r}", cure)]
    model = checks.known_bots[agent.bot]
    if model is GuestSettings and agent.recording.asks:
        what = f"is ask, and the bot {agent.bot!r} runs its own pipeline, in which nobody asks"
        return [Fault(("recording", "consent"), what, "let the bot ask, and set recording.enabled to false")]
    if model is GuestSettings and agent.outbound.machine is not None:
        what = f"is for our own pipelines, and the bot {agent.bot!r} runs its own"
        return [Fault(("outbound", "machine"), what, "remove it, and let the bot deal with machines")]
    if model is None or model is GuestSettings:
        if agent.settings:
            return [Fault(("settings",), f"the bot {agent.bot!r} takes no settings", "remove this section")]
        return []
    try:
        model.model_validate(agent.settings)
    except ValidationError as error:
        faults = [fault_of(model, line) for line in error.errors()]
        return [Fault(("settings", *fault.path), fault.message, fault.cure) for fault in faults]
    return []


def _sound_faults(agent: AgentConfig) -> list[Fault]:
    wrong = sound_fault(agent.listening.ambient.sound)
    return [] if wrong is None else [Fault(("listening", "ambient", "sound"), *wrong)]


def _dotted_faults(agent: AgentConfig, checks: Checks) -> list[Fault]:
    faults: list[Fault] = []
    for path, pipeline in agent.pipelines():
        for position, stage in enumerate(pipeline.stages):
            if stage.is_named or checks.check_dotted is None:
                continue
            wrong = checks.check_dotted(stage.name)
            if wrong is not None:
                cure = "name an importable module.Class, or one of the stages"
                faults.append(Fault((*path, position), wrong, cure))
    return faults


def fault_of(model: type[BaseModel], error: ErrorDetails) -> Fault:
    """Translate one of Pydantic's errors, with the nearest name for an unknown field and the sign for a number."""
    path = error["loc"]
    if error["type"] == "extra_forbidden":
        return Fault(path, "unknown field", suggest(str(path[-1]), _names_at(model, path[:-1]), "fields are"))
    message, cure = describe(error)
    if "numbers" in path and type(error["input"]) is int:
        cure = f'put it in quotes, with the plus sign: "+{error["input"]}"'
    return Fault(path, message, cure)


def _names_at(model: type[BaseModel], path: tuple[str | int, ...]) -> list[str]:
    """Return the field names of the model that `path` leads to; none where they cannot be known."""
    here: type[BaseModel] | None = model
    for part in path:
        if here is PipelineDefinition:
            here = Stage
        elif here is Stage:
            here = STAGES.get(str(part))
        elif here in RUNGS.values():
            here = _model_in(RUNGS[str(part)].model_fields[str(part)].annotation) if part in RUNGS else here
        elif here is not None and part in here.model_fields:
            here = _model_in(here.model_fields[str(part)].annotation)
    # A key of a dict or a list's position leaves `here` alone: the model of its values was found one step before.
    fields = here.model_fields if here else {}
    return [field.alias or name for name, field in fields.items() if name != "name" or here is not AgentConfig]


def _model_in(annotation: object) -> type[BaseModel] | None:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    return next((found for argument in get_args(annotation) if (found := _model_in(argument))), None)


def dotted(path: tuple[str | int, ...]) -> str:
    """Return the path as text: `numbers[0]`, `pipeline[3].gemini_live.voice`."""
    text = ""
    for part in path:
        if part == "[key]":  # Pydantic's mark for "the key itself, not its value"
            continue
        text += f"[{part}]" if isinstance(part, int) else f".{part}" if text else part
    return text
