"""Each migration on a database with rows in it: up, down and up again, and no row is lost."""

import asyncio
import json

import pytest
from alembic import command
from alembic.config import Config
from sqlalchemy import NullPool, create_engine, event, text
from sqlalchemy.engine import make_url

from storage import schema

_OPEN_CALL = """INSERT INTO calls (call_id, agent_name, direction, status, variables, created_at, recording_status)
VALUES (:call_id, 'front-desk', 'inbound', 'live', '{"a": "1"}', '2026-03-01 09:00:00', 'none')"""
_END_CALL = "UPDATE calls SET status = 'ended', end_reason = :reason WHERE call_id = :call_id"


class Schema:
    """A database whose revision can be moved to and fro, as an operator would do it by hand."""

    def __init__(self, url: str) -> None:
        parsed = make_url(url)
        is_sqlite = parsed.drivername.startswith("sqlite")
        self._engine = create_engine(parsed.set(drivername="sqlite") if is_sqlite else parsed, poolclass=NullPool)
        if is_sqlite:
            event.listen(
                self._engine, "connect", lambda connection, _record: connection.execute("PRAGMA foreign_keys=0")
            )

    def move(self, revision: str) -> None:
        with self._engine.begin() as connection:
            config = Config()
            config.set_main_option("script_location", str(schema._SCRIPTS))
            config.attributes["connection"] = connection
            if revision.startswith("-"):
                command.downgrade(config, revision)
            else:
                command.upgrade(config, revision)

    def run(self, statement: str, **values: object) -> list[tuple[object, ...]]:
        with self._engine.begin() as connection:
            found = connection.execute(text(statement), values)
            return [tuple(row) for row in found] if found.returns_rows else []

    def refuses(self, statement: str, **values: object) -> bool:
        try:
            self.run(statement, **values)
        except Exception as error:
            return "ck_calls" in str(error)
        return False


def test_processes_up_down_and_up(database_url: str) -> None:
    db = Schema(database_url)
    db.move("0001")
    for number in range(3):
        db.run(_OPEN_CALL, call_id=f"c{number}")
    db.run("INSERT INTO turns (call_id, position, speaker, text, start_ms, end_ms, interrupted) "
           "VALUES ('c0', 0, 'caller', 'Hello', 0, 1, false)")  # fmt: skip
    assert db.refuses(_END_CALL, call_id="c0", reason="server_crashed")
    for _ in range(2):
        db.move("0002")
        assert db.refuses(_END_CALL, call_id="c0", reason="nonsense")
        assert db.refuses("UPDATE calls SET status = 'ended', end_reason = NULL")
        assert db.refuses("UPDATE calls SET status = 'asleep'")
        db.run(_END_CALL, call_id="c0", reason="server_crashed")
        db.run(_END_CALL, call_id="c1", reason="bot_ended")
        db.run("INSERT INTO processes (name, host, started_at, heartbeat_at) "
               "VALUES ('a', 'b', '2026-03-01 09:00:00', '2026-03-01 09:00:00')")  # fmt: skip
        db.move("-1")
        rows = db.run("SELECT call_id, end_reason, variables FROM calls ORDER BY call_id")
        plain = [(call_id, reason, json.loads(v) if isinstance(v, str) else v) for call_id, reason, v in rows]
        assert plain == [("c0", "failed", {"a": "1"}), ("c1", "bot_ended", {"a": "1"}), ("c2", None, {"a": "1"})]
        assert db.run("SELECT text FROM turns") == [("Hello",)]
        assert db.refuses(_END_CALL, call_id="c0", reason="server_crashed")
        with pytest.raises(Exception, match="processes"):
            db.run("SELECT * FROM processes")


def test_placed_calls_up_down_and_up(database_url: str) -> None:
    db = Schema(database_url)
    db.move("0004")
    for number in range(3):
        db.run(_OPEN_CALL, call_id=f"c{number}")
    assert db.refuses(_END_CALL, call_id="c0", reason="no_answer")
    for _ in range(2):
        db.move("0005")
        assert db.refuses(_END_CALL, call_id="c0", reason="nonsense")
        db.run(_END_CALL, call_id="c0", reason="no_answer")
        db.run(_END_CALL, call_id="c1", reason="ended_by_api")
        db.run("UPDATE calls SET overrides = '{}' WHERE call_id = 'c2'")
        db.run("INSERT INTO outgoing_calls (call_id, requested_by, request_hash, ring_secs) VALUES ('c0', '', 'h', 30)")
        db.run("INSERT INTO dial_attempts (call_id, number, started_at, outcome) "
               "VALUES ('c0', 0, '2026-03-01 09:00:00', 'placed')")  # fmt: skip
        db.run("INSERT INTO api_keys (key_id, name, secret_hash, scopes, created_at) "
               "VALUES ('k', 'n', 'h', '[]', '2026-03-01 09:00:00')")  # fmt: skip
        db.move("-1")
        rows = db.run("SELECT call_id, end_reason FROM calls ORDER BY call_id")
        assert rows == [("c0", "failed"), ("c1", "bot_ended"), ("c2", None)]
        for table in ("outgoing_calls", "dial_attempts", "api_keys"):
            with pytest.raises(Exception, match=table):
                db.run(f"SELECT * FROM {table}")


