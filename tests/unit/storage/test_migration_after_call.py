"""Migration 0013 up, down and up again, on a database with calls in it."""

import pytest

from tests.unit.storage.test_migrations import _END_CALL, _OPEN_CALL, Schema

_COST = (
    "INSERT INTO costs (call_id, agent_name, day, item, source, model, quantity, unit, micro_usd) "
    "VALUES ('c0', 'a', '2026-03-01', 'gemini_audio_in', 'conversation', 'm', 5000000000, 'token', 1)"
)
_DELIVERY = (
    "INSERT INTO webhook_deliveries (delivery_id, message_id, endpoint_id, call_id, agent_name, event, url, payload, "
    "status, attempt, first_attempt, created_at) VALUES (:id, :message, 'e', 'c0', 'a', 'call.ended', 'u', '{}', "
    ":status, 1, 1, '2026-03-01 09:00:00')"
)
_ANALYSIS = (
    "INSERT INTO analyses (call_id, run, attempt, ticket, status, problem, requested_at) "
    "VALUES ('c0', 1, 1, 1, :status, :problem, '2026-03-01 09:00:00')"
)


def test_after_call_up_down_and_up(database_url: str) -> None:
    db = Schema(database_url)
    db.move("0012")
    for number in range(2):
        db.run(_OPEN_CALL, call_id=f"c{number}")
    db.run(_END_CALL, call_id="c1", reason="bot_ended")
    for _ in range(2):
        db.move("0013")
        # What happened before this version was never told, and is not told now.
        assert db.run("SELECT call_id, aftercall FROM calls ORDER BY call_id") == [("c0", 1), ("c1", 3)]
        for statement, values, rule in (
            (_DELIVERY, {"id": "d", "message": "m", "status": "lost"}, "ck_webhook_deliveries_status"),
            (_ANALYSIS, {"status": "done", "problem": "tired"}, "ck_analyses_problem"),
            (_ANALYSIS, {"status": "asleep", "problem": None}, "ck_analyses_status"),
        ):
            with pytest.raises(Exception, match=rule):
                db.run(statement, **values)
        db.run(_COST)
        db.run(_ANALYSIS, status="failed", problem="blocked")
        db.run(_DELIVERY, id="d", message="m", status="dead")
        with pytest.raises(Exception, match=r"(?i)unique"):
            db.run(_DELIVERY, id="d2", message="m", status="dead")
        db.move("-1")
        assert db.run("SELECT call_id FROM calls ORDER BY call_id") == [("c0",), ("c1",)]
        with pytest.raises(Exception, match="costs"):
            db.run("SELECT * FROM costs")
