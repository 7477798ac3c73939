"""`tools:` of an agent: what its model may use, in the order of the list. A name alone, or a name with its settings."""

import re
from collections.abc import Iterator, Mapping
from typing import Annotated, Any, Literal, Self, cast

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    GetJsonSchemaHandler,
    ValidationError,
    model_validator,
)
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema, InitErrorDetails

from config.phrases import Sentence
from config.tools_http import HttpRequest
from config.tools_mcp import McpServer
from config.tools_parameters import NO_PARAMETERS, Parameters
from config.wording import describe, problem, shown, suggest

TOOL_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,63}")
"""What a tool may be called: what Gemini and every other model accepts."""

_CALLERS = ("inbound", "outbound", "browser")


def _listed(values: object) -> object:
    return (values,) if isinstance(values, str) else values


def _needs_direction(directions: tuple[str, ...]) -> tuple[str, ...]:
    if not directions:
        raise problem("must not be empty", f"name some of {', '.join(_CALLERS)}, or remove the line")
    return directions


class ToolCondition(BaseModel):
    """On which calls a tool is there at all. Everything that is given must hold."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    direction: Annotated[tuple[Literal["inbound", "outbound", "browser"], ...], AfterValidator(_needs_direction)] = (
        Field(default=_CALLERS, description="Kinds of call: some of inbound, outbound, browser.")
    )
    variables: dict[str, str | tuple[str, ...]] = Field(
        default={}, description="Variables of the call, each with the value, or one of the values, that it must have."
    )

    def holds(self, direction: str, variables: Mapping[str, str]) -> bool:
        """Whether a call in this direction, with these variables, has the tool."""
        if direction not in self.direction:
            return False
        wanted = {name: (value,) if isinstance(value, str) else value for name, value in self.variables.items()}
        return all(variables.get(name) in values for name, values in wanted.items())

    @model_validator(mode="before")
    @classmethod
    def _one_is_a_list(cls, values: object) -> object:
        if not isinstance(values, Mapping):
            return values
        form = dict(cast(Mapping[str, object], values))
        return form | {"direction": _listed(form["direction"])} if "direction" in form else form


class ToolRules(BaseModel):
    """What holds for any tool, whoever wrote it."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    confirm: Sentence | None = Field(
        default=None,
        description="The tool runs only after the caller was asked this and has answered; {variables} and the tool's "
        "{parameters} are filled in.",
    )
    filler: Sentence | None = Field(
        default=None, description="Said while the tool runs, in place of `phrases.tool_filler`."
    )
    filler_after_secs: float | None = Field(
        default=None, ge=0, description="When the filler is said; null: `limits.tool_filler_secs`; 0: at once."
    )
    timeout_secs: float | None = Field(
        default=None, gt=0, le=120, description="The tool has failed after this; null: `limits.tool_timeout_secs`."
    )
    only: ToolCondition = Field(default_factory=ToolCondition, description="On which calls the tool is there.")
    secret: tuple[str, ...] = Field(
        default=(), description="Parameters whose values are kept out of events and logs, for example a PIN."
    )


class NamedTool(ToolRules):
    """A built-in tool, or one of the bot's own, by its name."""


class HttpTool(ToolRules):
    """A request to a web service."""

    describe: Sentence = Field(description="What it does and when to use it, for the model.")
    parameters: Parameters = Field(
        default=NO_PARAMETERS, description="JSON schema of what the model has to give, an object."
    )
    http: HttpRequest = Field(description="The request.")


class McpTools(ToolRules):
    """The tools of an MCP server. The rules hold for each of them, unless `rules` gives it its own."""

    mcp: McpServer = Field(description="The server: a URL, or a command to start.")
    rules: dict[str, NamedTool] = Field(default={}, description="Rules for single tools of the server, by name.")

    @model_validator(mode="after")
    def _rules_are_used(self) -> Self:
        for name in self.rules:
            if self.mcp.allow and name not in self.mcp.allow:
                raise problem(f"rules for {name}, which mcp.allow does not name", "add it there, or remove the rules")
        return self


