"""Whole calls, then every byte that is left of them: no word, no name and no number is found in the clear."""

import asyncio
import io
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from loguru import logger

from simulators.twilio import AnswerPolicy
from telemetry import logs
from tests.calls.conftest import CALLER, House
from tests.calls.placing import PERSON, ask, place
from tests.databases import database_url
from tests.private_bytes import files_below, find_leaks, tables_of
from transcripts.backlog import Backlog, WaitingEntry
from transcripts.call import CallEvent, Consent, ConsentAnswer, ConsentGivenBy, Speaker, Turn
from transcripts.do_not_call import DoNotCall, Source
from transcripts.entries import ConsentEntry, EventEntry, NextStepEntry, TransferAttemptsEntry, TurnEntry
from transcripts.models import TransferRow
from transcripts.transfer import TransferStatus
from transcripts.transfer_store import TransferStore

__all__ = ["database_url"]

NAMES = ["Alex Morgan", "Thessaly Orrinshade", "Cordwainer Practice", "order-Zephyrine-4711"]
NUMBERS = [CALLER, PERSON, "+15551230198", "+15551230177", "+15558675309"]
# Sentences of agents are read aloud from agents' own files, and name no caller.
NOT_PRIVATE = ("sentences",)


async def test_of_whole_calls_no_word_name_or_number_is_left_in_the_clear(
    make_house: Any, database_url: str, tmp_path: Path
) -> None:
    told = io.StringIO()
    try:
        logs.configure("DEBUG", told, "json")
        house: House = await make_house(database_url=database_url)
        words = await talk(house)
        await be_called(house)
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
    assert any(name.endswith("trunkline.db-wal") or "calls" in name for name, _ in sources)
    assert find_leaks(private, [*sources, ("log", log.encode())]) == []


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


async def be_called(house: House) -> None:
    """A person is called with private variables; another call waits for its time."""
    house.twilio.answer_policy = AnswerPolicy("no-answer")
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
        (row.call_id, row.call_sid) for row in await store.list_calls(9) if row.from_number == CALLER
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
