"""What a process remembers of the phone calls that it ran."""

import asyncio
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any, cast

import pytest

from api.phone_calls import PhoneCall, PhoneCalls
from config.agent import AgentConfig
from telephony.next_step import NextStep, transfer_to
from transcripts.call import Call, Direction, EndReason

AGENT = AgentConfig(name="desk", bot="desk")


def phone_call(number: int = 1, step: dict[str, Any] | None = None) -> PhoneCall:
    call = Call(f"c{number}", f"CA{number}", "desk", Direction.INBOUND, None, None, {}, datetime.now(UTC))
    return PhoneCall(call, AGENT, f"MZ{number}", cast(Any, SimpleNamespace(step=step)))


@pytest.mark.parametrize(
    ("stored", "step"),
    [
        (None, None),
        (transfer_to("+15551230199").as_json(), transfer_to("+15551230199")),
        ({"kind": "dance"}, NextStep("apology")),
    ],
)
async def test_a_call_is_known_while_it_runs_and_after(stored: dict[str, Any] | None, step: NextStep | None) -> None:
    calls, call = PhoneCalls(), phone_call(step=stored)
    calls.begin(call)
    assert calls.find("CA1") is call
    assert (call.step, call.reason) == (step, None)
    assert not await call.wait_ended(0.01)
    waiting = asyncio.create_task(call.wait_ended(5), name="wait")
    await asyncio.sleep(0)
    calls.end(call, EndReason.BOT_ENDED)
    assert await waiting
    assert calls.find("CA1") is call
    assert (call.step, call.reason) == (step, EndReason.BOT_ENDED)
    assert call.log is None, "the log holds every event of the call"


async def test_the_oldest_of_those_that_ended_are_forgotten_and_no_running_one() -> None:
    calls = PhoneCalls()
    running = phone_call(0)
    calls.begin(running)
    for number in range(1, 302):
        call = phone_call(number)
        calls.begin(call)
        calls.end(call, EndReason.BOT_ENDED)
    known = [number for number in range(302) if calls.find(f"CA{number}") is not None]
    assert known == [0, *range(102, 302)]
