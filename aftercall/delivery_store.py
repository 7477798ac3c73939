"""Messages for receivers in the database: written with what they tell, and moved on by whoever sends them."""

import base64
import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import uuid4

from sqlmodel import col, func, select, update
from sqlmodel.ext.asyncio.session import AsyncSession

from aftercall.models import AnalysisRow, DeliveryRow, DeliveryStatus, WebhookSecretRow
from aftercall.payloads import message_id, payload
from aftercall.receivers import Receiver
from config.webhooks import WebhookEvent
from storage.engine import Database
from storage.keyset import Position, is_behind
from storage.rows import insert_or_ignore
from transcripts.models import CallRow, TurnRow

_SECRET_BYTES = 32


@dataclass(frozen=True, slots=True)
class DeliveryFilter:
    """Which deliveries are asked for; what is None does not matter."""

    status: str | None = None
    event: str | None = None
    agent: str | None = None
    call_id: str | None = None
    endpoint_id: str | None = None
    agents: frozenset[str] | None = None
    """The only agents of whose calls anything may be shown; None: all."""


class DeliveryStore:
    """Every method may raise `storage.errors.DatabaseAway`, and may then be repeated."""

    def __init__(self, db: Database) -> None:
        self._db = db

    async def get(self, delivery_id: str) -> DeliveryRow | None:
        """Find a delivery."""
        async with self._db.reader() as session:
            return await session.get(DeliveryRow, delivery_id)

    async def list_page(self, wanted: DeliveryFilter, limit: int, after: Position | None = None) -> list[DeliveryRow]:
        """List deliveries, newest first, those behind `after`."""
        query = select(DeliveryRow)
        for column, value in (
            (DeliveryRow.status, wanted.status),
            (DeliveryRow.event, wanted.event),
            (DeliveryRow.agent_name, wanted.agent),
            (DeliveryRow.call_id, wanted.call_id),
            (DeliveryRow.endpoint_id, wanted.endpoint_id),
        ):
            if value is not None:
                query = query.where(col(column) == value)
        if wanted.agents is not None:
            query = query.where(col(DeliveryRow.agent_name).in_(wanted.agents))
        if after is not None:
            query = query.where(is_behind(after, col(DeliveryRow.created_at), col(DeliveryRow.delivery_id)))
        query = query.order_by(col(DeliveryRow.created_at).desc(), col(DeliveryRow.delivery_id).desc()).limit(limit)
        async with self._db.reader() as session:
            return list((await session.exec(query)).all())

    async def list_due(self, before: datetime, limit: int) -> list[tuple[str, int]]:
        """List (delivery, attempt) of those that should have been sent by then (aware)."""
        query = (
            select(DeliveryRow.delivery_id, DeliveryRow.attempt)
            .where(col(DeliveryRow.status) == DeliveryStatus.PENDING.value, col(DeliveryRow.next_at) < before)
            .order_by(col(DeliveryRow.next_at))
            .limit(limit)
        )
        async with self._db.reader() as session:
            return [(delivery_id, attempt) for delivery_id, attempt in (await session.exec(query)).all()]

    async def count(self, status: DeliveryStatus) -> int:
        """Count deliveries."""
        query = select(func.count()).select_from(DeliveryRow).where(col(DeliveryRow.status) == status.value)
        async with self._db.reader() as session:
            return (await session.exec(query)).one()

    async def note_delivered(self, delivery_id: str, attempt: int, status: int, now: datetime) -> bool:
        """The receiver has it. False when something else was written of this attempt before."""
        values = {"status": DeliveryStatus.DELIVERED.value, "ended_at": now, "next_at": None}
        return await self._move(delivery_id, attempt, values | {"last_status": status, "last_problem": None})

    async def note_failed(
        self, delivery_id: str, attempt: int, next_at: datetime | None, now: datetime, status: int | None, problem: str
    ) -> bool:
        """The receiver does not have it; `next_at` None: it is given up. False as with `note_delivered`."""
        values: dict[str, Any] = {"last_status": status, "last_problem": problem, "next_at": next_at}
        if next_at is None:
            values |= {"status": DeliveryStatus.DEAD.value, "ended_at": now}
        else:
            values["attempt"] = attempt + 1
        return await self._move(delivery_id, attempt, values)

    async def replay(self, delivery_id: str, now: datetime) -> DeliveryRow | None:
        """Have a delivery sent again, under the same message id, whatever became of it; one that waits, at once.

        Returns its row as it is then; None when there is none.
        """
        anew = {
            "status": DeliveryStatus.PENDING.value,
            "attempt": col(DeliveryRow.attempt) + 1,
            "first_attempt": col(DeliveryRow.attempt) + 1,
            "next_at": now,
            "ended_at": None,
        }
        async with self._db.writer() as session:
            await session.exec(update(DeliveryRow).where(col(DeliveryRow.delivery_id) == delivery_id).values(**anew))
            return await session.get(DeliveryRow, delivery_id)

    async def secret_of(self, endpoint_id: str, agent_name: str, now: datetime) -> str:
        """Return the secret that was made for a receiver; made now, when there is none. All processes get the same."""
        found = await self._find_secret(endpoint_id)
        if found is None:
            made = "whsec_" + base64.b64encode(secrets.token_bytes(_SECRET_BYTES)).decode()
            fields = {"endpoint_id": endpoint_id, "agent_name": agent_name, "secret": made, "created_at": now}
            async with self._db.writer() as session:
                await insert_or_ignore(session, WebhookSecretRow, [fields])
            found = await self._find_secret(endpoint_id)
        assert found is not None, "it was written a moment ago"
        return found

    async def _find_secret(self, endpoint_id: str) -> str | None:
        async with self._db.reader() as session:
            row = await session.get(WebhookSecretRow, endpoint_id)
            return None if row is None else row.secret

    async def _move(self, delivery_id: str, attempt: int, values: dict[str, Any]) -> bool:
        change = update(DeliveryRow).where(
            col(DeliveryRow.delivery_id) == delivery_id,
            col(DeliveryRow.attempt) == attempt,
            col(DeliveryRow.status) == DeliveryStatus.PENDING.value,
        )
        async with self._db.writer() as session:
            return (await session.exec(change.values(**values))).rowcount == 1


