"""A bot's own rows: appointments, answers. What a first call put down a second call finds."""

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from sqlmodel import col, delete, func, select

from storage.engine import Database
from storage.rows import insert_or_ignore
from transcripts.models import RecordRow


@dataclass(frozen=True, slots=True)
class Record:
    """One row of a bot. `call_id` is the call that put it there, None when unknown or erased since."""

    kind: str
    key: str
    data: dict[str, Any]
    call_id: str | None
    created_at: datetime  # aware UTC


class Records:
    """The rows of one namespace, usually the agent's name. Every method may raise `storage.errors.DatabaseAway`."""

    def __init__(self, db: Database, namespace: str) -> None:
        self._db = db
        self._namespace = namespace

    async def put(self, kind: str, key: str, data: dict[str, Any], call_id: str | None = None) -> bool:
        """Write a new record. Returns False, changing nothing, when the key is taken.

        Of any number of calls putting one key at once exactly one is told True.

        Args:
            kind: what it is, for example "appointment".
            key: unique within the kind, for example "2026-03-02T09:00".
            data: what JSON can hold.
            call_id: an existing call.
        """
        fields = {
            "namespace": self._namespace,
            "kind": kind,
            "key": key,
            "data": data,
            "call_id": call_id,
            "created_at": datetime.now(UTC),
        }
        async with self._db.writer() as session:
            return await insert_or_ignore(session, RecordRow, [fields]) == 1

    async def get(self, kind: str, key: str) -> Record | None:
        """Find one record."""
        query = select(RecordRow).where(*self._of(kind), col(RecordRow.key) == key)
        async with self._db.reader() as session:
            row = (await session.exec(query)).first()
        return None if row is None else _to_record(row)

    async def list(self, kind: str, prefix: str = "") -> list[Record]:
        """List the records whose key starts with `prefix` (case counts), sorted by key."""
        # Not LIKE: SQLite's ignores case. Not ORDER BY: PostgreSQL's order depends on its locale.
        starts = func.substr(RecordRow.key, 1, len(prefix)) == prefix
        async with self._db.reader() as session:
            rows = (await session.exec(select(RecordRow).where(*self._of(kind), starts))).all()
        return sorted((_to_record(row) for row in rows), key=lambda record: record.key)

    async def delete(self, kind: str, key: str) -> bool:
        """Remove one record. Of any number of callers exactly one is told True."""
        change = delete(RecordRow).where(*self._of(kind), col(RecordRow.key) == key)
        async with self._db.writer() as session:
            return (await session.exec(change)).rowcount == 1

    def _of(self, kind: str) -> tuple[Any, Any]:
        return col(RecordRow.namespace) == self._namespace, col(RecordRow.kind) == kind


def _to_record(row: RecordRow) -> Record:
    return Record(row.kind, row.key, row.data, row.call_id, row.created_at)
