"""Connections of tools: a name is looked up once, every address checked, and one of those that were checked connected.

What is asked for afterwards (TLS's server name, the Host header) is the name; so a name that means something else a
moment later changes nothing.
"""

import asyncio
import socket
import ssl
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass
from typing import TypeVar, cast

import anyio
import httpcore
import httpcore2
import httpx
import httpx2

from net.public_address import host_fault, is_public

_Stream = TypeVar("_Stream")

_MOST_CONNECTIONS = 100
_KEEP_SECS = 30.0
_LOOK_UP_SECS = 5.0
_CONNECT_SECS = 5.0


class AddressRefused(Exception):
    """A tool would have been sent to an address that it must not ask."""


class NoSuchHost(Exception):
    """A name that has no address."""


@dataclass(frozen=True, slots=True)
class AddressGuard:
    """Looks names up. `private` are those, as `host:port`, that may be asked wherever they are."""

    private: frozenset[str] = frozenset()

    def allows_private(self, host: str, port: int) -> bool:
        """Whether the operator has named this host and port."""
        name = host.strip("[]").lower()
        return f"{name}:{port}" in self.private or f"[{name}]:{port}" in self.private

    async def addresses(self, host: str, port: int) -> list[str]:
        """Return the addresses of a host, every one of them checked. Raises AddressRefused, NoSuchHost."""
        is_private = self.allows_private(host, port)
        if not is_private and (fault := host_fault(host)) is not None:
            raise AddressRefused(f"its host {fault}")
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(_LOOK_UP_SECS):
                found = await loop.getaddrinfo(host.strip("[]"), port, type=socket.SOCK_STREAM)
        except (OSError, UnicodeError) as error:  # TimeoutError is an OSError
            raise NoSuchHost("its host has no address") from error
        addresses = list(dict.fromkeys(str(entry[4][0]) for entry in found))
        if not is_private and not all(is_public(address) for address in addresses):
            raise AddressRefused("its host has a private address")
        return addresses


async def _first_that_connects(
    addresses: Iterable[str], connect: Callable[[str], Awaitable[_Stream]], failures: tuple[type[Exception], ...]
) -> _Stream:
    """Connect with the first address that lets us; raises what the last one failed with. `failures[0]`: none at all."""
    failure: Exception | None = None
    for address in addresses:
        try:
            return await connect(address)
        except failures as error:
            failure = error
    raise failure or failures[0]("no address")


class _Pinned(httpcore.AsyncNetworkBackend):
    def __init__(self, guard: AddressGuard) -> None:
        self._guard = guard
        self._inner = cast(httpcore.AsyncNetworkBackend, httpcore.AnyIOBackend())

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[httpcore.SOCKET_OPTION] | None = None,
    ) -> httpcore.AsyncNetworkStream:
        return await _first_that_connects(
            await self._guard.addresses(host, port),
            lambda address: self._inner.connect_tcp(address, port, timeout, local_address, socket_options),
            (httpcore.ConnectError, httpcore.ConnectTimeout),
        )

    async def sleep(self, seconds: float) -> None:
        await anyio.sleep(seconds)


class _Pinned2(httpcore2.AsyncNetworkBackend):
    """The same for the client that the MCP library brings with it."""

    def __init__(self, guard: AddressGuard) -> None:
        self._guard = guard
        self._inner = cast(httpcore2.AsyncNetworkBackend, httpcore2.AnyIOBackend())

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[httpcore2.SOCKET_OPTION] | None = None,
    ) -> httpcore2.AsyncNetworkStream:
        return await _first_that_connects(
            await self._guard.addresses(host, port),
            lambda address: self._inner.connect_tcp(address, port, timeout, local_address, socket_options),
            (httpcore2.ConnectError, httpcore2.ConnectTimeout),
        )

    async def sleep(self, seconds: float) -> None:
        await anyio.sleep(seconds)


def pinned_client(guard: AddressGuard, context: ssl.SSLContext) -> httpx.AsyncClient:
    """Return a client that connects only where `guard` lets it: no proxy, no redirects, no time limit of its own."""
    transport = httpx.AsyncHTTPTransport(verify=context, trust_env=False)
    # httpx offers no other way to say how connections are made.
    transport._pool = httpcore.AsyncConnectionPool(  # pyright: ignore[reportPrivateUsage]
        ssl_context=context,
        max_connections=_MOST_CONNECTIONS,
        keepalive_expiry=_KEEP_SECS,
        network_backend=_Pinned(guard),
    )
    limit = httpx.Timeout(None, connect=_CONNECT_SECS)
    return httpx.AsyncClient(transport=transport, timeout=limit, follow_redirects=False, trust_env=False)


class KeptClient:
    """A client that connects only where `guard` lets it, made when it is first needed and kept for the next request."""

    def __init__(self, guard: AddressGuard) -> None:
        """Take who says where connections may go."""
        self._guard = guard
        self._client: httpx.AsyncClient | None = None
        self._making = asyncio.Lock()

    async def get(self) -> httpx.AsyncClient:
        """Return it."""
        async with self._making:
            if self._client is None:
                # Reading the trust store takes 20-150 ms: not on the event loop, where every live voice is.
                context = await asyncio.to_thread(ssl.create_default_context)
                self._client = pinned_client(self._guard, context)
        return self._client

    async def close(self) -> None:
        """Close its connections."""
        if self._client is not None:
            await self._client.aclose()


def pinned_client2(guard: AddressGuard, context: ssl.SSLContext, headers: dict[str, str]) -> httpx2.AsyncClient:
    """Return the same for the MCP library, with headers for every request."""
    transport = httpx2.AsyncHTTPTransport(verify=context, trust_env=False)
    transport._pool = httpcore2.AsyncConnectionPool(  # pyright: ignore[reportPrivateUsage]
        ssl_context=context,
        max_connections=_MOST_CONNECTIONS,
        keepalive_expiry=_KEEP_SECS,
        network_backend=_Pinned2(guard),
    )
    limit = httpx2.Timeout(None, connect=_CONNECT_SECS)
    return httpx2.AsyncClient(
        transport=transport, timeout=limit, follow_redirects=False, trust_env=False, headers=headers
    )
