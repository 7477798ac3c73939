"""What only the whole agent shows about its tools: names, and what the braces in their texts are filled in with."""

from collections.abc import Container, Iterator, Mapping
from typing import Any
from urllib.parse import urlsplit

from config.placeholders import placeholders
from config.tools import HttpTool, McpTools, NamedTool, Tool, Tools
from config.tools_http import HttpRequest
from config.tools_parameters import properties_of, required_of
from config.tools_templates import alone, slots_of
from config.wording import suggest

ToolFault = tuple[tuple[str | int, ...], str, str]
"""Where in `tools:`, what is wrong, and the cure."""


def tool_faults(tools: Tools, variables: Mapping[str, str]) -> Iterator[ToolFault]:
    """Yield what is wrong with an agent's tools, as far as its own file tells; `variables` are the agent's."""
    names = [tool.name for tool in tools]
    for position, tool in enumerate(tools):
        place = (position, tool.name)
        if tool.name in names[:position]:
            yield place, f"{tool.name} is listed twice", "keep one of them, or rename one"
        for path, message, cure in _faults_of(tool, variables):
            yield (*place, *path), message, cure


def hosts_of(tool: Tool) -> list[str]:
    """Return every host that a tool may ask, in small letters and order; none for one that asks nobody."""
    if isinstance(tool.settings, HttpTool):
        return sorted(host.lower() for host in tool.settings.http.hosts)
    if isinstance(tool.settings, McpTools):
        return [(urlsplit(tool.settings.mcp.url or "").hostname or "").lower()]
    return []


def secrets_of(tool: Tool) -> Iterator[tuple[tuple[str | int, ...], str]]:
    """Yield every secret that a tool names, with its path below the tool."""
    settings = tool.settings
    texts: Mapping[tuple[str, ...], object] = {}
    if isinstance(settings, HttpTool):
        http = settings.http
        texts = {("http", name): getattr(http, name) for name in ("url", "query", "headers", "body")}
    elif isinstance(settings, McpTools):
        texts = {("mcp", name): getattr(settings.mcp, name) for name in ("url", "headers", "env")}
    for path, text in texts.items():
        for slot in slots_of(text):
            if slot.kind == "secret":
                yield path, slot.name


def _faults_of(tool: Tool, variables: Mapping[str, str]) -> Iterator[ToolFault]:
    settings = tool.settings
    known: Mapping[str, Any] | None = None
    if isinstance(settings, HttpTool):
        known = properties_of(settings.parameters)
        yield from _request_faults(settings, known, variables)
        for position, name in enumerate(settings.secret):
            if name not in known:
                cure = suggest(name, known, "parameters are")
                yield ("secret", position), f"there is no parameter {name!r}", cure
    yield from _sentence_faults(settings, known, variables)
    for name in settings.only.variables:
        if name not in variables:
            cure = (
                f"{suggest(name, variables, 'variables are')} Or add {name} under variables:"
                if variables
                else (f"add {name} under variables:, with the value that a call has when nobody says otherwise")
            )
            yield ("only", "variables", name), f"unknown variable {name!r}", cure
    if isinstance(settings, McpTools):
        for slot in slots_of(settings.mcp.url or ""):
            if slot.kind != "secret":
                yield (
                    ("mcp", "url"),
                    f"{{{slot.name}}} cannot be filled in here",
                    "the server is the same for all calls",
                )
        for name, rules in settings.rules.items():
            for path, message, cure in _sentence_faults(rules, None, variables):
                yield ("rules", name, *path), message, cure


def _sentence_faults(
    rules: NamedTool | HttpTool | McpTools, parameters: Container[str] | None, variables: Container[str]
) -> Iterator[ToolFault]:
    """`parameters` are None where only the running server knows them."""
    for name, is_escaped in placeholders(rules.filler or ""):
        if not is_escaped and name not in variables:
            yield ("filler",), f"unknown variable {{{name}}}", f"add {name} under variables:"
    for name, is_escaped in placeholders(rules.confirm or ""):
        if is_escaped or parameters is None or name in variables or name in parameters:
            continue
        yield ("confirm",), f"{{{name}}} is neither a parameter nor a variable", "name one of them"


def _request_faults(tool: HttpTool, parameters: Mapping[str, Any], variables: Mapping[str, str]) -> Iterator[ToolFault]:
    http, required = tool.http, required_of(tool.parameters)
    used: set[str] = set()
    for path, text in _texts(http):
        for slot in slots_of(text):
            if slot.kind:
                continue
            used.add(slot.name)
            if slot.name in parameters and slot.name in variables:
                yield path, f"{{{slot.name}}} is both a parameter and a variable", "rename the parameter"
            elif slot.name not in parameters and slot.name not in variables:
                cure = suggest(slot.name, [*parameters, *variables], "parameters and variables are")
                yield path, f"{{{slot.name}}} is neither a parameter nor a variable", cure
            elif slot.name in parameters and slot.name not in required and (path[1] == "url" or alone(text) is None):
                cure = "list it under required:, or give it a place of its own in query: or body:"
                yield path, f"{{{slot.name}}} may be left out by the model, and then leaves a hole here", cure
    for name in parameters:
        if name not in used:
            yield ("parameters", "properties", name), f"{name} is sent nowhere", "use it in url, query, headers or body"


def _texts(http: HttpRequest) -> Iterator[tuple[tuple[str | int, ...], str]]:
    yield ("http", "url"), http.url
    for name in ("query", "headers", "body"):
        yield from _texts_below(getattr(http, name), ("http", name))


def _texts_below(value: Any, path: tuple[str | int, ...]) -> Iterator[tuple[tuple[str | int, ...], str]]:
    if isinstance(value, str):
        yield path, value
    elif isinstance(value, Mapping):
        for key, inner in value.items():  # pyright: ignore[reportUnknownVariableType]
            yield from _texts_below(inner, (*path, str(key)))  # pyright: ignore[reportUnknownArgumentType]
    elif isinstance(value, list):
        for position, inner in enumerate(value):  # pyright: ignore[reportUnknownArgumentType, reportUnknownVariableType]
            yield from _texts_below(inner, (*path, position))
