"""An agent made over the API is phoned, changed, rolled back and deleted: each call keeps its version."""

import asyncio
from datetime import UTC, datetime
from typing import Any

import httpx

from simulators.script import parse_script
from tests.calls.shop import open_shop
from verbs.agents import grant_secret

NUMBER = "+15551230166"
KEY = "a-secret-of-the-night-shop"
NIGHT_SHOP = {"name": "night-shop", "publish": True}


async def test_each_call_keeps_the_version_that_it_began_with(make_house: Any) -> None:
    house = await make_house()
    async with httpx.AsyncClient(base_url=house.server.base_url, trust_env=False) as http:

        async def change(greeting: str, etag: str) -> str:
            body = {"content": {"greeting": greeting}, "publish": True}
            answer = await http.patch("/v1/agents/night-desk", json=body, headers={"If-Match": etag})
            assert answer.status_code == 200, answer.text
            return answer.headers["etag"]

        content = {
            "bot": "assistant",
            "numbers": [NUMBER],
            "greeting": "One.",
            "recording": {"enabled": False},
            "limits": {"silence_ask_secs": 100, "silence_hangup_secs": 200},
        }
        body = {"name": "night-desk", "content": content, "publish": True}
        made = await http.post("/v1/agents", json=body)
        assert made.status_code == 201, made.text

        first = await house.dial(NUMBER)
        await house.hear_out(first)
        etag = await change("Two.", made.headers["etag"])
        second = await house.dial(NUMBER)
        await house.hear_out(second)
        await second.hang_up()
        assert (await http.post("/v1/agents/night-desk/rollback", json={})).json()["published_version"] == 1
        third = await house.dial(NUMBER)
        await house.hear_out(third)
        assert (await http.delete("/v1/agents/night-desk", headers={"If-Match": etag})).status_code == 204

        # The first call goes on: neither the change nor the deletion cut it off.
        assert (await house.row(first)).status == "live"
        for call in (first, third):
            await call.hang_up()
        heard = []
        for call in (first, second, third):
            row = await house.ended_row(call)
            assert (row.agent_name, row.end_reason) == ("night-desk", "caller_hung_up")
            heard.append((row.agent_version, [turn.text for turn in await house.turns(call)]))
            shown = (await http.get(f"/v1/calls/{row.call_id}")).json()
            assert shown["agent_version"] == row.agent_version
        assert heard == [(1, ["One."]), (2, ["Two."]), (1, ["One."])]
        nobody = await house.twilio.dial(
            to=NUMBER, from_="+15557654321", voice_url=f"{house.server.base_url}/twilio/voice"
        )
        assert (await nobody.ended()).ended_by
        assert await house.store.find_call(nobody.sid) is None


ASKING = """
name: shop
rules:
  - hear: hello
    call: {tool: check_order, args: {order_id: "7"}}
    then: {if: result.status, say: It was sent., else: I am sorry.}
otherwise: I see.
"""


async def test_a_secret_goes_to_the_tools_server_once_it_was_granted_and_nowhere_else(
    make_house: Any, monkeypatch: Any, caplog: Any
) -> None:
    async with open_shop() as shop:
        shop.answers = {"/orders/7": (200, {"status": f"sent with {KEY}"}, 0.0)}
        house = await make_house(
            gemini={"scripts": [parse_script(ASKING)] * 2}, tool_secrets={"SHOP": KEY}, tool_private_hosts=shop.host
        )
        monkeypatch.setattr("verbs.agents.load_settings", lambda **_: house.server.settings)

        async def grant(host: str) -> None:
            """As `cli.py agents grant-secret` does, with the server's settings and without this process's log."""
            await asyncio.to_thread(grant_secret, "night-shop", "SHOP", [host])

        scopes = ["agents:write", "agents:read", "calls:read"]
        made = await house.server.services.keys.create("shop", scopes, now=datetime.now(UTC))
        # As through a proxy, where only a key opens anything.
        headers = {"Authorization": f"Bearer {made.text}", "X-Forwarded-For": "203.0.113.9"}
        async with httpx.AsyncClient(base_url=house.server.base_url, headers=headers, trust_env=False) as http:
            answers = [await http.post("/v1/agents", json=NIGHT_SHOP | {"content": selling(shop.host)})]
            await grant("other.example.com")
            answers.append(await http.post("/v1/agents", json=NIGHT_SHOP | {"content": selling(shop.host)}))
            for refused, options in zip(answers, ("", " --host other.example.com"), strict=True):
                assert (refused.status_code, refused.json()["error"]) == (422, "bad_agent")
                [fault] = refused.json()["errors"]
                assert fault["where"] == "tools[0].check_order.http.headers"
                assert fault["problem"] == "the secret SHOP is not granted to this agent for 127.0.0.1"
                assert f"cli.py agents grant-secret night-shop SHOP --host 127.0.0.1{options}" in fault["cure"]
            await grant("127.0.0.1")
            answers.append(await http.post("/v1/agents", json=NIGHT_SHOP | {"content": selling(shop.host)}))
            assert answers[-1].status_code == 201, answers[-1].text

            call = await house.dial(NUMBER)
            await house.until_event(call, "model.ready")
            await house.say(call, "hello")
            [conversation] = house.gemini.conversations
            async with asyncio.timeout(15):
                while not conversation.tool_results:  # noqa: ASYNC110 - the stand-in tells nobody
                    await asyncio.sleep(0.05)
            [seen] = shop.seen
            assert (seen.target, seen.headers["authorization"]) == ("/orders/7", f"Bearer {KEY}")
            [told] = conversation.tool_results
            assert told.response == {"status": "sent with [secret]"}

            await call.hang_up()
            row = await house.ended_row(call)
            answers += [await http.get(f"/v1/calls/{row.call_id}"), await http.get("/v1/agents/night-shop")]
        assert [seen.target for seen in shop.seen] == ["/orders/7"]
        assert [answer.status_code for answer in answers] == [422, 422, 201, 200, 200]
        left = [answer.text for answer in answers] + [str(row.data) for row in await house.events(call)]
        assert KEY not in "".join([*left, caplog.text])


def selling(host: str) -> dict[str, Any]:
    """The content of an agent with one tool, which asks this host with a secret."""
    number = {"type": "string", "pattern": "^[0-9]+$"}
    tool = {
        "describe": "Looks an order up.",
        "http": {"url": f"http://{host}/orders/{{order_id}}", "headers": {"Authorization": "Bearer {secret:SHOP}"}},
        "parameters": {"type": "object", "properties": {"order_id": number}, "required": ["order_id"]},
    }
    quiet = {"greeting": "", "recording": {"enabled": False}}
    return {"bot": "assistant", "numbers": [NUMBER], "tools": [{"check_order": tool}], **quiet}
