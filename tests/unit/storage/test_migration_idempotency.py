"""Repeated requests and the moves of calls: up, down and up again, beside rows that stay."""

import pytest

from tests.unit.storage.test_migrations import _OPEN_CALL, Schema

_KEEP = """INSERT INTO idempotent_requests (slot, request_hash, claim, claimed_at, expires_at, status, headers, body)
VALUES ('s', 'h', 'c', '2026-03-01 09:00:00', '2026-03-02 09:00:00', 201, '{"location": "/v1/x"}', '{}')"""


def test_tables_and_triggers_come_and_go(database_url: str) -> None:
    db = Schema(database_url)
    db.move("0010")
    db.run("INSERT INTO processes (name, host, started_at, heartbeat_at) "
           "VALUES ('a', 'b', '2026-03-01 09:00:00', '2026-03-01 09:00:00')")  # fmt: skip
    for number in range(2):
        db.move("0011")
        db.run(_KEEP)
        call_id = f"c{number}"
        db.run(_OPEN_CALL, call_id=call_id)
        db.run("UPDATE calls SET agent_name = 'survey', status = 'live' WHERE call_id = :id", id=call_id)
        db.run("UPDATE calls SET status = 'ended', end_reason = 'silence' WHERE call_id = :id", id=call_id)
        moves = db.run("SELECT status, agent_name FROM call_moves WHERE call_id = :id ORDER BY seq", id=call_id)
        assert moves == [("live", "front-desk"), ("ended", "survey")], "a move to where it is already is none"
        assert db.run("SELECT slot, status FROM idempotent_requests") == [("s", 201)]
        db.move("-1")
        with pytest.raises(Exception, match="idempotent_requests"):
            db.run("SELECT * FROM idempotent_requests")
        with pytest.raises(Exception, match="call_moves"):
            db.run("SELECT * FROM call_moves")
    assert db.run("SELECT name FROM processes") == [("a",)]
