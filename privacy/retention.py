"""What is kept of calls and of the audit log for how long, and removed after that: in batches, as often as one likes.

What was in force stays in force: an agent's figures are kept by its name, and hold when its file is gone.
"""

from collections.abc import Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any

from sqlmodel import and_, col, delete, select, update
from sqlmodel.ext.asyncio.session import AsyncSession

from config.privacy import Retention
from privacy import people
from privacy.erasure import erase_with_recordings
from privacy.tables import ExpiredRow, RetentionRow
from storage.audit import AuditStore
from storage.engine import Database
from storage.rows import insert_or_ignore, sealed_values
from telemetry import metrics
from telemetry.redaction import Kind, redact_all
from transcripts.bucket import BucketAway
from transcripts.call import CallStatus, RecordingStatus
from transcripts.models import CallEventRow, CallRow, ConsentRow, RecordRow, TransferRow, TurnRow
from transcripts.recording_store import RecordingStore
from transcripts.wordless import without_words

_AT_ONCE = 50
# Any number will do as long as every version uses the same one: PostgreSQL knows the purge by it.
_LOCK_ID = 7_221_904_418
_MESSAGE = "message"
"""The kind of record that a caller's message is."""
_WITH_WORDS = ("analyses", "word_hashes", "webhook_deliveries")
"""Tables whose rows go with a transcript: what was made of it, and what was sent of it."""
_WITH_NUMBERS = ("webhook_deliveries",)


class Part(StrEnum):
    """What expires of a call."""

    CALL = "call"
    """The whole of it."""
    AUDIO = "audio"
    TRANSCRIPT = "transcript"
    NUMBERS = "numbers"


@dataclass(frozen=True, slots=True)
class Due:
    """What one agent's calls lose now: the part, and before which moment they must have ended."""

    agent_name: str
    part: Part
    before: datetime


def due_parts(retentions: Mapping[str, Retention], now: datetime) -> list[Due]:
    """Return what is to go, by agent. Whole calls come first: their parts then need no work."""
    found: list[Due] = []
    for agent_name, kept in sorted(retentions.items()):
        for part, days in (
            (Part.CALL, kept.call_days),
            (Part.AUDIO, kept.audio_days),
            (Part.TRANSCRIPT, kept.transcript_days),
            (Part.NUMBERS, kept.numbers_days),
        ):
            if days is not None:
                found.append(Due(agent_name, part, now - timedelta(days=days)))
    return found


