"""An MCP server for tests, made with the library's own server: `python mcp_desk.py` speaks over stdio, with a port
over HTTP."""

import os
import sys

from mcp.server.mcpserver import MCPServer

desk = MCPServer("desk")


@desk.tool()
def look_up(name: str) -> dict[str, str]:
    """Look a customer up by name."""
    return {"name": name, "city": "Oslo", "key": os.environ.get("DESK_KEY", "")}


@desk.tool()
def crash() -> str:
    """End the server in the middle of a call."""
    os._exit(3)


@desk.tool()
def forbidden() -> str:
    """Not for everybody."""
    return "no"


if __name__ == "__main__":
    if len(sys.argv) > 1:
        desk.run("streamable-http", port=int(sys.argv[1]))
    else:
        desk.run("stdio")
