"""The table of words: up, down and up again, with rows in it."""

import pytest

from tests.unit.storage.test_migrations import Schema

_CALL = """INSERT INTO calls (call_id, agent_name, direction, status, variables, created_at, recording_status)
VALUES ('c1', 'front-desk', 'inbound', 'ringing', '{}', '2026-03-01 09:00:00', 'none')"""


def test_search_up_down_and_up(database_url: str) -> None:
    db = Schema(database_url)
    db.move("0014")
    db.run(_CALL)
    for _ in range(2):
        db.run("INSERT INTO word_hashes (word, call_id) VALUES (:word, 'c1')", word=b"0123456789abcdef")
        with pytest.raises(Exception, match=r"word_hashes"):
            db.run("INSERT INTO word_hashes (word, call_id) VALUES (:word, 'c1')", word=b"0123456789abcdef")
        db.move("-1")
        with pytest.raises(Exception, match="word_hashes"):
            db.run("SELECT * FROM word_hashes")
        db.move("0014")
    assert db.run("SELECT count(*) FROM word_hashes") == [(0,)]
    assert db.run("SELECT count(*) FROM calls") == [(1,)]