class Purge:
    """Removes what has expired. Methods may raise `DatabaseAway`, `BucketAway`, OSError, and may then be repeated."""

    def __init__(self, db: Database, recordings: RecordingStore, audit_days: int | None = None) -> None:
        """Take where everything is, and how many days the audit log is kept; None: for ever."""
        self._db = db
        self._recordings = recordings
        self._audit = AuditStore(db)
        self._audit_days = audit_days

    def alone(self) -> AbstractAsyncContextManager[bool]:
        """Yield whether no other machine on this database is at it; none begins for the length of the block then."""
        return self._db.holding(_LOCK_ID)

    async def in_force(self, agents: Mapping[str, Retention], *, is_noted: bool = True) -> dict[str, Retention]:
        """Return what is in force by agent: what the files say now, and for agents that are gone what theirs said last.

        `is_noted`: what the files say is kept for the day when they are gone.
        """
        async with self._db.reader() as session:
            noted = {row.agent_name: _to_retention(row) for row in (await session.exec(select(RetentionRow))).all()}
        changed = {
            name: kept
            for name, kept in agents.items()
            if kept != noted.get(name) and (name in noted or not kept.is_empty)
        }
        if changed and is_noted:
            async with self._db.writer() as session:
                for name, kept in changed.items():
                    await _note(session, name, kept)
        return noted | dict(agents)

    async def count(self, retentions: Mapping[str, Retention], now: datetime) -> dict[str, int]:
        """Count the calls of which something would go, by part; changes nothing."""
        counts = dict.fromkeys(map(str, Part), 0)
        for due in due_parts(retentions, now):
            behind = ""
            while call_ids := await self._find(due, behind):
                counts[due.part] += len(call_ids)
                behind = call_ids[-1]
        return counts

    async def run(self, retentions: Mapping[str, Retention], now: datetime) -> dict[str, int]:
        """Remove everything that has expired by `now` (aware). Returns how many calls lost what.

        Recordings that cannot be removed hold up nothing else: `BucketAway` is raised in the end.
        """
        counts = dict.fromkeys(map(str, Part), 0)
        away: BucketAway | None = None
        for due in due_parts(retentions, now):
            try:
                await self._remove_all(due, counts, now)
            except BucketAway as error:
                away = error
        if any(counts.values()):
            await self._db.scrub()
        if away is not None:
            raise away
        return counts

    async def _remove_all(self, due: Due, counts: dict[str, int], now: datetime) -> None:
        while call_ids := await self._find(due):
            await self._remove(due.part, call_ids, now)
            counts[due.part] += len(call_ids)
            metrics.EXPIRED_TOTAL.labels(part=due.part.value).inc(len(call_ids))
            if len(call_ids) < _AT_ONCE:
                break

    async def count_audit(self, now: datetime) -> int:
        """Count the entries of the audit log that would go."""
        return 0 if self._audit_days is None else await self._audit.count_before(now - timedelta(days=self._audit_days))

    async def run_audit(self, now: datetime) -> int:
        """Remove the entries of the audit log that have expired by `now` (aware); returns how many there were."""
        if self._audit_days is None:
            return 0
        removed = await self._audit.remove_before(now - timedelta(days=self._audit_days))
        if removed:
            await self._db.scrub()
        return removed

    async def _find(self, due: Due, behind: str = "") -> list[str]:
        is_over = and_(
            col(CallRow.agent_name) == due.agent_name,
            col(CallRow.status) == CallStatus.ENDED.value,
            col(CallRow.ended_at) <= due.before,
            col(CallRow.call_id) > behind,
        )
        query = select(CallRow.call_id).where(is_over).order_by(col(CallRow.call_id)).limit(_AT_ONCE)
        if due.part is not Part.CALL:
            gone = {
                Part.AUDIO: col(ExpiredRow.audio_at),
                Part.TRANSCRIPT: col(ExpiredRow.transcript_at),
                Part.NUMBERS: col(ExpiredRow.numbers_at),
            }[due.part]
            query = query.outerjoin(ExpiredRow, col(ExpiredRow.call_id) == col(CallRow.call_id)).where(gone.is_(None))
        async with self._db.reader() as session:
            return list((await session.exec(query)).all())

    async def _remove(self, part: Part, call_ids: Sequence[str], now: datetime) -> None:
        if part is Part.CALL:
            await erase_with_recordings(self._db, self._recordings, call_ids)
            return
        if part is Part.AUDIO:
            for call_id in call_ids:
                await self._recordings.delete_recording(call_id)
        async with self._db.writer() as session:
            await insert_or_ignore(session, ExpiredRow, [{"call_id": call_id} for call_id in call_ids])
            if part is Part.AUDIO:
                await _forget_audio(session, call_ids)
            elif part is Part.TRANSCRIPT:
                await _forget_words(session, call_ids)
            else:
                await _forget_numbers(session, call_ids)
            mark = update(ExpiredRow).where(col(ExpiredRow.call_id).in_(call_ids))
            await session.exec(mark.values(**{f"{part.value}_at": now}))


async def _forget_audio(session: AsyncSession, call_ids: Sequence[str]) -> None:
    change = update(CallRow).where(col(CallRow.call_id).in_(call_ids))
    await session.exec(change.values(recording_status=RecordingStatus.NONE.value, recording_error=None))


