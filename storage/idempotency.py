"""Requests that were made with an Idempotency-Key, and what they were answered: for a day, for who made them.

Whoever calls us names his requests as he likes, and what he asks and is answered may be private: hashes are keyed, and
answers sealed.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import Enum
from secrets import token_hex
from typing import Any, ClassVar

from sqlmodel import Field, ForeignKey, Index, and_, col, delete, or_, select, text, update

from storage.engine import Database
from storage.key_ring import keyed_hash
from storage.known_keys import REQUESTS
from storage.rows import Row, insert_or_ignore, sealed_values
from storage.sealing import Seal, SealedJson, SealedText

KEPT = timedelta(hours=24)
"""How long an answer is given again."""
AT_MOST = timedelta(minutes=2)
"""A request that has no answer after this time never gets one: its process died."""

_CALL = text("SELECT call_id FROM calls WHERE call_id = :call_id")


class RepeatableRow(Row, table=True):
    """One request. `slot` is the hash of who asked, where and with which key; no `status`: it is being answered."""

    __tablename__ = "idempotent_requests"  # pyright: ignore[reportAssignmentType]
    __table_args__ = (Index(None, "expires_at"), Index(None, "call_id"))
    seal: ClassVar[Seal] = Seal(("slot",))

    slot: str = Field(primary_key=True)
    request_hash: str
    claim: str
    """Which of several requests with this key carries it out."""
    claimed_at: datetime
    expires_at: datetime
    status: int | None = None
    headers: dict[str, Any] | None = Field(default=None, sa_type=SealedJson)
    body: str | None = Field(default=None, sa_type=SealedText)
    call_id: str | None = Field(default=None, sa_column_args=[ForeignKey("calls.call_id", ondelete="CASCADE")])
    """The call that the answer tells of: it is erased with it."""


class Why(Enum):
    """Why a request is not carried out, when there is no answer to give again."""

    UNDER_WAY = "under way"
    OTHER_REQUEST = "other request"


@dataclass(frozen=True, slots=True)
class Claim:
    """The request is this caller's to carry out: it calls `keep` or `release` afterwards."""

    slot: str
    claim: str


@dataclass(frozen=True, slots=True)
class KeptAnswer:
    """What the first request was answered."""

    status: int
    headers: dict[str, str]
    body: bytes


class RepeatStore:
    """Every method may raise `storage.errors.DatabaseAway`, and may then be repeated."""

    def __init__(self, db: Database) -> None:
        self._db = db

    async def claim(
        self, asked_by: str, route: str, key: str, request_hash: str, *, now: datetime
    ) -> Claim | KeptAnswer | Why:
        """Take a request to be carried out: of any number with one key at the same time, in any process, one may.

        Args:
            asked_by: whose key it is; another one's is another key.
            route: method and path.
            key: the Idempotency-Key.
            request_hash: of what is asked.
            now: aware.
        """
        slot = keyed_hash(self._db.ring, REQUESTS, "\n".join((asked_by, route, key)))
        request_hash = keyed_hash(self._db.ring, REQUESTS, request_hash)
        fields: dict[str, Any] = {
            "slot": slot,
            "request_hash": request_hash,
            "claim": token_hex(8),
            "claimed_at": now,
            "expires_at": now + KEPT,
        }
        is_dead = and_(col(RepeatableRow.status).is_(None), col(RepeatableRow.claimed_at) <= now - AT_MOST)
        is_over = or_(col(RepeatableRow.expires_at) <= now, is_dead)
        async with self._db.writer() as session:
            await session.exec(delete(RepeatableRow).where(col(RepeatableRow.slot) == slot, is_over))
            if await insert_or_ignore(session, RepeatableRow, [fields]):
                return Claim(slot, fields["claim"])
            row = (await session.exec(select(RepeatableRow).where(col(RepeatableRow.slot) == slot))).first()
        if row is None or (row.request_hash == request_hash and row.status is None):
            return Why.UNDER_WAY
        if row.request_hash != request_hash:
            return Why.OTHER_REQUEST
        return KeptAnswer(row.status or 200, dict(row.headers or {}), (row.body or "").encode())

    async def keep(self, claim: Claim, answer: KeptAnswer, call_id: str | None = None) -> None:
        """Keep the answer, to be given again. A claim that was taken over meanwhile changes nothing.

        `call_id`: the call that it tells of, if there is still one of this id.
        """
        change = update(RepeatableRow).where(*_is(claim))
        told = {"headers": answer.headers, "body": answer.body.decode("utf-8", "replace")}
        async with self._db.writer() as session:
            values = sealed_values(session, RepeatableRow, {"slot": claim.slot}, status=answer.status, **told)
            connection = await session.connection()
            values["call_id"] = (await connection.execute(_CALL, {"call_id": call_id})).scalar()
            await session.exec(change.values(**values))

    async def release(self, claim: Claim) -> None:
        """Let the next request with this key be carried out: this one was refused, and did nothing."""
        async with self._db.writer() as session:
            await session.exec(delete(RepeatableRow).where(*_is(claim)))

    async def purge(self, now: datetime) -> int:
        """Delete what has expired; returns how many rows that were."""
        async with self._db.writer() as session:
            found = await session.exec(delete(RepeatableRow).where(col(RepeatableRow.expires_at) <= now))
            return found.rowcount


def _is(claim: Claim) -> tuple[Any, Any]:
    return col(RepeatableRow.slot) == claim.slot, col(RepeatableRow.claim) == claim.claim
