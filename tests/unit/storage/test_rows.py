"""The insert that is safe to repeat."""

from datetime import UTC, datetime
from typing import Any

import pytest
from sqlalchemy.exc import IntegrityError

from storage.engine import Database
from storage.rows import insert_or_ignore
from transcripts.models import RecordRow


def _record(key: str, **changes: Any) -> dict[str, Any]:
    at = datetime(2026, 3, 1, tzinfo=UTC)
    fields: dict[str, Any] = {"namespace": "n", "kind": "k", "key": key, "data": {}, "call_id": None, "created_at": at}
    return fields | changes


async def test_only_new_rows_are_inserted_and_counted(database: Database) -> None:
    async with database.writer() as session:
        assert await insert_or_ignore(session, RecordRow, []) == 0
        assert await insert_or_ignore(session, RecordRow, [_record("a")]) == 1
        assert await insert_or_ignore(session, RecordRow, [_record("a")]) == 0
        assert await insert_or_ignore(session, RecordRow, [_record("a"), _record("b"), _record("c")]) == 2


async def test_other_broken_rules_are_not_ignored(database: Database) -> None:
    with pytest.raises(IntegrityError):
        async with database.writer() as session:
            await insert_or_ignore(session, RecordRow, [_record("a", call_id="unknown")])
