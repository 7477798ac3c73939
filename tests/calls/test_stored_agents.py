"""An agent made over the API is phoned, changed, rolled back and deleted: each call keeps its version."""

from typing import Any

import httpx

NUMBER = "+15551230166"


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
