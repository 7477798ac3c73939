"""Agents stored over the API under several processes: what one publishes, the next call anywhere hears."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml

from simulators.call_setup import AnswerPolicy
from simulators.simulated_call import SimulatedCall
from tests.calls.conftest import CALLER, ROOT
from tests.calls.server_process import Server, Street, open_street
from tests.calls.test_processes import names_of, open_stream, pinned, ring
from tests.unit.api.wire import tags
from transcripts.call import Speaker

SHOP = "+15551230177"
PERSON = "+15557654399"
GOOD_MORNING = "Good morning, Blue Door Dental. How can I help?"
HELLO = "Hello! How can I help?"
LISTENING = ["transport.input", "transport.output"]


def content(**changes: Any) -> dict[str, Any]:
    shipped: dict[str, Any] = yaml.safe_load((ROOT / "config" / "agents" / "front-desk.yaml").read_text())
    kept = {"numbers": [SHOP], "outbound": {"enabled": True, "hours": "any"}, "recording": {"enabled": False}}
    return shipped | kept | changes


@asynccontextmanager
async def both(server: Server) -> AsyncGenerator[list[httpx.AsyncClient]]:
    """A connection to each of both processes."""
    async with AsyncExitStack() as closing:
        names = (await names_of(server)).values()
        yield [await closing.enter_async_context(pinned(server, name)) for name in names]


async def publish(http: httpx.AsyncClient, change: dict[str, Any]) -> int:
    body = {"content": change, "publish": True}
    answer = await http.patch("/v1/agents/shop", json=body, headers={"If-Match": "*"})
    assert answer.status_code == 200, answer.text
    return answer.json()["published_version"]


async def rung(street: Street, http: httpx.AsyncClient, call_sid: str) -> int | None:
    """Ring through a process; returns the version that the call has."""
    answer = await ring(street, http, call_sid, to=SHOP)
    assert tags(answer)[-1:] in (["Connect"], ["Hangup"]), answer.text
    row = await street.store.find_call(call_sid)
    return None if row is None else row.agent_version


async def first_words(street: Street, call: SimulatedCall) -> str:
    await call.connected()
    async with asyncio.timeout(30):
        while not (said := await street.said(call, Speaker.AGENT)):  # noqa: ASYNC110 - a row tells nobody
            await asyncio.sleep(0.2)
    await call.hang_up()
    await street.ended_row(call)
    return said[0]


@pytest.mark.soak
async def test_what_one_process_publishes_the_next_call_at_the_other_hears(tmp_path: Path) -> None:
    async with open_street(tmp_path) as street:
        server = await street.serve(processes=2, may_dial=True)
        async with both(server) as (one, other):
            made = await one.post("/v1/agents", json={"name": "shop", "content": content(), "publish": True})
            assert made.status_code == 201, made.text
            assert await first_words(street, await dial(street, server)) == GOOD_MORNING
            # Every change at one is there for the very next call at the other, whichever takes it.
            for number in range(12):
                writes, rings = (one, other) if number % 2 else (other, one)
                version = await publish(writes, {"variables": {"business": f"Shop {number}"}})
                assert await rung(street, rings, f"CA{number:032x}") == version
                assert await rung(street, writes, f"CA{number + 50:032x}") == version
            owners = {(await street.store.find_call(f"CA{number:032x}")) is not None for number in range(12)}
            assert owners == {True}

            # Heard, and not only written down: by the process that takes the call, of which nobody asked for anything.
            await publish(one, {"greeting": HELLO})
            calls = [await dial(street, server) for _ in range(2)]
            assert [await first_words(street, call) for call in calls] == [HELLO, HELLO]

            # A call that rang before keeps the version that it rang with, though its stream comes after the change.
            answer = await ring(street, other, "CA" + "a" * 32, to=SHOP)
            before = await street.store.find_call("CA" + "a" * 32)
            after = await publish(one, {"pipeline": LISTENING, "greeting": ""})
            assert before is not None
            assert before.agent_version == after - 1
            stream = await open_stream(street, answer, "CA" + "a" * 32)
            async with stream:
                await spoken(street, before.call_id)


async def dial(street: Street, server: Server) -> SimulatedCall:
    return await street.twilio.dial(
        to=SHOP,
        from_=CALLER,
        voice_url=f"{server.base_url}/twilio/voice",
        status_callback=f"{server.base_url}/twilio/status",
    )


async def spoken(street: Street, call_id: str) -> None:
    """Wait until the model of a call is there: it is not that of a later version, which has none."""
    async with asyncio.timeout(20):
        while not any(event.kind == "model.ready" for event in await street.store.list_events(call_id)):  # noqa: ASYNC110
            await asyncio.sleep(0.1)


@pytest.mark.soak
async def test_a_stored_agent_calls_people_and_one_that_was_deleted_calls_and_answers_nobody(tmp_path: Path) -> None:
    async with open_street(tmp_path) as street:
        server = await street.serve(processes=2, may_dial=True)
        async with both(server) as (one, other):
            body = {"name": "shop", "content": content(disclosure=False, greeting=HELLO), "publish": True}
            assert (await one.post("/v1/agents", json=body)).status_code == 201
            street.twilio.answer_policy = AnswerPolicy(after_ms=200)
            wish = {"agent": "shop", "to": PERSON}
            placed = await other.post("/v1/calls", json=wish)
            assert placed.status_code == 201, placed.text
            call = await street.twilio.next_placed(timeout_secs=20)
            assert (call.setup.to, call.setup.from_) == (PERSON, SHOP)
            assert await first_words(street, call) == HELLO
            row = await street.row(call)
            assert (row.agent_name, row.agent_version, row.end_reason) == ("shop", 1, "caller_hung_up")

            live = await dial(street, server)
            await live.connected()
            due = (datetime.now(UTC) + timedelta(seconds=5)).isoformat()
            later = await other.post("/v1/calls", json=wish | {"at": due})
            assert later.status_code == 201, later.text
            assert (await one.delete("/v1/agents/shop")).status_code == 204
            assert tags(await ring(street, other, "CA" + "d" * 32, to=SHOP))[-1] == "Hangup"
            assert await street.store.find_call("CA" + "d" * 32) is None
            refused = await other.post("/v1/calls", json=wish)
            assert (refused.status_code, refused.json()["error"]) == (404, "no_such_agent")
            # Who is on the line already is talked to, to the end.
            async with asyncio.timeout(30):
                while HELLO not in await street.said(live, Speaker.AGENT):  # noqa: ASYNC110
                    await asyncio.sleep(0.2)
            await live.hang_up()
            assert (await street.ended_row(live)).end_reason == "caller_hung_up"
            # What was arranged for later is not dialled any more, and its row says why.
            async with asyncio.timeout(30):
                while (row := await street.store.get_call(later.json()["call_id"])) and row.status != "ended":  # noqa: ASYNC110
                    await asyncio.sleep(0.2)
            assert row is not None
            assert row.end_reason == "refused"
            assert len(street.twilio.calls) == 2
            # The number is free for somebody else, with whom the next call at either process is.
            taken = {"name": "again", "content": content(greeting=HELLO), "publish": True}
            assert (await other.post("/v1/agents", json=taken)).status_code == 201
            assert await rung(street, one, "CA" + "e" * 32) == 1
            row = await street.store.find_call("CA" + "e" * 32)
            assert row is not None
            assert row.agent_name == "again"
