"""Calls asked for over HTTP, as the tests of what becomes of them do it."""

import asyncio
from typing import Any

import httpx

from tests.calls.conftest import House

PERSON = "+15551230177"


async def ask(house: House, method: str, path: str, **options: Any) -> httpx.Response:
    async with httpx.AsyncClient(base_url=house.server.base_url, trust_env=False, timeout=40) as http:
        return await http.request(method, path, **options)


async def place(house: House, **changes: Any) -> httpx.Response:
    """Ask for a call by the front desk."""
    return await ask(house, "POST", "/v1/calls", json={"agent": "front-desk", "to": PERSON} | changes)


async def ended(house: House, call_id: str) -> dict[str, Any]:
    """The call once it has ended."""
    async with asyncio.timeout(20):
        while (call := (await ask(house, "GET", f"/v1/calls/{call_id}")).json())["status"] != "ended":  # noqa: ASYNC110
            await asyncio.sleep(0.05)
    return call
