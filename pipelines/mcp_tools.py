"""Tools of an MCP server as a call's model is offered them, and one call of one of them."""

import json
import re
from collections.abc import Container, Iterator, Mapping
from typing import Any, cast

from pipecat.services.llm_service import FunctionCallParams

from config.tools import McpTools, ToolRules
from config.tools_templates import Slot, parts_of
from net.mcp_address import McpAddress, McpAway, McpTool
from net.mcp_servers import McpServers
from pipelines.tool_failures import FailureKind, ToolFailed
from pipelines.tool_schemas import check_arguments
from pipelines.tool_secrets import mask

_LONGEST_NAME = 64
_MOST_SAID = 300
"""Of what a server says went wrong."""


def address_of(name: str, tool: McpTools, secrets: Mapping[str, str]) -> McpAddress:
    """Return where the server is, with its secrets filled in."""
    mcp = tool.mcp
    return McpAddress(
        name,
        url=None if mcp.url is None else _filled(mcp.url, secrets),
        headers=tuple((header, _filled(value, secrets)) for header, value in mcp.headers.items()),
        command=mcp.command,
        args=mcp.args,
        env=tuple((variable, _filled(value, secrets)) for variable, value in mcp.env.items()),
        folder=mcp.folder,
    )


def offered_by(
    server: str, tool: McpTools, found: tuple[McpTool, ...], taken: Container[str]
) -> Iterator[tuple[str, McpTool, ToolRules]]:
    """Yield the allowed tools of a server: what the model calls each, the tool, its rules.

    A name that is `taken` has the server's before it, as `crm_search`; letters that no model knows become `_`.
    """
    for one in found:
        if tool.mcp.allow and one.name not in tool.mcp.allow:
            continue
        name = re.sub(r"[^A-Za-z0-9_]", "_", one.name)
        if name in taken or not re.match(r"[A-Za-z_]", name):
            name = f"{server}_{name}"
        yield name[:_LONGEST_NAME], one, _rules_of(one.name, tool)


def _rules_of(name: str, tool: McpTools) -> ToolRules:
    """The rules of one tool: what it has of its own, and the server's for the rest."""
    own = tool.rules.get(name)
    fields = {
        field: getattr(own if own is not None and field in own.model_fields_set else tool, field)
        for field in ToolRules.model_fields
    }
    return ToolRules.model_construct(**fields)


def missing_from(tool: McpTools, found: tuple[McpTool, ...]) -> list[str]:
    """Return the names that are allowed and that the server does not have."""
    names = {one.name for one in found}
    return [name for name in tool.mcp.allow if name not in names]


async def ask_server(
    params: FunctionCallParams,
    tool: McpTool,
    arguments: Mapping[str, Any],
    servers: McpServers,
    address: McpAddress,
    rules: ToolRules,
    secrets: Mapping[str, str],
    most_chars: int,
) -> None:
    """Call the tool once and answer the model. Raises ToolRefused before it was called, ToolFailed after that."""
    check_arguments(tool.parameters, arguments, rules.secret)
    try:
        answer = await servers.call(address, tool.name, arguments)
    except McpAway as error:
        raise ToolFailed(FailureKind.UNAVAILABLE, f"its server is away: {error}.") from error
    hidden = [*secrets.values()]
    hidden += [str(arguments[name]) for name in rules.secret if name in arguments]
    value = mask(answer.value, hidden)
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    if answer.is_error:
        raise ToolFailed(FailureKind.REFUSED, text[:_MOST_SAID] or "it gave no reason.")
    if len(text) > most_chars:
        raise ToolFailed(FailureKind.TOO_LARGE, f"its answer is longer than {most_chars} characters.")
    await params.result_callback(cast(Any, value) if isinstance(value, dict) else {"result": value})


def _filled(template: str, secrets: Mapping[str, str]) -> str:
    return "".join(secrets[part.name] if isinstance(part, Slot) else part for part in parts_of(template))
