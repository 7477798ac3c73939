"""A whole call whose caller wants to be left alone: not written down, not called again, erased."""

import asyncio
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from simulators.script import parse_script
from tests.calls.conftest import CALLER, MakeHouse
from tests.calls.placing import ask, place

LEAVE_ME_ALONE = """
name: leave-me-alone
when: {tools: [stop_calling]}
rules:
  - hear: one-moment
    call: {tool: stop_calling, args: {}}
    then: {say: Card 4111 1111 1111 1111 is forgotten. Goodbye.}
otherwise: I see.
"""
PERSON = f"/v1/people/%2B{CALLER[1:]}"


def _in_two_days() -> str:
    return (datetime.now(UTC) + timedelta(days=2)).isoformat()


def _bytes_in(folder: Path) -> bytes:
    return b"".join(path.read_bytes() for path in folder.rglob("*") if path.is_file())


async def test_a_caller_is_left_alone_and_then_forgotten(make_house: MakeHouse) -> None:
    desk: dict[str, Any] = {
        "greeting": "",
        "outbound": {"enabled": True, "hours": "any"},
        "privacy": {"redact": ["card"]},
    }
    house = await make_house(agents={"front-desk": desk}, gemini={"scripts": [parse_script(LEAVE_ME_ALONE)]})
    later = (await place(house, to=CALLER, at=_in_two_days())).json()
    call = await house.dial_quietly()
    call_id = (await house.row(call)).call_id
    await house.say(call, "one-moment")
    await house.hear_out(call)
    assert [result.response["entered"] for result in house.gemini.conversations[0].tool_results] == [True]
    assert len(await house.events(call, "do_not_call.entered")) == 1
    assert (await ask(house, "DELETE", PERSON)).json()["error"] == "call_under_way"
    await call.hang_up()
    await call.ended()
    await house.ended_row(call)
    said = [turn.text for turn in await house.turns(call) if turn.speaker == "agent"]
    assert said == ["Card [card] is forgotten. Goodbye."]
    assert not any("4111" in str(event.data) for event in await house.events(call))

    refused = await place(house, to=CALLER)
    assert refused.status_code == 403
    assert "asked not to be called" in refused.json()["detail"]
    receipt = (await ask(house, "DELETE", PERSON)).json()
    assert (receipt["erased"]["calls"], receipt["erased"]["recordings"]) == (2, 1)
    assert "do-not-call" in receipt["kept"]
    assert (await ask(house, "GET", f"/v1/calls/{later['call_id']}")).status_code == 404
    assert (await place(house, to=CALLER)).status_code == 403
    if house.server.services.database.kind == "sqlite":
        left = await asyncio.to_thread(_bytes_in, house.data_dir)
        assert call_id.encode() not in left
        assert CALLER.encode() not in left
