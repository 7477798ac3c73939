"""Requests to other companies' APIs: JSON out, JSON in, each with a deadline and a largest answer."""

import asyncio
import json
import ssl
from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from typing import Any

import httpx

_DEADLINE_SECS = 10.0
_MAX_ANSWER_BYTES = 1024 * 1024


class OutgoingFailed(Exception):
    """The other side could not be reached, did not answer in time, or answered what is no JSON."""


class OutgoingRefused(Exception):
    """The other side answered with an error status."""

    def __init__(self, status: int, answer: Any) -> None:
        """Take the HTTP status and the JSON that came with it; None when it was none."""
        super().__init__(f"answered {status}")
        self.status = status
        self.answer = answer


class Outgoing:
    """A client that many requests share. Made by `open_outgoing`."""

    def __init__(self, client: httpx.AsyncClient) -> None:
        """Take the client; whoever made it closes it."""
        self._client = client

    async def post_json(
        self, url: str, body: Mapping[str, Any], *, bearer: str, deadline_secs: float = _DEADLINE_SECS
    ) -> Any:
        """POST `body` with a bearer token; returns the answer's JSON. Redirects are not followed.

        Raises:
            OutgoingFailed: no usable answer within `deadline_secs`, from connecting to the last byte.
            OutgoingRefused: a status other than 2xx.
        """
        headers = {"Authorization": f"Bearer {bearer}"}
        try:
            async with asyncio.timeout(deadline_secs):
                async with self._client.stream("POST", url, json=dict(body), headers=headers) as response:
                    text = await _read(response)
        except TimeoutError as error:
            raise OutgoingFailed(f"no answer within {deadline_secs:g} s") from error
        except httpx.HTTPError as error:
            # The name alone: a message that quotes the request would carry its key into the logs.
            raise OutgoingFailed(type(error).__name__) from error
        answer = _parse(text)
        if not response.is_success:
            raise OutgoingRefused(response.status_code, answer)
        if answer is None:
            raise OutgoingFailed("the answer is no JSON")
        return answer


@asynccontextmanager
async def open_outgoing() -> AsyncGenerator[Outgoing]:
    """Yield a client; its connections are closed at the end of the block. It uses no proxy."""
    # Reading the trust store takes 20-150 ms: not on the event loop, where every live voice is.
    context = await asyncio.to_thread(ssl.create_default_context)
    async with httpx.AsyncClient(verify=context, timeout=None, follow_redirects=False, trust_env=False) as client:
        yield Outgoing(client)


async def _read(response: httpx.Response) -> bytes:
    text = bytearray()
    async for chunk in response.aiter_bytes():
        text += chunk
        if len(text) > _MAX_ANSWER_BYTES:
            raise OutgoingFailed(f"the answer is larger than {_MAX_ANSWER_BYTES} bytes")
    return bytes(text)


def _parse(text: bytes) -> Any:
    try:
        return json.loads(text)
    except ValueError:  # also what is no UTF-8
        return None