async def _forget_words(session: AsyncSession, call_ids: Sequence[str]) -> None:
    """Remove what was said, what was made of it, and what the call was given to say."""
    await session.exec(delete(TurnRow).where(col(TurnRow.call_id).in_(call_ids)))
    await _delete_from(session, _WITH_WORDS, call_ids)
    messages = col(RecordRow.call_id).in_(call_ids), col(RecordRow.kind) == _MESSAGE
    await session.exec(delete(RecordRow).where(*messages))
    for event in (await session.exec(select(CallEventRow).where(col(CallEventRow.call_id).in_(call_ids)))).all():
        await _keep_of_event(session, event, without_words(event.data, event.kind))
    for call_id in call_ids:
        empty = sealed_values(session, CallRow, {"call_id": call_id}, variables={}, overrides=None)
        await session.exec(update(CallRow).where(col(CallRow.call_id) == call_id).values(**empty))


async def _forget_numbers(session: AsyncSession, call_ids: Sequence[str]) -> None:
    """Remove the numbers of both sides and of those who were rung, from the call and all that hangs on it."""
    await _delete_from(session, _WITH_NUMBERS, call_ids)
    gone: dict[str, Any] = {"from_number": None, "to_number": None, "from_index": None, "to_index": None}
    for call in (await session.exec(select(CallRow).where(col(CallRow.call_id).in_(call_ids)))).all():
        key = {"call_id": call.call_id}
        values = sealed_values(
            session,
            CallRow,
            key,
            variables=redact_all(call.variables, {Kind.PHONE}),
            transfer_attempts=_without_addresses(call.transfer_attempts),
            next_step=None,
        )
        await session.exec(update(CallRow).where(col(CallRow.call_id) == call.call_id).values(**gone, **values))
    for event in (await session.exec(select(CallEventRow).where(col(CallEventRow.call_id).in_(call_ids)))).all():
        await _keep_of_event(session, event, redact_all(event.data, {Kind.PHONE}))
    rung = (await session.exec(select(TransferRow).where(col(TransferRow.call_id).in_(call_ids)))).all()
    for transfer in rung:
        values = sealed_values(session, TransferRow, {"transfer_id": transfer.transfer_id}, address="")
        change = update(TransferRow).where(col(TransferRow.transfer_id) == transfer.transfer_id)
        await session.exec(change.values(**values))
    consents = update(ConsentRow).where(col(ConsentRow.call_id).in_(call_ids))
    await session.exec(consents.values(number=None, number_index=None))


async def _keep_of_event(session: AsyncSession, event: CallEventRow, left: dict[str, Any]) -> None:
    if left != event.data:
        values = sealed_values(session, CallEventRow, {"call_id": event.call_id, "seq": event.seq}, data=left)
        await session.exec(update(CallEventRow).where(col(CallEventRow.id) == event.id).values(**values))


async def _delete_from(session: AsyncSession, tables: Sequence[str], call_ids: Sequence[str]) -> None:
    for row_class, column, _ in people.of_calls():
        if people.table_name(row_class) in tables:
            await session.exec(delete(row_class).where(col(getattr(row_class, column)).in_(call_ids)))


def _without_addresses(attempts: list[dict[str, Any]] | None) -> list[dict[str, Any]] | None:
    if attempts is None:
        return None
    return [{name: value for name, value in attempt.items() if name != "address"} for attempt in attempts]


async def _note(session: AsyncSession, name: str, kept: Retention) -> None:
    figures = kept.model_dump()
    if not await insert_or_ignore(session, RetentionRow, [{"agent_name": name, **figures}]):
        await session.exec(update(RetentionRow).where(col(RetentionRow.agent_name) == name).values(**figures))


def _to_retention(row: RetentionRow) -> Retention:
    return Retention.model_construct(
        audio_days=row.audio_days,
        transcript_days=row.transcript_days,
        numbers_days=row.numbers_days,
        call_days=row.call_days,
    )
