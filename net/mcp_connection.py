"""The connection to one MCP server, kept for as long as the process lives: made again, with pauses, when it is lost.

Imported only when an agent names such a server: the library takes a while to load.
"""

import asyncio
import random
import ssl
import sys
from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from typing import Any, cast
from urllib.parse import urlsplit

import anyio
from loguru import logger
from mcp import Client, StdioServerParameters
from mcp.client.stdio import stdio_client
from mcp.client.streamable_http import streamable_http_client
from mcp.shared.exceptions import MCPError
from mcp.types import TextContent

from net.mcp_address import McpAddress, McpAnswer, McpAway, McpTool
from net.pinned import AddressGuard, AddressRefused, NoSuchHost, pinned_client2

_READY_SECS = 15.0
_FIRST_PAUSE_SECS = 0.5
_LONGEST_PAUSE_SECS = 60.0
_STEADY_SECS = 30.0
"""A connection that stood so long is made again at once."""
_CLOSING_SECS = 6.0
_MOST_TOOLS = 200


class McpConnection:
    """One server. `open` begins, `close` ends; in between `tools` says what it offers, None while it is not there."""

    def __init__(self, address: McpAddress, guard: AddressGuard) -> None:
        """Take where it is, and who says where connections may go."""
        self.address = address
        self.tools: tuple[McpTool, ...] | None = None
        self.problem = "it is not connected yet"
        self._guard = guard
        self._client: Client | None = None
        self._gone = asyncio.Event()
        self._closing = asyncio.Event()
        self._tried = asyncio.Event()
        self._running: asyncio.Task[None] | None = None

    def open(self) -> None:
        """Begin to connect. Immediate."""
        self._running = asyncio.create_task(self._keep(), name=f"mcp {self.address.name}")

    async def wait_tried(self, secs: float) -> None:
        """Wait until its tools are known or it has failed once, for so many seconds at most."""
        await _wait(self._tried, secs)

    async def call(self, name: str, arguments: Mapping[str, Any]) -> McpAnswer:
        """Call a tool. Whoever calls bounds the time. Raises McpAway."""
        client = self._client
        if client is None:
            raise McpAway(self.problem)
        asking = asyncio.create_task(client.call_tool(name, dict(arguments)), name=f"mcp call of {name}")
        losing = asyncio.create_task(self._gone.wait(), name="mcp connection lost")
        try:
            await asyncio.wait({asking, losing}, return_when=asyncio.FIRST_COMPLETED)
            if not asking.done():
                raise McpAway("it broke off")
            result = asking.result()
        except MCPError as error:
            if self._gone.is_set() or self.address.url is not None:
                self._gone.set()  # a session that the server has forgotten is begun anew
                raise McpAway("it broke off") from error
            return McpAnswer(error.message[:300], is_error=True)
        finally:
            losing.cancel()
            if not asking.done():
                asking.cancel()
        texts = [block.text for block in result.content if isinstance(block, TextContent)]
        value = result.structured_content if result.structured_content is not None else "\n".join(texts)
        return McpAnswer(value, result.is_error)

    async def close(self) -> None:
        """End it, and with it the process that was started for it."""
        self._closing.set()
        self._gone.set()
        if self._running is not None:
            _, late = await asyncio.wait({self._running}, timeout=_CLOSING_SECS)
            for task in late:
                task.cancel()
            await asyncio.wait({self._running})

    async def _keep(self) -> None:
        """Connect again and again, until closed."""
        pause_secs = _FIRST_PAUSE_SECS
        loop = asyncio.get_running_loop()
        while not self._closing.is_set():
            began = loop.time()
            try:
                await self._stand()
                self.problem = "it ended"
            except Exception as error:
                # Whatever a server of somebody else's does, the calls go on without it, and it is tried again.
                self.problem = _reason(error)
            self._client, self.tools = None, None
            self._tried.set()
            if self._closing.is_set():
                return
            if loop.time() - began > _STEADY_SECS:
                pause_secs = _FIRST_PAUSE_SECS
            logger.bind(server=self.address.name, problem=self.problem).warning("an MCP server is away")
            await _wait(self._closing, pause_secs * random.uniform(0.8, 1.2))
            pause_secs = min(_LONGEST_PAUSE_SECS, pause_secs * 2)

    async def _stand(self) -> None:
        """One connection, from its beginning to its end."""
        self._gone.clear()
        if self._closing.is_set():
            return
        async with AsyncExitStack() as closing:
            transport = _watched(await self._transport(closing), self._gone.set)
            async with asyncio.timeout(_READY_SECS):
                client = await closing.enter_async_context(Client(cast(Any, transport), cache=None))
                tools = await _list(client)
            self._client, self.tools, self.problem = client, tools, ""
            self._tried.set()
            logger.bind(server=self.address.name, tools=len(tools)).info("an MCP server is there")
            await self._gone.wait()
            self._client = None

    async def _transport(self, closing: AsyncExitStack) -> AbstractAsyncContextManager[Any]:
        address = self.address
        if address.url is None:
            assert address.command is not None
            started = StdioServerParameters(
                command=address.command, args=list(address.args), env=dict(address.env), cwd=address.folder
            )
            return stdio_client(started, errlog=sys.__stderr__ or sys.stderr)
        parts = urlsplit(address.url)
        # The library would tell of a refusal only that there was none to talk to.
        await self._guard.addresses(parts.hostname or "", parts.port or (443 if parts.scheme == "https" else 80))
        context = await asyncio.to_thread(ssl.create_default_context)
        client = pinned_client2(self._guard, context, dict(address.headers))
        return streamable_http_client(address.url, http_client=await closing.enter_async_context(client))


