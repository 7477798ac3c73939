"""What an agent's calls may cost in a day: none is placed or taken beyond it, and none that lives is cut."""

import asyncio
from datetime import UTC, datetime
from typing import Any

import pytest

from calling.errors import OverBudget
from calling.request import CallRequest
from tests.calls.placing import PERSON

POOR = {"max_usd_per_day": 0.0129, "sentence": "{business} is closed for today."}


async def test_a_live_call_goes_on_while_others_are_refused(make_house: Any) -> None:
    variables = {"business": "Blue Door Dental"}
    house = await make_house(
        agents={
            "front-desk": {"greeting": "", "budget": POOR, "outbound": {"enabled": True}},
            "patient": {
                "numbers": ["+15551230177"],
                "greeting": "",
                "budget": POOR | {"on_exceeded": "answer"},
                "variables": variables,
            },
        }
    )
    services = house.server.services
    first = await house.dial_quietly()
    # A started minute of the call and of its stream is all that there is.
    assert await services.after_call.ledger.spent_micro_usd(datetime.now(UTC), "front-desk") == 12_900
    second = await house.twilio.dial(
        to="+15551230100", from_="+15557654322", voice_url=f"{house.server.base_url}/twilio/voice"
    )
    async with asyncio.timeout(10):
        while await house.store.find_call(second.sid) is None:  # noqa: ASYNC110 - a row tells nobody
            await asyncio.sleep(0.02)
    row = await house.ended_row(second)
    assert row.end_reason == "refused_busy"
    assert row.next_step is not None
    assert row.next_step["text"].endswith("is closed for today.")
    request = CallRequest.model_validate({"agent": "front-desk", "to": PERSON})
    with pytest.raises(OverBudget, match=r"budget\.max_usd_per_day"):
        await services.dialler.place(request)
    assert len(house.twilio.calls) == 2
    other = await house.dial_quietly(to="+15551230177")
    third = await house.dial(to="+15551230177", from_="+15557654323")  # over it, and taken all the same
    assert (await house.row(first)).status == "live"
    for call in (first, other, third):
        await call.hang_up()
