"""Whole calls, then every byte that is left of them: no word, no name and no number is found in the clear."""

import asyncio
import io
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from loguru import logger
from sqlmodel import select

from aftercall.models import DeliveryRow
from simulators.script import load_scripts, parse_script
from simulators.twilio import AnswerPolicy
from telemetry import logs
from tests.calls.conftest import CALLER, House
from tests.calls.placing import PERSON, ask, place
from tests.databases import database_url
from tests.private_bytes import files_below, find_leaks, tables_of
from tests.unit.aftercall.receiver import SECRET, ReceiverHouse, receiving
from transcripts.backlog import Backlog, WaitingEntry
from transcripts.call import CallEvent, Consent, ConsentAnswer, ConsentGivenBy, Speaker, Turn
from transcripts.do_not_call import DoNotCall, Source
from transcripts.entries import ConsentEntry, EventEntry, NextStepEntry, TransferAttemptsEntry, TurnEntry
from transcripts.models import TransferRow
from transcripts.transfer import TransferStatus
from transcripts.transfer_store import TransferStore

__all__ = ["database_url"]

NAMES = ["Alex Morgan", "Thessaly Orrinshade", "Cordwainer Practice", "order-Zephyrine-4711", "Ottilie-Quabbermane"]
DESK, OWNER, STORED = "+15551230301", "+15551230202", "+15551230167"
NUMBERS = [CALLER, PERSON, "+15551230198", "+15551230177", "+15558675309", OWNER, STORED]
DESK_MODEL = parse_script(f"""
name: puts through
when: {{tools: [opening_hours, book_appointment, transfer_call]}}
rules:
  - hear: transfer-me
    call: {{tool: transfer_call, args: {{destination: owner, summary: "{NAMES[4]} wants to move an appointment."}}}}
    then: "Nobody is there."
otherwise: "I am listening."
""")
# Sentences of agents are read aloud from agents' own files, and name no caller.
NOT_PRIVATE = ("sentences",)


async def test_of_whole_calls_no_word_name_or_number_is_left_in_the_clear(
    make_house: Any, database_url: str, tmp_path: Path
) -> None:
    told = io.StringIO()
    try:
        logs.configure("DEBUG", told, "json")
        async with receiving() as receiver:
            receiver.statuses = {"call.started": 410, "call.ended": 503}
            house: House = await make_house(
                agents=agents(receiver),
                gemini={"scripts": [*load_scripts(), DESK_MODEL]},
                tool_secrets={"CRM": SECRET},
                tool_private_hosts=(receiver.host,),
                database_url=database_url,
            )
            house.twilio.answer_policy = lambda setup: (
                AnswerPolicy(replies=("1",)) if setup.to == OWNER else AnswerPolicy("no-answer")
            )
            words, *_ = await asyncio.gather(talk(house), be_put_through(house), be_called(house), write_agent(house))
            await until_told(house, receiver)
        await leave_the_rest(house)
        await house.server.services.database.scrub()
        sources = await asyncio.to_thread(read_all, house.data_dir, database_url)
    finally:
        logger.remove()
        await asyncio.to_thread(logger.add, sys.stderr, level="WARNING")
    log = told.getvalue()
    assert "call rings" in log, "the log was not caught"
    private = [*NAMES, *NUMBERS, *(number[1:] for number in NUMBERS), *words]
    assert len(words) == 6
    assert any("workflow" in name for name, _ in sources), [name for name, _ in sources]
    found = {name.rpartition(".")[2] for name, content in sources if content not in {b"[]", b""}}
    assert found >= {
        "analyses", "call_events", "calls", "consents", "do_not_call", "idempotent_requests", "model_usage", "records",
        "stored_agent_versions", "transfers", "turns", "webhook_deliveries",
    }, found  # fmt: skip
    assert find_leaks(private, [*sources, ("log", log.encode())]) == []


def agents(receiver: ReceiverHouse) -> dict[str, Any]:
    """The front desk tells of its calls and has them analysed; another desk puts callers through."""
    webhook = {
        "url": f"{receiver.url}?of={NAMES[4]}",
        "secret": {"secret": "CRM"},
        "events": ["call.started", "call.ended", "call.analyzed"],
        "include": ["analysis", "transcript"],
    }
    transfers = {"owner": {"describe": "Whoever asks for the owner.", "mode": "warm", "to": [OWNER]}}
    return {
        "front-desk": {"analysis": {"summary": True, "goal": f"{NAMES[0]} is helped."}, "webhooks": [webhook]},
        "desk": {"numbers": [DESK], "greeting": "", "transfers": transfers},
    }


def read_all(data_dir: Path, url: str) -> list[tuple[str, bytes]]:
    return [*files_below(data_dir, without=NOT_PRIVATE), *tables_of(url)]


