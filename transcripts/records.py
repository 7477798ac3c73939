"""A bot's own rows: appointments, answers. What a first call put down a second call finds."""

import asyncio
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

import sqlalchemy
from sqlmodel import col, delete, select

from storage.engine import Database
from storage.key_ring import KeyRing, keyed_hash
from storage.known_keys import RECORDS
from storage.rows import insert_or_ignore
from storage.sealing import open_value, sealed_columns
from transcripts.models import RecordRow

CLEAR: Final = "clear:"
"""Begins the `key_index` of a record of a version without seals, until it is sealed; its key in the clear follows."""


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
            taken = select(RecordRow.id).where(*self._of(kind), col(RecordRow.key_index) == f"{CLEAR}{key}")
            if (await session.exec(taken)).first() is not None:
                return False
            return await insert_or_ignore(session, RecordRow, [fields]) == 1

    async def get(self, kind: str, key: str) -> Record | None:
        """Find one record."""
        query = select(RecordRow).where(*self._of(kind), self._is(key))
        async with self._db.reader() as session:
            row = (await session.exec(query)).first()
        return None if row is None else _to_record(row)

    async def list(self, kind: str, prefix: str = "") -> list[Record]:
        """List the records whose key starts with `prefix` (case counts), sorted by key."""
        names = ("key", "key_index", "data", "call_id", "created_at")
        query = sqlalchemy.select(*(col(getattr(RecordRow, name)) for name in names)).where(*self._of(kind))
        async with self._db.reader() as session:
            rows = (await (await session.connection()).execute(query)).all()
        # A key tells where it stands among the others only once it is open, and there may be many.
        return await asyncio.to_thread(_open, self._db.ring, (self._namespace, kind), prefix, rows)

    async def delete(self, kind: str, key: str) -> bool:
        """Remove one record. Of any number of callers exactly one is told True."""
        change = delete(RecordRow).where(*self._of(kind), self._is(key))
        async with self._db.writer() as session:
            return (await session.exec(change)).rowcount == 1

    def _is(self, key: str) -> Any:
        return col(RecordRow.key_index).in_([keyed_hash(self._db.ring, RECORDS, key), f"{CLEAR}{key}"])

    def _of(self, kind: str) -> tuple[Any, Any]:
        return col(RecordRow.namespace) == self._namespace, col(RecordRow.kind) == kind


def _open(ring: KeyRing, of: tuple[str, str], prefix: str, rows: Iterable[Any]) -> list[Record]:
    sealed, found = sealed_columns(RecordRow), list[Record]()
    for key, key_index, data, call_id, created_at in rows:
        row = {"namespace": of[0], "kind": of[1], "key_index": key_index}
        opened = open_value(ring, sealed, "key", row, key)
        if opened.startswith(prefix):
            found.append(Record(of[1], opened, open_value(ring, sealed, "data", row, data), call_id, created_at))
    return sorted(found, key=lambda record: record.key)


def _to_record(row: RecordRow) -> Record:
    return Record(row.kind, row.key, row.data, row.call_id, row.created_at)
