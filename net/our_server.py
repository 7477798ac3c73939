"""Asking our own running server for something, from the command line."""

from collections.abc import Mapping
from typing import Any, cast

import httpx

_TIMEOUT_SECS = 40.0  # the server waits for Twilio before it answers


class ServerSaysNo(Exception):
    """The server does not do it; the message is its own sentence."""


class NoServer(Exception):
    """The server cannot be reached. Start it with `make run`, or correct TRUNKLINE_HOST and TRUNKLINE_PORT."""


async def place_call(
    base_url: str, body: Mapping[str, Any], *, api_key: str | None, idempotency_key: str
) -> dict[str, Any]:
    """Have a call placed, see `POST /v1/calls`; returns the call.

    A connection that breaks is tried once more with the same idempotency key, which rings nobody twice.

    Raises:
        ServerSaysNo: with the server's sentence.
        NoServer: it is not there.
    """
    headers = {"Idempotency-Key": idempotency_key} | ({"Authorization": f"Bearer {api_key}"} if api_key else {})
    async with httpx.AsyncClient(base_url=base_url, trust_env=False, timeout=_TIMEOUT_SECS) as http:
        try:
            try:
                answer = await http.post("/v1/calls", json=dict(body), headers=headers)
            except httpx.ReadError:
                answer = await http.post("/v1/calls", json=dict(body), headers=headers)
        except httpx.HTTPError as error:
            raise NoServer(f"{NoServer.__doc__} ({base_url}: {type(error).__name__})") from error
    try:
        told: object = answer.json()
    except ValueError:
        told = None
    known = cast(dict[str, Any], told) if isinstance(told, dict) else {}
    if answer.is_success and known:
        return known
    sentences = [str(known[name]) for name in ("detail", "cure") if known.get(name)]
    raise ServerSaysNo(" ".join(sentences) or f"the server answered {answer.status_code}")
