"""Calls away from their streams on a server of several processes: whoever is asked, and when the call's own dies."""

import asyncio
import os
import signal
from pathlib import Path

import pytest
import yaml

from simulators.call_setup import DialOutcome
from simulators.simulated_call import SimulatedCall
from tests.calls.server_process import Street, open_street
from tests.calls.test_processes import pid_of

pytestmark = pytest.mark.soak

PERSON = "+15551230199"


def add_transfers(path: Path) -> None:
    agent = yaml.safe_load(path.read_text())
    agent["transfers"] = {"sales": {"to": [PERSON, "+15551230198"], "describe": "Sales."}}
    path.write_text(yaml.safe_dump(agent))


async def happened(street: Street, call: SimulatedCall, kind: str) -> None:
    async with asyncio.timeout(20):
        while not any(event.kind == kind for event in await street.events(call)):  # noqa: ASYNC110
            await asyncio.sleep(0.1)


async def ask_for_a_person(street: Street, call: SimulatedCall) -> None:
    await call.connected()
    await street.model_is_ready(call)
    await street.say(call, "transfer-me")


async def goes_and_comes_back(street: Street, call: SimulatedCall) -> None:
    await ask_for_a_person(street, call)
    await happened(street, call, "call.back")
    await call.wait_heard()
    await call.hang_up()
    row = await street.ended_row(call)
    assert row.end_reason == "caller_hung_up"
    assert [attempt["outcome"] for attempt in row.transfer_attempts or []] == ["no_answer", "busy"]
    assert [verb for _, verb, _ in call.verbs] == ["Connect", "Dial", "Dial", "Connect"]
    assert call.errors == []


async def test_any_process_is_asked_and_the_call_comes_back_to_its_own(tmp_path: Path) -> None:
    async with open_street(tmp_path) as street:
        await asyncio.to_thread(add_transfers, tmp_path / "agents" / "front-desk.yaml")
        street.twilio.dial_outcomes |= {
            PERSON: DialOutcome("no-answer", ring_ms=300),
            "+15551230198": DialOutcome("busy", ring_ms=300),
        }
        server = await street.serve(processes=2)
        async with asyncio.TaskGroup() as calls:
            for _ in range(3):
                calls.create_task(goes_and_comes_back(street, await street.dial(server)))


async def test_one_whose_process_dies_while_it_rings_is_told_that_nobody_is_there(tmp_path: Path) -> None:
    async with open_street(tmp_path) as street:
        await asyncio.to_thread(add_transfers, tmp_path / "agents" / "front-desk.yaml")
        street.twilio.dial_outcomes[PERSON] = DialOutcome("no-answer", ring_ms=4000)
        server = await street.serve(processes=2)
        call = await street.dial(server)
        await ask_for_a_person(street, call)
        await happened(street, call, "transfer.ringing")
        owner = (await street.row(call)).owner
        assert owner is not None
        os.kill(pid_of(owner), signal.SIGKILL)
        await call.ended()
        assert [verb for _, verb, _ in call.verbs] == ["Connect", "Dial", "Say", "Hangup"]
        assert "nobody could take the call" in call.twiml_log[-1].body
        assert (await street.ended_row(call)).end_reason == "server_crashed"
