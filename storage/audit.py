"""Who changed what, and who heard which recording: rows that are added, never changed, and removed only by age."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

from sqlmodel import JSON, CheckConstraint, Field, Index, col, delete, func, select

from storage.engine import Database
from storage.rows import Row, insert_new

_LONGEST_DETAIL = 4096
_LONGEST_ID = 300
_REMOVED_AT_ONCE = 500


class ActorKind(StrEnum):
    """By what right somebody did something."""

    KEY = "key"
    TOKEN = "token"
    PLAYGROUND = "playground"
    THIS_MACHINE = "this_machine"
    COMMAND_LINE = "command_line"
    SERVER = "server"


@dataclass(frozen=True, slots=True)
class Actor:
    """Who did something: `key_id` of a key or of the key that a token was made by, else empty."""

    kind: ActorKind
    key_id: str = ""
    token_id: str | None = None


COMMAND_LINE = Actor(ActorKind.COMMAND_LINE)
SERVER = Actor(ActorKind.SERVER)


class AuditRow(Row, table=True):
    """One thing that was done. Nothing in it is of a person: the address is a keyed hash, numbers have none."""

    __tablename__ = "audit_log"  # pyright: ignore[reportAssignmentType]
    __table_args__ = (
        CheckConstraint(f"actor_kind IN {tuple(str(kind) for kind in ActorKind)}", name="actor_kind"),
        Index(None, "at"),
        Index(None, "actor_id"),
        Index(None, "subject_kind", "subject_id"),
    )

    id: int | None = Field(default=None, primary_key=True)
    at: datetime
    actor_kind: str
    actor_id: str
    token_id: str | None = None
    action: str
    subject_kind: str
    subject_id: str
    request_id: str | None = None
    address_index: str | None = None
    detail: dict[str, Any] = Field(sa_type=JSON)


@dataclass(frozen=True, slots=True)
class AuditFilter:
    """Which entries are asked for; what is None does not matter. `since` counts, `until` does not any more."""

    actor_id: str | None = None
    action: str | None = None
    subject_kind: str | None = None
    subject_id: str | None = None
    address_index: str | None = None
    since: datetime | None = None
    until: datetime | None = None


class AuditStore:
    """Adds entries, lists them, removes old ones; there is no way to change one. Methods may raise `DatabaseAway`."""

    def __init__(self, db: Database) -> None:
        self._db = db

    async def add(
        self,
        actor: Actor,
        action: str,
        subject_kind: str,
        subject_id: str,
        *,
        at: datetime,
        request_id: str | None = None,
        address_index: str | None = None,
        detail: Mapping[str, Any] | None = None,
    ) -> None:
        """Write one entry down.

        Args:
            actor: who.
            action: what, as `keys.revoke`: the resource and the verb.
            subject_kind: of what, as `key`.
            subject_id: of which; a person is named by the keyed hash of the number, never by the number.
            at: when, aware.
            request_id: of the request that asked for it.
            address_index: the keyed hash of the address that it came from.
            detail: what else an operator will want to know, nothing of which is of a person; 4096 bytes of JSON.

        Raises:
            ValueError: a telephone number as the subject, or too much detail.
        """
        told = dict(detail or {})
        if subject_id.startswith("+") or len(subject_id) > _LONGEST_ID:
            raise ValueError("the subject of an audit entry is a short id, and never a telephone number")
        if len(json.dumps(told, default=str)) > _LONGEST_DETAIL:
            raise ValueError(f"the detail of an audit entry has at most {_LONGEST_DETAIL} bytes")
        fields: dict[str, Any] = {
            "at": at,
            "actor_kind": actor.kind.value,
            "actor_id": actor.key_id,
            "token_id": actor.token_id,
            "action": action,
            "subject_kind": subject_kind,
            "subject_id": subject_id,
            "request_id": request_id,
            "address_index": address_index,
            "detail": told,
        }
        async with self._db.writer() as session:
            await insert_new(session, AuditRow, [fields])

    async def list_entries(self, wanted: AuditFilter, limit: int, *, before: int | None = None) -> list[AuditRow]:
        """List the newest `limit` entries, newest first; `before`: those that are older than the entry of this id."""
        query = select(AuditRow).order_by(col(AuditRow.id).desc()).limit(limit)
        if before is not None:
            query = query.where(col(AuditRow.id) < before)
        for column in ("actor_id", "action", "subject_kind", "subject_id", "address_index"):
            value = getattr(wanted, column)
            if value is not None:
                query = query.where(col(getattr(AuditRow, column)) == value)
        if wanted.since is not None:
            query = query.where(col(AuditRow.at) >= wanted.since)
        if wanted.until is not None:
            query = query.where(col(AuditRow.at) < wanted.until)
        async with self._db.reader() as session:
            return list((await session.exec(query)).all())

    async def count_before(self, before: datetime) -> int:
        """Count the entries that are older than `before`, aware."""
        query = select(func.count()).select_from(AuditRow).where(col(AuditRow.at) < before)
        async with self._db.reader() as session:
            return (await session.exec(query)).one()

    async def remove_before(self, before: datetime) -> int:
        """Remove the entries that are older than `before`, aware, some at a time; returns how many there were.

        For the job that removes what has expired: no route and no verb asks for it otherwise.
        """
        removed = 0
        oldest = select(AuditRow.id).where(col(AuditRow.at) < before).order_by(col(AuditRow.at)).limit(_REMOVED_AT_ONCE)
        while True:
            async with self._db.writer() as session:
                found = list((await session.exec(oldest)).all())
                await session.exec(delete(AuditRow).where(col(AuditRow.id).in_(found)))
            removed += len(found)
            if len(found) < _REMOVED_AT_ONCE:
                return removed
