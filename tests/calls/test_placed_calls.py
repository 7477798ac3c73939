"""Calls that we place: asked for over HTTP, dialled once, spoken, and over."""

import asyncio
from typing import Any

import httpx

from tests.calls.conftest import House

PERSON = "+15551230177"
ROBOT = "I am a robot."


async def ask(house: House, method: str, path: str, **options: Any) -> httpx.Response:
    async with httpx.AsyncClient(base_url=house.server.base_url, trust_env=False, timeout=40) as http:
        return await http.request(method, path, **options)


async def place(house: House, **changes: Any) -> httpx.Response:
    headers = changes.pop("headers", {})
    body = {"agent": "front-desk", "to": PERSON, **changes}
    return await ask(house, "POST", "/v1/calls", json=body, headers=headers)


async def ended(house: House, call_id: str) -> dict[str, Any]:
    async with asyncio.timeout(15):
        while (call := (await ask(house, "GET", f"/v1/calls/{call_id}")).json())["status"] != "ended":  # noqa: ASYNC110
            await asyncio.sleep(0.05)
    return call


async def test_somebody_is_called_told_who_calls_and_talked_with(make_house) -> None:
    house = await make_house()
    answer = await place(house, overrides={"disclosure": ROBOT, "greeting": "Hi."})
    assert answer.status_code == 201, answer.text
    call_id = answer.json()["call_id"]
    call = await house.twilio.next_placed()
    assert call.sid == answer.json()["call_sid"]
    assert (call.setup.to, call.setup.from_) == (PERSON, "+15551230100")
    await call.connected()
    await house.say(call, "hello")
    await house.until_event(call, "agent.disclosed")
    await house.say(call, "goodbye")
    await call.ended()
    done = await ended(house, call_id)
    assert (done["direction"], done["end_reason"]) == ("outbound", "bot_ended")
    (disclosure, *_others) = [turn.text for turn in await house.turns(call)]
    assert disclosure == f"{ROBOT} Hi."
