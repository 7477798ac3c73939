"""The migration of stored agents on a database with rows in it."""

import pytest

from tests.unit.storage.test_migrations import Schema

OPEN_CALL = """INSERT INTO calls (call_id, agent_name, direction, status, variables, created_at, recording_status)
VALUES (:call_id, 'front-desk', 'inbound', 'live', '{}', '2026-03-01 09:00:00', 'none')"""


def test_stored_agents_up_down_and_up(database_url: str) -> None:
    db = Schema(database_url)
    db.move("0009")
    db.run(OPEN_CALL, call_id="c0")
    for _ in range(2):
        db.move("0010")
        assert db.run("SELECT counter FROM stored_agent_changes") == [(0,)]
        db.run("UPDATE calls SET agent_version = 3 WHERE call_id = 'c0'")
        db.run("INSERT INTO stored_agents (name, latest, created_at, updated_at) "
               "VALUES ('a', 1, '2026-03-01 09:00:00', '2026-03-01 09:00:00')")  # fmt: skip
        version = ("INSERT INTO stored_agent_versions (agent_name, number, content, content_hash, created_at, "
                   "created_by) VALUES ('a', 1, '{}', 'h', '2026-03-01 09:00:00', '')")  # fmt: skip
        db.run(version)
        with pytest.raises(Exception, match=r"(?i)unique"):
            db.run(version)
        db.run("INSERT INTO agent_secret_grants (agent_name, secret_name, hosts, granted_at) "
               "VALUES ('a', 'SHOP', '[]', '2026-03-01 09:00:00')")  # fmt: skip
        db.move("-1")
        assert db.run("SELECT call_id, agent_name FROM calls") == [("c0", "front-desk")]
        for table in ("stored_agents", "stored_agent_versions", "stored_agent_changes", "agent_secret_grants"):
            with pytest.raises(Exception, match=table):
                db.run(f"SELECT * FROM {table}")