def test_transfer_attempts_up_down_and_up(database_url: str) -> None:
    db = Schema(database_url)
    db.move("0005")
    db.run(_OPEN_CALL, call_id="c0")
    for _ in range(2):
        db.move("0006")
        db.run("UPDATE calls SET transfer_attempts = '[]' WHERE call_id = 'c0'")
        db.move("-1")
        with pytest.raises(Exception, match="transfer_attempts"):
            db.run("SELECT transfer_attempts FROM calls")


async def test_a_database_of_the_version_before_is_brought_up_to_date_with_its_rows(database_url: str) -> None:
    db = Schema(database_url)

    def make_old() -> None:
        db.move("0001")
        db.run(_OPEN_CALL, call_id="c1")

    await asyncio.to_thread(make_old)
    await asyncio.to_thread(schema.upgrade, make_url(database_url))
    assert await asyncio.to_thread(db.run, "SELECT call_id, owner FROM calls") == [("c1", None)]


def test_transfers_up_down_and_up(database_url: str) -> None:
    db = Schema(database_url)
    db.move("0002")
    db.run(_OPEN_CALL, call_id="c1")
    insert = (
        "INSERT INTO transfers (transfer_id, call_id, call_sid, agent_name, destination, address, language, status, "
        "created_at) VALUES ('t1', 'c1', 'CA1', 'a', 'owner', '+15551230198', 'en', :status, "
        "'2026-03-01 09:00:00')"
    )
    for _ in range(2):
        db.move("0003")
        with pytest.raises(Exception, match="ck_transfers_status"):
            db.run(insert, status="asleep")
        db.run(insert, status="joined")
        db.move("-1")
        assert db.run("SELECT call_id FROM calls") == [("c1",)]
        with pytest.raises(Exception, match="transfers"):
            db.run("SELECT * FROM transfers")


def test_consents_up_down_and_up(database_url: str) -> None:
    db = Schema(database_url)
    db.move("0004")
    db.run(_OPEN_CALL, call_id="c0")
    consent = (
        "INSERT INTO consents (call_id, agent_name, wording, language, answer, given_by, at) "
        "VALUES ('c0', 'front-desk', 'May we?', 'en-US', :answer, :by, '2026-03-01 09:00:00')"
    )
    for _ in range(2):
        for answer, by in (("yes", "voice"), ("no", "key"), ("none", None), ("withdrawn", "voice")):
            db.run(consent, answer=answer, by=by)
        for answer, by in (("maybe", "voice"), ("yes", "letter"), ("yes", "voice")):
            with pytest.raises(Exception, match=r"(?i)check|unique"):
                db.run(consent, answer=answer, by=by)
        db.move("-1")
        assert db.run("SELECT call_id FROM calls") == [("c0",)]
        with pytest.raises(Exception, match="consents"):
            db.run("SELECT * FROM consents")
        db.move("0004")


def test_answering_machines_up_down_and_up(database_url: str) -> None:
    db = Schema(database_url)
    db.move("0006")
    for number in range(3):
        db.run(_OPEN_CALL, call_id=f"c{number}")
    assert db.refuses(_END_CALL, call_id="c0", reason="message_left")
    db.move("0007")
    for call_id, reason in (("c0", "message_left"), ("c1", "missed"), ("c2", "machine_hung_up")):
        db.run(_END_CALL, call_id=call_id, reason=reason)
    db.run("UPDATE calls SET answered_by = 'machine_end_beep' WHERE call_id = 'c0'")
    db.move("-1")
    reasons = db.run("SELECT call_id, end_reason FROM calls ORDER BY call_id")
    assert reasons == [("c0", "bot_ended"), ("c1", "failed_to_dial"), ("c2", "bot_ended")]
    assert db.refuses(_END_CALL, call_id="c0", reason="missed")
    db.move("0007")
    assert db.run("SELECT answered_by FROM calls") == [(None,)] * 3
