"""Keys that are rotated and bound, and the audit log: up, down and up again."""

import pytest

from tests.unit.storage.test_migrations import Schema

_KEY = (
    "INSERT INTO api_keys (key_id, name, secret_hash, scopes, created_at) "
    "VALUES (:id, 'n', 'h', '[]', '2026-03-01 09:00:00')"
)
_ENTRY = (
    "INSERT INTO audit_log (at, actor_kind, actor_id, action, subject_kind, subject_id, detail) "
    "VALUES ('2026-03-01 09:00:00', :kind, 'k1', 'keys.revoke', 'key', 'k2', '{}')"
)


def test_access_up_down_and_up(database_url: str) -> None:
    db = Schema(database_url)
    db.move("0008")
    for key_id in ("k1", "k2"):
        db.run(_KEY, id=key_id)
    for _ in range(2):
        db.move("0009")
        db.run("UPDATE api_keys SET previous_hash = 'old', previous_until = '2026-03-02 09:00:00' WHERE key_id = 'k1'")
        db.run("UPDATE api_keys SET agents = '[\"front-desk\"]' WHERE key_id = 'k2'")
        db.run(_ENTRY, kind="key")
        with pytest.raises(Exception, match="ck_audit_log_actor_kind"):
            db.run(_ENTRY, kind="somebody")
        db.move("-1")
        kept = db.run("SELECT key_id, secret_hash, revoked_at IS NULL FROM api_keys ORDER BY key_id")
        assert [(key_id, secret, bool(is_good)) for key_id, secret, is_good in kept] == [
            ("k1", "h", True),
            ("k2", "h", False),  # it was good for one agent, and would now be good for all
        ]
        with pytest.raises(Exception, match="audit_log"):
            db.run("SELECT * FROM audit_log")
