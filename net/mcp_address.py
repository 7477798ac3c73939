"""Where an MCP server is, what it offers and what it answers, as the rest of the house knows it."""

from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True)
class McpAddress:
    """A server by `url` (streamable HTTP), or by the `command` that starts it (stdio). Two that are equal are one.

    Attributes:
        headers: Of every request, name and value.
        env: The process's environment beside PATH and the like, name and value.
        folder: Where the process runs; None: where we do.
    """

    name: str
    url: str | None = None
    headers: tuple[tuple[str, str], ...] = field(default=(), repr=False)
    command: str | None = None
    args: tuple[str, ...] = ()
    env: tuple[tuple[str, str], ...] = field(default=(), repr=False)
    folder: str | None = None


@dataclass(frozen=True, slots=True)
class McpTool:
    """One tool of a server; `parameters` is its JSON schema."""

    name: str
    description: str
    parameters: dict[str, Any]


@dataclass(frozen=True, slots=True)
class McpAnswer:
    """What a tool returned: JSON, or text when it gave none."""

    value: Any
    is_error: bool


class McpAway(Exception):
    """The server is not there at the moment, or broke off in the middle of a call."""