async def write_deliveries(
    session: AsyncSession,
    receivers: Sequence[Receiver],
    event: WebhookEvent,
    call: CallRow,
    now: datetime,
    *,
    analysis: AnalysisRow | None = None,
    micro_usd: int | None = None,
) -> list[str]:
    """Write a message for each receiver that wants to hear of this, in the transaction of what it tells.

    Written twice, it is there once. Returns the ids of all that were written now.
    """
    wanted = [receiver for receiver in receivers if event in receiver.events]
    turns: Sequence[TurnRow] = ()
    if any("transcript" in receiver.include for receiver in wanted):
        query = select(TurnRow).where(col(TurnRow.call_id) == call.call_id)
        turns = (await session.exec(query.order_by(col(TurnRow.start_ms), col(TurnRow.position)))).all()
    at = {WebhookEvent.CALL_STARTED: call.live_at, WebhookEvent.CALL_ENDED: call.ended_at}.get(event) or now
    run = 1 if analysis is None else analysis.run
    written: list[str] = []
    for receiver in wanted:
        body = payload(event, call, at, include=receiver.include, turns=turns, analysis=analysis, micro_usd=micro_usd)
        delivery_id = uuid4().hex
        fields = {
            "delivery_id": delivery_id,
            "message_id": message_id(call.call_id, event, run),
            "endpoint_id": receiver.endpoint_id,
            "call_id": call.call_id,
            "agent_name": call.agent_name,
            "event": event.value,
            "url": receiver.url,
            "secret_name": receiver.secret_name,
            "payload": body,
            "status": DeliveryStatus.PENDING.value,
            "attempt": 1,
            "first_attempt": 1,
            "created_at": now,
            "next_at": now,
        }
        if await insert_or_ignore(session, DeliveryRow, [fields]):
            written.append(delivery_id)
    return written
