"""Every operation of the OpenAPI document, asked rightly and wrongly with keys of every scope: no surprise."""

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest

from aftercall.delivery_store import write_deliveries
from aftercall.receivers import Receiver
from api.openapi import document_of
from config.webhooks import WebhookEvent
from simulators.call_setup import AnswerPolicy
from storage.keys import SCOPES
from tests.calls.conftest import House
from tests.fuzz.fuzzer import Fuzzer
from transcripts.call import Call, CallEvent, Direction, EndReason, Speaker, Turn

# The server runs in a thread beside the fuzzer: Hypothesis takes its use of `random` for that of a strategy.
pytestmark = pytest.mark.filterwarnings("ignore:Do not use the `random` module inside strategies")

NOW = datetime(2026, 3, 1, 9, tzinfo=UTC)


_UNHURRIED = {
    "max_reads_per_minute": 1_000_000,
    "max_writes_per_minute": 1_000_000,
    "max_dials_per_minute": 1_000_000,
    "max_failed_logins": 1_000_000,
    "max_keyless_per_minute": 1_000_000,
}
"""Otherwise most answers would be that too much is asked."""


async def fuzz(house: House, examples: int) -> Fuzzer:
    """Ask the house; returns what came of it."""
    house.twilio.answer_policy = AnswerPolicy("busy")  # a call that goes on would be waited for at the end
    services = house.server.services
    keys = services.keys

    async def make(scopes: list[str], **more: Any) -> str:
        return (await keys.create("fuzz", scopes, now=datetime.now(UTC), **more)).text

    given: dict[str, str | None] = {"everything": await make(list(SCOPES)), "nothing": None}
    for scope in SCOPES:
        given[scope] = await make([scope])
    given["no agents"] = await make(list(SCOPES), agents=[])
    given["expired"] = await make(list(SCOPES), expires_at=datetime.now(UTC) - timedelta(days=1))
    given["nonsense"] = "tk_nonsense"
    victim = await keys.create("victim", ["calls:read"], now=datetime.now(UTC))
    for number in range(3):
        call_id = f"fuzz{number}"
        call = Call(
            call_id, None, "front-desk", Direction.INBOUND, "+15557654321", "+15551230100", {"name": "Zoë"}, NOW
        )
        await services.store.open_call(call)
        await services.store.go_live(call_id)
        await services.store.add_turn(call_id, 0, Turn(Speaker.CALLER, "Hello.", 0, 900))
        await services.store.add_events(call_id, 0, [CallEvent("latency.reply", 900, {"ms": 700})])
        writer = services.recordings.writer(call_id, 8000)
        writer.add(Speaker.CALLER, 0, bytes(16_000))
        await writer.close()
        await services.store.finish_call(call_id, EndReason.SILENCE)
        await services.after_call.analyses.ask_again(call_id, datetime.now(UTC))
    deliveries = await tell_of(house, "fuzz0")
    stored = [f"stored{number}" for number in range(6)]
    everything = {"Authorization": f"Bearer {given['everything']}", "X-Forwarded-For": "203.0.113.9"}
    async with httpx.AsyncClient(base_url=house.server.base_url, headers=everything, trust_env=False) as http:
        for name in stored:
            content = {"bot": "assistant", "greeting": "Hello."}
            made = await http.post("/v1/agents", json={"name": name, "content": content})
            assert made.status_code == 201, made.text
            change = {"content": {"greeting": "Good morning."}}
            changed = await http.patch(f"/v1/agents/{name}", json=change, headers={"If-Match": made.headers["etag"]})
            assert changed.status_code == 200, changed.text
        token = (await http.post("/v1/tokens", json={"scopes": ["calls:read"]})).json()
    given["a token"] = token["token"]
    known = {
        "call_id": ["fuzz0", "fuzz1", "fuzz2"],
        "key_id": [victim.key_id],
        "name": ["front-desk", *stored],
        "number": [1, 2, "+15557654399"],
        "delivery_id": deliveries,
    }
    document = await asyncio.to_thread(document_of, house.server.app)
    fuzzer = Fuzzer(house.server.base_url, document, given, known, examples)
    await asyncio.to_thread(fuzzer.run)
    return fuzzer


async def tell_of(house: House, call_id: str) -> list[str]:
    """Write messages for a receiver that is not there; returns the ids of their deliveries."""
    services, written = house.server.services, list[str]()
    row = await services.store.get_call(call_id)
    assert row is not None
    everything = frozenset(WebhookEvent)
    receiver = Receiver("fuzz", "front-desk", "https://127.0.0.1:9/", None, everything, frozenset({"transcript"}))
    async with services.database.writer() as session:
        for event in WebhookEvent:
            written += await write_deliveries(session, [receiver], event, row, NOW)
    return written


def asked(fuzzer: Fuzzer) -> set[str]:
    return {label for label, tally in fuzzer.tallies.items() if tally.examples}


def promised(fuzzer: Fuzzer) -> set[str]:
    return {f"{method.upper()} {path}" for path, methods in fuzzer.document["paths"].items() for method in methods}


async def test_a_few_requests_to_every_operation(make_house: Any) -> None:
    fuzzer = await fuzz(await make_house(**_UNHURRIED), 4)
    assert asked(fuzzer) == promised(fuzzer)
    assert not fuzzer.failures, "\n\n".join(fuzzer.failures)


@pytest.mark.soak
@pytest.mark.timeout(3600)
async def test_two_hundred_requests_to_every_operation(make_house: Any, database_url: str) -> None:
    fuzzer = await fuzz(await make_house(database_url=database_url, **_UNHURRIED), 200)
    print(f"\n{database_url.split(':')[0]}\n{fuzzer.table()}")  # noqa: T201 - a long proof, its table
    assert asked(fuzzer) == promised(fuzzer)
    assert not fuzzer.failures, "\n\n".join(fuzzer.failures)
