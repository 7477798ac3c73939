"""Warm transfers and the processes of the server: webhooks that reach another one, and one that dies in the middle."""

import asyncio
import signal
from pathlib import Path
from typing import Any

import pytest

from simulators.call_setup import AnswerPolicy
from simulators.simulated_call import SimulatedCall
from tests.calls.conftest import CALLER, write_agents
from tests.calls.server_process import FRONT_DESK, Server, Street, open_street

PUBLIC_URL = "https://voice.example.com"
PERSON = "+15551230198"
AGENT = {
    "greeting": "",
    "limits": {"silence_ask_secs": 100, "silence_hangup_secs": 200},
    "transfers": {"owner": {"to": [PERSON], "describe": "The owner.", "mode": "warm", "hold": "silence"}},
}


async def serve(street: Street, **settings: Any) -> Server:
    await asyncio.to_thread(write_agents, street.agents_dir, {"front-desk": AGENT})
    return await street.serve(public_base_url=PUBLIC_URL, may_dial=True, **settings)


async def ask_for_owner(street: Street) -> SimulatedCall:
    call = await street.twilio.dial(
        to=FRONT_DESK,
        from_=CALLER,
        voice_url=f"{PUBLIC_URL}/twilio/voice",
        status_callback=f"{PUBLIC_URL}/twilio/status",
    )
    await call.connected()
    await street.model_is_ready(call)
    await street.say(call, "transfer-me")
    return call


async def happened(street: Street, call: SimulatedCall, kind: str, count: int = 1) -> None:
    async with asyncio.timeout(20):
        while [event.kind for event in await street.events(call)].count(kind) < count:  # noqa: ASYNC110 - a row tells nobody
            await asyncio.sleep(0.05)


def said(call: SimulatedCall) -> str:
    return " ".join(detail for _, verb, detail in call.verbs if verb == "Say")


@pytest.mark.soak
async def test_webhooks_may_reach_any_process_of_the_server(tmp_path: Path) -> None:
    async with open_street(tmp_path) as street:
        server = await serve(street, processes=2)
        street.twilio.serve_at(PUBLIC_URL, server.base_url)
        street.twilio.answer_policy = AnswerPolicy(replies=("1",))

        async def put_through() -> None:
            call = await ask_for_owner(street)
            await happened(street, call, "transfer.joined", 2)
            assert not call.is_over
            await call.hang_up()
            assert (await street.ended_row(call)).end_reason == "transferred"
            kinds = [event.kind for event in await street.events(call)]
            once = ("transfer.briefed", "transfer.accepted", "transfer.moved", "transfer.ended", "call.ended")
            assert [kinds.count(kind) for kind in once] == [1] * len(once), kinds

        async with asyncio.TaskGroup() as calls:
            for _ in range(3):
                calls.create_task(put_through())


@pytest.mark.soak
async def test_those_who_talk_talk_on_when_the_process_dies_and_nobody_else_is_left_waiting(tmp_path: Path) -> None:
    async with open_street(tmp_path) as street:
        doomed, other = await asyncio.gather(serve(street), serve(street))
        twilio = street.twilio
        twilio.serve_at(PUBLIC_URL, doomed.base_url)
        policies = iter([AnswerPolicy(replies=("1",)), AnswerPolicy(), AnswerPolicy(after_ms=60_000)])
        twilio.answer_policy = lambda _setup: next(policies)
        people: list[SimulatedCall] = []
        calls: list[SimulatedCall] = []
        for _ in range(3):
            calls.append(await ask_for_owner(street))
            people.append(await twilio.next_placed())
        talks, listens, rings = calls
        await happened(street, talks, "transfer.joined", 2)
        await happened(street, listens, "transfer.briefed")
        doomed.signal(signal.SIGKILL)
        twilio.serve_at(PUBLIC_URL, other.base_url)
        await doomed.ended()
        # The one who hears the summary says yes to a process that has never heard of it.
        await people[1].press("1")
        assert "The caller has hung up" in said(people[1]) or (await people[1].ended()).status == "completed"
        assert "The caller has hung up" in said(people[1])
        for call in (listens, rings):
            assert (await call.ended()).status == "completed"
            assert "something went wrong" in said(call)
            assert (await street.ended_row(call)).end_reason == "server_crashed"
        assert (await people[2].ended()).status == "canceled"
        # A sweep has gone over everything by now, and these two talk on.
        assert not talks.is_over
        assert not people[0].is_over
        await people[0].hang_up()
        assert (await talks.ended()).status == "completed"
        assert (await street.ended_row(talks)).end_reason == "transferred"
        await happened(street, talks, "transfer.ended")
