"""What is kept about forgetting: up, down and up again, with rows in it."""

import pytest

from tests.unit.storage.test_migrations import Schema

_LISTED = """INSERT INTO do_not_call (number_index, source, noted_by, created_at)
VALUES ('h1', :source, '', '2026-03-01 09:00:00')"""
_TABLES = ("do_not_call", "erasure_receipts", "retentions", "expired_parts")


def test_privacy_up_down_and_up(database_url: str) -> None:
    db = Schema(database_url)
    db.move("0011")
    for _ in range(2):
        db.move("0012")
        db.run(_LISTED, source="agent")
        with pytest.raises(Exception, match="ck_do_not_call_source"):
            db.run(_LISTED.replace("h1", "h2"), source="nonsense")
        assert [db.run(f"SELECT count(*) FROM {table}") for table in _TABLES] == [[(1,)], [(0,)], [(0,)], [(0,)]]
        db.move("-1")
        for table in _TABLES:
            with pytest.raises(Exception, match=table):
                db.run(f"SELECT * FROM {table}")
    db.move("0012")
    assert db.run("SELECT * FROM do_not_call") == []
