"""The MCP servers of this process: one connection for each, for all calls."""

import asyncio
import importlib
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from net.mcp_address import McpAddress, McpAnswer, McpAway, McpTool
from net.pinned import AddressGuard

if TYPE_CHECKING:
    from net.mcp_connection import McpConnection

_AT_START_SECS = 5.0


class McpServers:
    """Connections by address. Nothing here waits for a server, but `begin` and `call`."""

    def __init__(self, guard: AddressGuard) -> None:
        """Take who says where connections may go."""
        self._guard = guard
        self._connections: dict[McpAddress, McpConnection] = {}
        self._opening: asyncio.Task[None] | None = None
        self._wanted: frozenset[McpAddress] = frozenset()
        self._is_closed = False

    async def begin(self, wanted: Iterable[McpAddress]) -> None:
        """Connect to these, and wait for them, but not for long: calls may begin without one that is slow."""
        self.want(wanted)
        if self._opening is not None:
            await self._opening
        tried = [connection.wait_tried(_AT_START_SECS) for connection in self._connections.values()]
        await asyncio.gather(*tried)

    def want(self, wanted: Iterable[McpAddress]) -> None:
        """Have connections to these and no others, soon. Immediate."""
        wanted = frozenset(wanted)
        if wanted == self._wanted or self._is_closed:
            return
        self._wanted = wanted
        if self._opening is None or self._opening.done():
            self._opening = asyncio.create_task(self._settle(), name="mcp servers")

    def tools_of(self, address: McpAddress) -> tuple[McpTool, ...] | str:
        """Return what a server offers now, or why it does not. Immediate."""
        connection = self._connections.get(address)
        if connection is None:
            return "it is not connected yet"
        return connection.problem if connection.tools is None else connection.tools

    async def call(self, address: McpAddress, name: str, arguments: Mapping[str, Any]) -> McpAnswer:
        """Call a tool of a server. Whoever calls bounds the time. Raises McpAway."""
        connection = self._connections.get(address)
        if connection is None:
            raise McpAway("it is not connected")
        return await connection.call(name, arguments)

    async def close(self) -> None:
        """End all connections, and the processes that were started for them."""
        self._is_closed = True
        if self._opening is not None:
            await asyncio.wait({self._opening})
        await asyncio.gather(*(connection.close() for connection in self._connections.values()))

    async def _settle(self) -> None:
        while not self._is_closed:
            wanted = self._wanted
            missing = [address for address in wanted if address not in self._connections]
            if missing:
                # The library takes half a second to load, and only those who need it shall wait for that.
                module = await asyncio.to_thread(importlib.import_module, "net.mcp_connection")
                for address in missing:
                    connection: McpConnection = module.McpConnection(address, self._guard)
                    self._connections[address] = connection
                    connection.open()
            left = [self._connections.pop(address) for address in list(self._connections) if address not in wanted]
            await asyncio.gather(*(connection.close() for connection in left))
            if wanted == self._wanted:
                return
