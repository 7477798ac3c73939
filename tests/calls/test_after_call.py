"""A whole call and what comes after it, over the stand-ins: its cost by hand, its analysis, its webhooks."""

import asyncio
from datetime import UTC, datetime
from typing import Any

import httpx
from sqlmodel import select

from aftercall.models import CostRow, DeliveryRow
from tests.unit.aftercall.receiver import SECRET, ReceiverHouse, receiving

FAR = datetime(9999, 1, 1, tzinfo=UTC)
ANALYSIS = {
    "summary": True,
    "sentiment": True,
    "goal": "The caller knows when the practice is open.",
    "fields": {"asked_hours": {"type": "boolean", "description": "Did the caller ask for opening hours?"}},
}


async def test_a_call_is_charged_analysed_and_told_of(make_house: Any) -> None:
    async with receiving() as receiver:
        webhook = {
            "url": receiver.url,
            "secret": {"secret": "CRM"},
            "events": ["call.started", "call.ended", "call.analyzed"],
            "include": ["analysis", "transcript"],
        }
        house = await make_house(
            agents={"front-desk": {"greeting": "", "analysis": ANALYSIS, "webhooks": [webhook]}},
            tool_secrets={"CRM": SECRET},
            tool_private_hosts=(receiver.host,),
        )
        call = await house.dial_quietly()
        await house.say(call, "ask-opening-hours")
        await house.hear_out(call)
        await call.hang_up()
        row = await house.ended_row(call)
        async with asyncio.timeout(20):
            while len(receiver.came) < 3:  # noqa: ASYNC110 - a receiver has no bell
                await asyncio.sleep(0.05)
            # What the receiver has is written down a moment later.
            while await house.server.services.after_call.deliveries.list_due(FAR, 9):  # noqa: ASYNC110
                await asyncio.sleep(0.05)
            await _ask_over_the_api(house, row.call_id, receiver)
    assert len(receiver.ids) == 4
    told = {message["type"]: message["data"] for message in receiver.came}
    assert set(receiver.ids) == {f"msg_{row.call_id}_{what}" for what in ("started", "ended", "analyzed")}
    assert told["call.ended"]["end_reason"] == "caller_hung_up"
    assert [turn["speaker"] for turn in told["call.ended"]["transcript"]] == ["caller", "agent"]
    result = told["call.analyzed"]["analysis"]["result"]
    assert result["fields"] == {"asked_hours": True}
    assert result["goal"]["success"] == "reached"
    assert "what are your opening hours on Monday" in result["summary"]

    # The sum by hand: what the stand-in's model said of itself, at the prices of config/prices.yaml.
    said = [event.data for event in await house.events(call, "model.usage")]
    assert said
    audio_in, text_in, audio_out, text_out = (
        sum(
            detail["token_count"]
            for message in said
            for detail in message.get(f"{side}_tokens_details", ())
            if detail["modality"] == modality
        )
        for side, modality in (("prompt", "AUDIO"), ("prompt", "TEXT"), ("response", "AUDIO"), ("response", "TEXT"))
    )
    assert audio_in > 25  # more than a second of the caller
    assert audio_out > 25
    [asked] = house.gemini.text_model.requests
    prompt = sum(len(part["text"]) for content in asked["contents"] for part in content["parts"])
    prompt += sum(len(part["text"]) for part in asked["systemInstruction"]["parts"])
    async with house.server.services.database.reader() as session:
        costs = (await session.exec(select(CostRow))).all()
        deliveries = (await session.exec(select(DeliveryRow))).all()
    quantities = {(cost.item, cost.source): cost.quantity for cost in costs}
    answer_tokens = quantities["text_out", "analysis"]
    assert quantities == {
        ("audio_in", "conversation"): audio_in,
        ("text_in", "conversation"): text_in,
        ("audio_out", "conversation"): audio_out,
        ("text_out", "conversation"): text_out,
        ("text_in", "analysis"): (prompt + 3) // 4,
        ("text_out", "analysis"): answer_tokens,
        ("incoming_minutes", "call"): 1,
        ("stream_minutes", "call"): 1,
    }
    by_hand = (
        3 * audio_in
        + _half_up(0.75 * text_in)
        + 12 * audio_out
        + _half_up(4.5 * text_out)
        + _half_up(0.3 * ((prompt + 3) // 4))
        + _half_up(2.5 * answer_tokens)
        + 8500  # a started minute of an incoming call
        + 4400  # a started minute of its stream
    )
    assert sum(cost.micro_usd for cost in costs) == by_hand
    assert told["call.analyzed"]["cost_micro_usd"] == by_hand
    assert [delivery.status for delivery in deliveries] == ["delivered"] * 3


async def _ask_over_the_api(house: Any, call_id: str, receiver: ReceiverHouse) -> None:
    """What the API shows of it; and one message is told again, under the same id."""
    async with httpx.AsyncClient(base_url=house.server.base_url, trust_env=False) as http:
        analysis = (await http.get(f"/v1/calls/{call_id}/analysis")).json()
        assert (analysis["status"], analysis["run"], analysis["attempts"]) == ("done", 1, 1)
        costs = (await http.get(f"/v1/calls/{call_id}/costs")).json()
        assert costs["micro_usd"] == sum(item["micro_usd"] for item in costs["items"]) > 12_900
        page = (await http.get("/v1/webhook-deliveries", params={"limit": 2})).json()
        assert len(page["deliveries"]) == 2
        rest = (await http.get("/v1/webhook-deliveries", params={"limit": 2, "cursor": page["next_cursor"]})).json()
        assert [len(rest["deliveries"]), rest["next_cursor"]] == [1, None]
        wanted = {"event": "call.started", "call_id": call_id, "status": "delivered"}
        [started] = (await http.get("/v1/webhook-deliveries", params=wanted)).json()["deliveries"]
        assert (started["url"], started["attempts"], started["last_status"]) == (receiver.url, 1, 204)
        replayed = await http.post(f"/v1/webhook-deliveries/{started['delivery_id']}/replay")
        assert (replayed.status_code, replayed.json()["status"], replayed.json()["attempts"]) == (202, "pending", 2)
        for path, status in (
            ("/v1/calls/nobody/analysis", 404),
            ("/v1/calls/nobody/costs", 404),
            ("/v1/webhook-deliveries?status=lost", 422),
            ("/v1/webhook-deliveries?cursor=AAAA", 422),
        ):
            assert (await http.get(path)).status_code == status, path
        assert (await http.post(f"/v1/webhook-deliveries/{'0' * 32}/replay")).status_code == 404
        assert (await http.post("/v1/calls/nobody/analysis")).status_code == 404
    async with asyncio.timeout(10):
        while len(receiver.ids) < 4:  # noqa: ASYNC110 - a receiver has no bell
            await asyncio.sleep(0.05)


def _half_up(amount: float) -> int:
    return int(amount + 0.5)