class Tool(BaseModel):
    """One entry of the list. In YAML `- name` or `- name: {settings}`."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    settings: NamedTool | HttpTool | McpTools

    @model_validator(mode="before")
    @classmethod
    def _from_yaml(cls, value: object) -> object:
        if isinstance(value, str):
            value = {value: None}
        if isinstance(value, Tool) or not isinstance(value, Mapping):
            return value
        form = cast(Mapping[str, Any], value)
        if len(form) != 1:
            raise problem("must be one tool", "write '- name' or '- name: {setting: value}', one tool per dash")
        [(name, given)] = form.items()
        if not TOOL_NAME.fullmatch(str(name)):
            raise problem(
                f"{shown(name)} is not a usable tool name",
                "use up to 64 letters, digits and underscores, a letter first",
            )
        return {"name": str(name), "settings": _settings(str(name), {} if given is None else given)}

    @classmethod
    def __get_pydantic_json_schema__(cls, core_schema: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        forms = [handler(model.__pydantic_core_schema__) for model in (NamedTool, HttpTool, McpTools)]
        pattern = f"^{TOOL_NAME.pattern}$"
        settings = {"anyOf": [{"type": "null"}, *forms]}
        entry = {"type": "object", "patternProperties": {pattern: settings}, "minProperties": 1, "maxProperties": 1}
        entry |= {"additionalProperties": False}
        name = {"type": "string", "pattern": pattern}
        return {"anyOf": [name, entry], "description": "A tool's name, or {name: settings}."}


Tools = tuple[Tool, ...]


def kind_of(given: Mapping[str, object]) -> type[ToolRules]:
    """Return the model of a tool's settings, told by what is in them."""
    return HttpTool if "http" in given else McpTools if "mcp" in given else NamedTool


def _settings(name: str, given: object) -> ToolRules:
    if isinstance(given, ToolRules):
        return given
    if not isinstance(given, Mapping):
        raise problem(f"settings of {name} must be a mapping", f"write '- {name}: {{setting: value}}'")
    form = cast(Mapping[str, object], given)
    if {"http", "mcp"} <= set(form):
        raise problem(f"{name} has both http and mcp", "make two tools of it")
    model = kind_of(form)
    if model is NamedTool and (own := {"describe", "parameters"} & set(form)):
        raise problem(
            f"{name} has {' and '.join(sorted(own))} but says nothing of what it does", "add http: with method and url"
        )
    try:
        return model.model_validate(form)
    except ValidationError as error:
        raise _below(name, model, error) from error


def _below(name: str, model: type[BaseModel], error: ValidationError) -> ValidationError:
    """Return the same errors with the tool's name before each path."""
    lines: list[InitErrorDetails] = []
    for line in error.errors():
        if line["type"] == "extra_forbidden":
            known = _names_at(model, line["loc"][:-1])
            found = problem("unknown field", suggest(str(line["loc"][-1]), known, "fields are"))
        else:
            found = problem(*describe(line))
        lines.append(InitErrorDetails(type=found, loc=(name, *line["loc"]), input=line["input"]))
    return ValidationError.from_exception_data("Tool", lines)


def _names_at(model: type[BaseModel], path: tuple[str | int, ...]) -> list[str]:
    below: dict[str, type[BaseModel]] = {
        "http": HttpRequest,
        "mcp": McpServer,
        "only": ToolCondition,
        "rules": NamedTool,
    }
    for part in path:
        model = below.get(str(part), model)
    if model is NamedTool:
        return [*NamedTool.model_fields, "describe", "parameters", "http", "mcp"]
    return list(model.model_fields)


def fillers_of(tools: Tools) -> Iterator[str]:
    """Yield every sentence that these tools have for the time in which they run, with its {variables} still in it."""
    for tool in tools:
        each = [tool.settings, *(tool.settings.rules.values() if isinstance(tool.settings, McpTools) else ())]
        yield from (rules.filler for rules in each if rules.filler)
