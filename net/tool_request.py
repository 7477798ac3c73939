"""One request of a tool to somebody's web service: sent again only when that does nothing twice, answer bounded."""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Literal
from urllib.parse import urljoin, urlsplit

import httpx

from net.pinned import AddressGuard, AddressRefused, KeptClient, NoSuchHost
from net.retry_after import read_wait_secs

_BUSY = frozenset({429, 502, 503, 504})
"""Statuses that say: later, perhaps."""
_REDIRECTS = frozenset({301, 302, 303, 307, 308})
_FIRST_WAIT_SECS = 0.25
_LONGEST_WAIT_SECS = 5.0

Why = Literal["unreachable", "not_allowed", "bad_answer", "too_large"]


class RequestFailed(Exception):
    """There is no answer that could be used; the text is one short sentence without any value of the request."""

    def __init__(self, why: Why, reason: str) -> None:
        """`why` is the kind of failure."""
        super().__init__(reason)
        self.why: Why = why


@dataclass(frozen=True, slots=True)
class ToolRequest:
    """What is sent, all filled in and encoded.

    Attributes:
        hosts: Host names that may be asked, in small letters.
        may_repeat: Sending it twice does what sending it once does.
        retries: How often it is sent again at most.
        redirects: How many redirects are followed.
    """

    method: str
    url: str
    hosts: frozenset[str]
    headers: Mapping[str, str] = field(default_factory=dict[str, str])
    body: bytes | None = None
    may_repeat: bool = False
    retries: int = 0
    redirects: int = 0
    max_bytes: int = 65_536


@dataclass(frozen=True, slots=True)
class ToolAnswer:
    """What came back. `content_type` is in small letters, without parameters."""

    status: int
    content_type: str
    body: bytes


class ToolRequests:
    """Sends the requests of this process's tools; the connections are kept for the next ones."""

    def __init__(self, guard: AddressGuard) -> None:
        """Take who says where connections may go."""
        self._guard = guard
        self._client = KeptClient(guard)

    async def prepare(self) -> None:
        """Make the client, which the first request would have to wait for."""
        await self._client.get()

    async def close(self) -> None:
        """Close the connections."""
        await self._client.close()

    async def send(self, request: ToolRequest) -> ToolAnswer:
        """Send it and return the answer, whatever its status. Whoever calls bounds the time. Raises RequestFailed."""
        wait_secs = _FIRST_WAIT_SECS
        for left in range(request.retries, -1, -1):
            try:
                answer, asked_secs = await self._follow(request)
            except AddressRefused as error:
                raise RequestFailed("not_allowed", str(error)) from error
            except NoSuchHost as error:
                raise RequestFailed("unreachable", str(error)) from error
            except httpx.ConnectError as error:  # nothing was sent
                if not left:
                    raise RequestFailed("unreachable", "it cannot be reached") from error
                asked_secs = None
            except httpx.TimeoutException as error:
                if not left or not isinstance(error, httpx.ConnectTimeout):
                    raise RequestFailed("unreachable", "it cannot be reached") from error
                asked_secs = None
            except httpx.TransportError as error:
                if not left or not request.may_repeat:
                    raise RequestFailed("unreachable", "the connection broke off") from error
                asked_secs = None
            else:
                if answer.status not in _BUSY or not left or not request.may_repeat:
                    return answer
            await asyncio.sleep(min(_LONGEST_WAIT_SECS, asked_secs or wait_secs))
            wait_secs *= 2
        raise AssertionError("the last attempt returns or raises")

    async def _follow(self, request: ToolRequest) -> tuple[ToolAnswer, float | None]:
        """Send it once, and follow redirects; returns the answer and for how many seconds it asks to wait."""
        client, url, headers = await self._client.get(), request.url, dict(request.headers)
        for left in range(request.redirects, -1, -1):
            self._check(url, request.hosts)
            async with client.stream(
                request.method, url, headers=headers | {"Accept-Encoding": "identity"}, content=request.body
            ) as response:
                location = response.headers.get("location")
                if response.status_code not in _REDIRECTS or location is None or not left:
                    body = await _read(response, request.max_bytes)
                    kind = response.headers.get("content-type", "").partition(";")[0].strip().lower()
                    asked_secs = read_wait_secs(response.headers.get("retry-after", ""), datetime.now(UTC))
                    return ToolAnswer(response.status_code, kind, body), asked_secs
            before, url = urlsplit(url), urljoin(url, location)
            if (before.scheme, before.netloc) != (urlsplit(url).scheme, urlsplit(url).netloc):
                headers = {name: value for name, value in headers.items() if name.lower() == "accept"}
        raise AssertionError("the last one returns or raises")

    def _check(self, url: str, hosts: frozenset[str]) -> None:
        """Raise for an address that must not be asked; what its name stands for is checked when it is connected."""
        try:
            parts = urlsplit(url)
            host, port = (parts.hostname or "").lower(), parts.port or (443 if parts.scheme == "https" else 80)
        except ValueError as error:
            raise RequestFailed("not_allowed", "its address cannot be read") from error
        if host not in hosts:
            raise RequestFailed("not_allowed", "its host is not one of allow_hosts")
        if parts.scheme != "https" and not (parts.scheme == "http" and self._guard.allows_private(host, port)):
            raise RequestFailed("not_allowed", "it would not be asked over https")
        if parts.username is not None:
            raise RequestFailed("not_allowed", "its address holds a user name")


async def _read(response: httpx.Response, max_bytes: int) -> bytes:
    if response.headers.get("content-encoding", "identity").lower() != "identity":
        raise RequestFailed("bad_answer", "its answer is compressed, which it was asked not to be")
    body = bytearray()
    async for chunk in response.aiter_raw():
        body += chunk
        if len(body) > max_bytes:
            raise RequestFailed("too_large", f"its answer is larger than {max_bytes} bytes")
    return bytes(body)
