"""The step to sealed columns: up, down and up again with rows in them, and no way back from sealed ones."""

import asyncio
import json
import sqlite3
from pathlib import Path

import pytest
from sqlalchemy.engine import make_url

from storage import schema
from storage.engine import Database
from tests.databases import make_ring
from tests.unit.storage.test_migrations import Schema
from transcripts.records import Records
from transcripts.store import CallStore

_CALL = """INSERT INTO calls (call_id, agent_name, direction, status, variables, created_at, recording_status,
from_number, next_step) VALUES ('c1', 'a', 'inbound', 'live', '{"name": "Marlene"}', '2026-03-01 09:00:00', 'none',
'+15557654321', '{"do": "hang_up"}')"""
_EVENT = "INSERT INTO call_events (call_id, seq, at_ms, kind, data) VALUES ('c1', 0, 0, 'note', '{\"said\": \"yes\"}')"
_TURN = """INSERT INTO turns (call_id, position, speaker, text, start_ms, end_ms, interrupted)
VALUES ('c1', 0, 'caller', 'I am Marlene.', 0, 9, false)"""
_RECORD = """INSERT INTO records (namespace, kind, key, data, created_at)
VALUES ('front-desk', 'appointment', '09:00 Marlene', '{"for": "Marlene"}', '2026-03-01 09:00:00')"""


def _fill(url: str) -> Schema:
    db = Schema(url)
    db.move("0007")
    for statement in (_CALL, _EVENT, _TURN, _RECORD):
        db.run(statement)
    return db


def test_sealing_up_down_and_up(database_url: str) -> None:
    db = _fill(database_url)
    for _ in range(2):
        db.move("0008")
        assert db.run("SELECT key, key_index FROM records") == [("09:00 Marlene", "clear:09:00 Marlene")]
        assert db.run("SELECT from_number, from_index FROM calls") == [("+15557654321", None)]
        db.move("-1")
        [(variables, step)] = db.run("SELECT variables, next_step FROM calls")
        plain = [json.loads(each) if isinstance(each, str) else each for each in (variables, step)]
        assert plain == [{"name": "Marlene"}, {"do": "hang_up"}]
        with pytest.raises(Exception, match="(?i)unique"):
            db.run(_RECORD)
        for table in ("purpose_keys", "sealing_keys", "sealed_tables"):
            with pytest.raises(Exception, match=table):
                db.run(f"SELECT * FROM {table}")


def test_sealed_values_cannot_be_taken_back(database_url: str) -> None:
    db = _fill(database_url)
    db.move("0008")
    db.run("UPDATE turns SET text = 'sealed:k:AQ'")
    with pytest.raises(RuntimeError, match="turns holds sealed values.*restore the backup"):
        db.move("-1")
    assert db.run("SELECT from_index FROM calls") == [(None,)]


async def test_rows_of_before_are_read_and_their_keys_stay_taken(database_url: str) -> None:
    await asyncio.to_thread(_fill, database_url)
    db = Database(database_url, make_ring())
    await db.connect(wait_secs=10)
    await db.migrate()
    store, records = CallStore(db), Records(db, "front-desk")
    row = await store.get_call("c1")
    assert row is not None
    assert (row.from_number, row.variables, row.next_step) == ("+15557654321", {"name": "Marlene"}, {"do": "hang_up"})
    assert [turn.text for turn in await store.list_turns("c1")] == ["I am Marlene."]
    assert [event.data for event in await store.list_events("c1")] == [{"said": "yes"}]
    assert not await records.put("appointment", "09:00 Marlene", {})
    assert await records.put("appointment", "10:00 Theodor", {"for": "Theodor"})
    assert [record.data for record in await records.list("appointment", "09:00")] == [{"for": "Marlene"}]
    assert [record.key for record in await records.list("appointment")] == ["09:00 Marlene", "10:00 Theodor"]
    found = await records.get("appointment", "09:00 Marlene")
    assert found is not None
    assert found.data == {"for": "Marlene"}
    assert await records.delete("appointment", "09:00 Marlene")
    assert not await records.delete("appointment", "09:00 Marlene")
    await db.close()


def test_what_was_deleted_before_is_cleaned_out_of_the_file(tmp_path: Path) -> None:
    file = tmp_path / "trunkline.db"
    url = f"sqlite+aiosqlite:///{file}"
    _fill(url)
    connection = sqlite3.connect(file)
    connection.execute("PRAGMA journal_mode=WAL")
    connection.execute("PRAGMA secure_delete=OFF")
    connection.execute("DELETE FROM turns")
    connection.commit()
    connection.close()
    assert b"I am Marlene." in file.read_bytes()
    schema.upgrade(make_url(url))
    assert b"I am Marlene." not in b"".join(each.read_bytes() for each in tmp_path.iterdir())