@asynccontextmanager
async def _watched(transport: AbstractAsyncContextManager[Any], on_gone: Callable[[], None]) -> AsyncGenerator[Any]:
    """The transport, with word of its end: a client tells of it only to those who ask it something."""
    async with transport as (read, write):
        told, reads = anyio.create_memory_object_stream[Any](0)

        async def pass_on() -> None:
            async with told:
                try:
                    async for message in read:
                        await told.send(message)
                except (anyio.ClosedResourceError, anyio.BrokenResourceError):
                    logger.debug("an MCP transport was closed while it was read")
            on_gone()

        async with anyio.create_task_group() as passing:
            passing.start_soon(pass_on)
            try:
                yield reads, write
            finally:
                passing.cancel_scope.cancel()
                await reads.aclose()


async def _list(client: Client) -> tuple[McpTool, ...]:
    found: list[McpTool] = []
    cursor: str | None = None
    while len(found) < _MOST_TOOLS:
        page = await client.list_tools(cursor=cursor)
        found += [McpTool(tool.name, tool.description or tool.name, dict(tool.input_schema)) for tool in page.tools]
        cursor = page.next_cursor
        if not cursor:
            break
    return tuple(found[:_MOST_TOOLS])


async def _wait(event: asyncio.Event, secs: float) -> None:
    try:
        async with asyncio.timeout(secs):
            await event.wait()
    except TimeoutError:
        return


def _reason(error: BaseException) -> str:
    """Say in a few words why there is no connection; never with a value of ours in it."""
    while isinstance(error, BaseExceptionGroup):
        error = cast("BaseExceptionGroup[BaseException]", error).exceptions[0]
    chain: list[BaseException] = [error]
    while (below := chain[-1].__cause__ or chain[-1].__context__) is not None and len(chain) < 10:
        chain.append(below)
    for one in chain:
        if isinstance(one, AddressRefused | NoSuchHost):
            return str(one)
    if isinstance(error, FileNotFoundError):
        return "its command cannot be found"
    if isinstance(error, TimeoutError):
        return f"it was not ready within {_READY_SECS:g} s"
    return f"it cannot be reached ({type(error).__name__})"
