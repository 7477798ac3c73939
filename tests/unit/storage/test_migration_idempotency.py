"""The table of repeated requests: up, down and up again, beside rows that stay."""

import pytest

from tests.unit.storage.test_migrations import Schema

_KEEP = """INSERT INTO idempotent_requests (slot, request_hash, claim, claimed_at, expires_at, status, headers, body)
VALUES ('s', 'h', 'c', '2026-03-01 09:00:00', '2026-03-02 09:00:00', 201, '{"location": "/v1/x"}', '{}')"""


def test_the_table_comes_and_goes(database_url: str) -> None:
    db = Schema(database_url)
    db.move("0010")
    db.run("INSERT INTO processes (name, host, started_at, heartbeat_at) "
           "VALUES ('a', 'b', '2026-03-01 09:00:00', '2026-03-01 09:00:00')")  # fmt: skip
    for _ in range(2):
        db.move("0011")
        db.run(_KEEP)
        assert db.run("SELECT slot, status FROM idempotent_requests") == [("s", 201)]
        db.move("-1")
        with pytest.raises(Exception, match="idempotent_requests"):
            db.run("SELECT * FROM idempotent_requests")
    assert db.run("SELECT name FROM processes") == [("a",)]
