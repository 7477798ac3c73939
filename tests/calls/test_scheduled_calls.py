"""Calls for a later time: placed then and not before, by whichever server lives, or not at all."""

import asyncio
import signal
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml
from sqlalchemy import inspect, text

from simulators.script import parse_script
from storage.workflow_tables import SCHEMA, WorkflowTables
from tests.calls.conftest import CALLER
from tests.calls.placing import PERSON, ask, ended, place
from tests.calls.server_process import open_street

LATER_SECS = 2.5


def at(secs: float) -> str:
    return (datetime.now(UTC) + timedelta(seconds=secs)).isoformat()


async def test_a_call_is_placed_at_its_time_unless_it_was_called_off_or_is_forbidden_by_then(make_house) -> None:
    # One more agent, that may not call any more when its time has come.
    house = await make_house(agents={"turncoat": {"numbers": ["+15551230155"]}})
    for wrong, what in ((at(-1), "in the past"), (at(91 * 86_400), "more than 90 days"), ("tomorrow", "a moment")):
        answer = await place(house, at=wrong)
        assert answer.status_code in (400, 422)
        assert what in answer.text
    called_off = (await place(house, at=at(2 * LATER_SECS))).json()
    await ask(house, "POST", f"/v1/calls/{called_off['call_id']}/hang-up")
    due = at(LATER_SECS)
    wanted = (await place(house, at=due)).json()
    forbidden = (await place(house, at=due, agent="turncoat")).json()
    assert (wanted["status"], datetime.fromisoformat(wanted["at"]).isoformat()) == ("queued", due)
    assert wanted["dialled_at"] is None
    file = house.data_dir.parent / "agents" / "turncoat.yaml"
    agent = yaml.safe_load(file.read_text()) | {"outbound": {"enabled": False}}
    await asyncio.to_thread(file.write_text, yaml.safe_dump(agent))

    call = await house.twilio.next_placed(timeout_secs=LATER_SECS + 5)
    assert datetime.now(UTC) >= datetime.fromisoformat(due)
    assert call.setup.to == PERSON
    refused = await ended(house, forbidden["call_id"])
    assert refused["end_reason"] == "refused"
    assert "may not place calls" in refused["problem"]
    assert (await ended(house, called_off["call_id"]))["end_reason"] == "cancelled"
    shown = (await ask(house, "GET", f"/v1/calls/{wanted['call_id']}")).json()
    assert shown["call_sid"] == call.sid
    assert shown["dialled_at"] >= due
    await asyncio.sleep(LATER_SECS)
    assert len(house.twilio.calls) == 1
    await call.hang_up()


@pytest.mark.soak
async def test_a_scheduled_call_outlives_kill_9_and_is_dialled_once_by_the_next_server(tmp_path: Path) -> None:
    async with open_street(tmp_path) as town:
        first = await town.serve(may_dial=True)
        async with httpx.AsyncClient(trust_env=False) as http:
            body = {"agent": "front-desk", "to": PERSON, "at": at(2)}
            answer = await http.post(f"{first.base_url}/v1/calls", json=body)
        assert answer.status_code == 201, answer.text
        call_id = answer.json()["call_id"]
        first.signal(signal.SIGKILL)
        await first.ended()
        assert not town.twilio.calls
        await town.serve(may_dial=True)
        call = await town.twilio.next_placed(timeout_secs=20)
        await asyncio.sleep(1.5)  # whoever else would dial, would by then
        assert len(town.twilio.calls) == 1
        row = await town.store.get_call(call_id)
        assert row is not None
        assert row.call_sid == call.sid
        await call.hang_up()


CALL_ME_LATER = """
name: call-me-later
when: {tools: [schedule_callback]}
rules:
  - hear: one-moment
    call: {tool: schedule_callback, args: {when: "2020-01-01T10:00", reason: "x"}}
    then:
      call: {tool: schedule_callback, args: {when: "in 90 minutes", reason: "the rent of March"}}
      then:
        call: {tool: schedule_callback, args: {when: "in 2 hours", reason: "the bill of March"}}
        then: {say: I will.}
otherwise: I see.
"""


async def test_who_asks_to_be_called_back_is_at_the_last_time_that_he_named(make_house) -> None:
    desk: dict[str, Any] = {
        "greeting": "",
        "tools": ["schedule_callback"],
        "outbound": {"enabled": True, "hours": "any", "zone": "Europe/Berlin"},
    }
    house = await make_house(agents={"front-desk": desk}, gemini={"scripts": [parse_script(CALL_ME_LATER)]})
    asked = datetime.now(UTC)
    call = await house.dial_quietly()
    await house.say(call, "one-moment")
    await house.hear_out(call)
    await call.hang_up()
    await call.ended()
    [refused] = await house.events(call, "callback.refused")
    assert refused.data["problem"].startswith("That is over: it is ")
    _first, event = await house.events(call, "callback.scheduled")
    rows = (await ask(house, "GET", "/v1/calls")).json()["calls"]
    [waiting] = [row for row in rows if row["status"] == "queued"]
    shown = (await ask(house, "GET", f"/v1/calls/{waiting['call_id']}")).json()
    assert shown["call_id"] == event.data["call_id"]
    assert datetime.fromisoformat(shown["at"]) == datetime.fromisoformat(event.data["at"])
    assert (shown["to"], shown["from"], shown["agent"]) == (CALLER, "+15551230100", "front-desk")
    assert "the bill of March" in shown["overrides"]["instructions"]
    assert timedelta(minutes=118) < datetime.fromisoformat(shown["at"]) - asked < timedelta(minutes=121)
    [off] = [row for row in rows if row["end_reason"] == "cancelled"]
    assert "the rent of March" in off["overrides"]["instructions"]
    told = [result.response for result in house.gemini.conversations[0].tool_results]
    assert [answer["scheduled"] for answer in told] == [False, True, True]
    assert "Europe/Berlin" in told[-1]["at"]


def rows_and_bytes(tables: WorkflowTables, file: Path) -> bytes:
    """Every row of durable work; of SQLite every byte of its files too."""
    engine, found = tables.engine(), b""
    there = inspect(engine)
    schema = SCHEMA if engine.dialect.name == "postgresql" else None
    with engine.connect() as connection:
        for name in there.get_table_names(schema=schema):
            query = text(f"SELECT * FROM {schema}.{name}" if schema else f"SELECT * FROM {name}")
            found += repr(connection.execute(query).all()).encode()
    for path in file.parent.glob(f"{file.name}*"):
        found += path.read_bytes()
    return found


async def test_what_is_kept_for_later_has_no_number_in_it(make_house) -> None:
    house = await make_house()
    await place(house, at=at(3600), variables={"business": "A Very Private Practice"})
    tables = WorkflowTables(house.server.settings.database_url, house.data_dir)
    kept = await asyncio.to_thread(rows_and_bytes, tables, house.data_dir / "workflows.sqlite")
    assert b"place a call" in kept
    assert PERSON.encode() not in kept
    assert b"Very Private" not in kept
    assert await asyncio.to_thread(tables.has_unfinished)
    await asyncio.to_thread(tables.close)
