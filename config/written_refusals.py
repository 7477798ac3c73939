"""What an agent may have in a file on the server's disk, and not when it is written over the API.

A key for agents is no key for the machine: what names a class of Python's, starts a program, reads a file, or dials
numbers that cost more than a call, is for whoever may put files on its disk.
"""

import copy
from collections.abc import Iterator, Mapping
from typing import Any, cast

from config.agent import AgentConfig
from config.errors import Fault
from config.listening import SHIPPED_SOUNDS
from config.pipeline import STAGES
from config.tools import McpTools
from config.transfers import is_hold_file

IN_A_FILE_ONLY = "or have the operator put the agent into a YAML file"
_OF_A_PROCESS = ("command", "args", "env", "folder")


def refuse_dotted(path: tuple[str | int, ...]) -> Fault:
    """Return the refusal of a stage that is a class of Python's."""
    stages = ", ".join(STAGES)
    return Fault(path, "a class of Python's is not accepted over the API", f"name one of {stages}; {IN_A_FILE_ONLY}")


def _refuse_process(path: tuple[str | int, ...]) -> Fault:
    cure = f"give the url of a server that speaks MCP over HTTP, {IN_A_FILE_ONLY}"
    return Fault(path, "a program to start is not accepted over the API", cure)


def _refuse_file(path: tuple[str | int, ...], cure: str) -> Fault:
    return Fault(path, "a file of the server's is not accepted over the API", f"{cure}, {IN_A_FILE_ONLY}")


def _refuse_premium() -> Fault:
    return Fault(
        ("outbound", "allow_premium"),
        "costly numbers cannot be allowed over the API",
        f"remove it, {IN_A_FILE_ONLY}",
    )


_SOUND_CURE = f"name one of {', '.join(SHIPPED_SOUNDS)}"
_HOLD_CURE = "write music, silence, talk or a sentence"
_MESSAGE_CURE = "write the sentence under message"


def take_out_files(content: Mapping[str, Any]) -> tuple[dict[str, Any], list[Fault]]:
    """Return the content with something harmless in place of each file, and a refusal for each.

    To be done before the content is checked any further: those checks look at the files.
    """
    harmless = copy.deepcopy(dict(content))
    faults: list[Fault] = []
    ambient = _mapping(_mapping(harmless.get("listening")).get("ambient"))
    sound = ambient.get("sound")
    if isinstance(sound, str) and sound not in SHIPPED_SOUNDS and "." in sound:
        faults.append(_refuse_file(("listening", "ambient", "sound"), _SOUND_CURE))
        ambient["sound"] = "none"
    for name, transfer in _mapping(harmless.get("transfers")).items():
        hold = _mapping(transfer).get("hold")
        if isinstance(hold, str) and is_hold_file(hold):
            faults.append(_refuse_file(("transfers", name, "hold"), _HOLD_CURE))
            _mapping(transfer)["hold"] = "music"
    machine = _mapping(_mapping(harmless.get("outbound")).get("machine"))
    if machine.get("message_file") is not None:
        faults.append(_refuse_file(("outbound", "machine", "message_file"), _MESSAGE_CURE))
        del machine["message_file"]
        if machine.get("do") == "leave_message":
            machine.setdefault("message", "...")
    return harmless, faults


def refusals_in(content: Mapping[str, Any]) -> Iterator[Fault]:
    """Yield the other refusals of a content that may have any form, so that they are told with all that is wrong."""
    yield from _dotted_in(content.get("pipeline"), ("pipeline",))
    for position, rung in enumerate(_entries(content.get("on_failure"))):
        yield from _dotted_in(_mapping(rung).get("pipeline"), ("on_failure", position, "pipeline"))
    for position, tool in enumerate(_entries(content.get("tools"))):
        for name, settings in _mapping(tool).items():
            mcp = _mapping(_mapping(settings).get("mcp"))
            for field in _OF_A_PROCESS:
                if mcp.get(field):
                    yield _refuse_process(("tools", position, name, "mcp", field))
    if _mapping(content.get("outbound")).get("allow_premium"):
        yield _refuse_premium()


def refusals_of(agent: AgentConfig) -> Iterator[Fault]:
    """Yield every refusal of an agent that is sound in itself: the same, told by what the content has become."""
    for path, pipeline in agent.pipelines():
        for position, stage in enumerate(pipeline.stages):
            if not stage.is_named:
                yield refuse_dotted((*path, position))
    for position, tool in enumerate(agent.tools):
        if isinstance(tool.settings, McpTools):
            for field in _OF_A_PROCESS:
                if getattr(tool.settings.mcp, field):
                    yield _refuse_process(("tools", position, tool.name, "mcp", field))
    if agent.listening.ambient.sound not in SHIPPED_SOUNDS:
        yield _refuse_file(("listening", "ambient", "sound"), _SOUND_CURE)
    for name, transfer in agent.transfers.items():
        if is_hold_file(transfer.hold):
            yield _refuse_file(("transfers", name, "hold"), _HOLD_CURE)
    if agent.outbound.machine is not None and agent.outbound.machine.message_file is not None:
        yield _refuse_file(("outbound", "machine", "message_file"), _MESSAGE_CURE)
    if agent.outbound.allow_premium:
        yield _refuse_premium()


def _dotted_in(stages: object, path: tuple[str | int, ...]) -> Iterator[Fault]:
    for position, stage in enumerate(_entries(stages)):
        form = _mapping(stage)
        named = form.get("name") if set(form) <= {"name", "settings"} else next(iter(form), None)
        name = stage if isinstance(stage, str) else named
        if isinstance(name, str) and name not in STAGES and "." in name:
            yield refuse_dotted((*path, position))


def _mapping(value: object) -> dict[str, Any]:
    return cast(dict[str, Any], value) if isinstance(value, dict) else {}


def _entries(value: object) -> list[Any]:
    return cast(list[Any], value) if isinstance(value, list) else []