async def talk(house: House) -> list[str]:
    """A caller hears the greeting, books, gives his name and presses keys; returns what was said."""
    call = await house.dial()
    await house.hear_out(call)
    for clip in ("book-tuesday", "name-alex"):
        await house.say(call, clip)
        await house.hear_out(call)
    await call.press("5")
    await house.hear_out(call)
    await call.hang_up()
    await call.ended()
    await house.ended_row(call)
    turns = [turn.text for turn in await house.turns(call)]
    assert [event.data["digit"] for event in await house.events(call, "caller.digit")] == ["5"]
    return turns


async def be_put_through(house: House) -> None:
    """A caller is put through to a person, who is told what it is about."""
    call = await house.dial_quietly(to=DESK)
    await house.say(call, "transfer-me")
    await house.until_event(call, "transfer.joined")
    await call.hang_up()
    row = await house.ended_row(call)
    assert row.end_reason == "transferred"


async def write_agent(house: House) -> None:
    """An agent is written over the API, twice in one request that is answered again."""
    content = {
        "bot": "assistant",
        "numbers": [STORED],
        "greeting": f"This is {NAMES[4]}.",
        "instructions": f"Ask {NAMES[1]}.",
    }
    body = {"name": "night-desk", "content": content, "note": f"As {NAMES[0]} wished.", "publish": True}
    for _ in range(2):
        made = await ask(house, "POST", "/v1/agents", json=body, headers={"Idempotency-Key": NAMES[4]})
        assert made.status_code == 201, made.text


async def until_told(house: House, receiver: ReceiverHouse) -> None:
    """The receiver takes the analysis only: of the other messages some are dead, some wait to be sent again."""
    async with asyncio.timeout(20):
        while True:
            async with house.server.services.database.reader() as session:
                rows = (await session.exec(select(DeliveryRow))).all()
            if {"delivered", "dead", "pending"} <= {row.status for row in rows if row.last_status is not None}:
                break
            await asyncio.sleep(0.05)
    assert any(message["type"] == "call.analyzed" for message in receiver.came)


async def be_called(house: House) -> None:
    """A person is called with private variables; another call waits for its time."""
    key = {"Idempotency-Key": NAMES[3]}
    wish = {"agent": "front-desk", "to": PERSON, "variables": {"business": NAMES[2]}}
    answers = [await ask(house, "POST", "/v1/calls", json=wish, headers=key) for _ in range(2)]
    assert [answer.is_success for answer in answers] == [True, True]
    at = (datetime.now(UTC) + timedelta(hours=1)).isoformat()
    assert (await place(house, at=at, variables={"business": NAMES[1]})).is_success
    async with asyncio.timeout(20):
        shown = f"/v1/calls/{answers[0].json()['call_id']}"
        while (await ask(house, "GET", shown)).json()["status"] != "ended":  # noqa: ASYNC110
            await asyncio.sleep(0.05)


async def leave_the_rest(house: House) -> None:
    """What other calls leave: a transfer, a consent, free data, and log entries that waited for an absent database."""
    services, store = house.server.services, house.store
    [(call_id, call_sid)] = [
        (row.call_id, row.call_sid)
        for row in await store.list_calls(9)
        if (row.agent_name, row.from_number) == ("front-desk", CALLER)
    ]
    at = datetime.now(UTC)
    await store.append_event(call_id, CallEvent("note", 9, {NAMES[1]: [NUMBERS[4], {"said": NAMES[2]}]}))
    consent = Consent(
        "front-desk", CALLER, f"May we record {NAMES[1]}?", "en", ConsentAnswer.YES, ConsentGivenBy.KEY, at
    )
    await store.add_entries([
        ConsentEntry(call_id, consent),
        NextStepEntry(call_id, {"do": "transfer", "to": NUMBERS[2], "text": NAMES[1]}),
        TransferAttemptsEntry(call_id, [{"destination": "owner", "address": NUMBERS[2], "outcome": "busy"}]),
        TurnEntry(call_id, 90, Turn(Speaker.CALLER, f"I am {NAMES[1]}.", 9, 99, error=f"lost {NAMES[2]}")),
    ])  # fmt: skip
    await TransferStore(services.database).open(
        TransferRow(
            transfer_id="t1", call_id=call_id, call_sid=call_sid or "", agent_name="front-desk", destination="owner",
            address=NUMBERS[2], language="en-US", status=TransferStatus.CALLING.value, created_at=at,
        )
    )  # fmt: skip
    await house.records("front-desk").put("visit", NAMES[1], {"number": NUMBERS[4]}, call_id)
    await DoNotCall(services.database).add(NUMBERS[4], Source.OPERATOR, noted_by="", now=at)
    late = [
        EventEntry(call_id, 900, CallEvent("late", 9, {"said": NAMES[1]})),
        TurnEntry(call_id, 900, Turn(Speaker.CALLER, f"My number is {NUMBERS[4]}.", 9, 99)),
    ]
    waiting = [WaitingEntry(entry, is_placed=True) for entry in late]
    assert await Backlog(house.data_dir / "log-backlog", "absent", store).keep(waiting) == 2
