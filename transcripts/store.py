"""Calls, turns and events in the database."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from sqlmodel import and_, col, func, not_, or_, select, update
from sqlmodel.ext.asyncio.session import AsyncSession

from storage.engine import Database
from storage.key_ring import KeyRing
from storage.rows import insert_new, insert_or_ignore, sealed_values
from telemetry.request_note import note_call
from transcripts.call import NEXT, Call, CallEvent, CallStatus, EndReason, RecordingStatus, Turn
from transcripts.consents import add_consent, forget_words, leave_less
from transcripts.do_not_call import keep_promise
from transcripts.entries import (
    ConsentEntry,
    DoNotCallEntry,
    Entry,
    EventEntry,
    FinishEntry,
    ForgetWordsEntry,
    HandOverEntry,
    LessEntry,
    NextStepEntry,
    RecordingEntry,
    TransferAttemptsEntry,
    TurnEntry,
)
from transcripts.models import CallEventRow, CallRow, TurnRow
from transcripts.word_index import add_words, index_what_is_left

_OtherEntry = (
    RecordingEntry
    | NextStepEntry
    | TransferAttemptsEntry
    | FinishEntry
    | HandOverEntry
    | ConsentEntry
    | ForgetWordsEntry
    | LessEntry
    | DoNotCallEntry
)


class CallIdTaken(Exception):
    """Another call already has this call_id."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where a call's log goes on: the next free `seq` of its events and `position` of its turns."""

    seq: int = 0
    position: int = 0


_AT_ONCE = 500
"""So many calls are asked for in one statement."""


class CallStore:
    """Every method may raise `storage.errors.DatabaseAway`, and may then be repeated."""

    def __init__(self, db: Database) -> None:
        self._db = db

    @property
    def ring(self) -> KeyRing:
        """The keys that its rows are sealed with."""
        return self._db.ring

    async def open_call(self, call: Call, *, status: CallStatus = CallStatus.RINGING) -> CallRow:
        """Write the call down and return its row.

        A `call_sid` seen before (Twilio repeats a webhook that it got no answer to) returns the row of the first time,
        with the first time's `call_id`, and changes nothing; so does a repeated `call_id`.

        Raises:
            CallIdTaken: the `call_id` belongs to a call with another `call_sid`.
        """
        fields = {
            "call_id": call.call_id,
            "call_sid": call.call_sid,
            "agent_name": call.agent_name,
            "agent_version": call.agent_version,
            "direction": call.direction.value,
            "status": status.value,
            "from_number": call.from_number,
            "to_number": call.to_number,
            "variables": dict(call.variables),
            "created_at": call.started_at,
            "recording_status": RecordingStatus.NONE.value,
        }
        same_call = (
            col(CallRow.call_id) == call.call_id if call.call_sid is None else col(CallRow.call_sid) == call.call_sid
        )
        async with self._db.writer() as session:
            await insert_or_ignore(session, CallRow, [fields])
            row = (await session.exec(select(CallRow).where(same_call))).first()
        if row is None:
            raise CallIdTaken(f"The call id {call.call_id} belongs to another call.")
        note_call(row.call_id)
        return row

    async def go_live(self, call_id: str, *, owner: str | None = None) -> bool:
        """Move the call from ringing to live. Of any number of callers exactly one is told True."""
        values = {"status": CallStatus.LIVE.value, "live_at": datetime.now(UTC), "owner": owner}
        async with self._db.writer() as session:
            return await _move(session, call_id, CallStatus.LIVE, values)

    async def set_next_step(self, call_id: str, step: dict[str, Any]) -> bool:
        """Keep what Twilio shall do once the media stream has closed. Returns False for an unknown call."""
        async with self._db.writer() as session:
            return await _set_next_step(session, NextStepEntry(call_id, step))

    async def finish_call(
        self,
        call_id: str,
        reason: EndReason,
        *,
        ended_at: datetime | None = None,
        recording_status: RecordingStatus | None = None,
        recording_error: str | None = None,
    ) -> bool:
        """End the call. Returns True the first time; later reasons are not kept, a later recording status is.

        Args:
            call_id: which call.
            reason: why it ended.
            ended_at: aware; now, when left out.
            recording_status: what became of the recording, when that is known.
            recording_error: one sentence, when it failed.
        """
        entry = FinishEntry(call_id, reason, ended_at or datetime.now(UTC))
        async with self._db.writer() as session:
            if recording_status is not None:
                await _set_recording(session, RecordingEntry(call_id, recording_status, recording_error))
            return await _finish(session, entry)

    async def note_answered_by(self, call_id: str, answered_by: str) -> None:
        """Keep who took the call. The first word stands, but for a machine's greeting that is over later."""
        is_news = col(CallRow.answered_by).is_(None)
        if answered_by.startswith("machine_end_"):
            is_news = or_(is_news, col(CallRow.answered_by) == "machine_start")
        async with self._db.writer() as session:
            change = update(CallRow).where(col(CallRow.call_id) == call_id, is_news)
            await session.exec(change.values(answered_by=answered_by))

    async def get_call(self, call_id: str) -> CallRow | None:
        """Find a call by our id."""
        async with self._db.reader() as session:
            row = await session.get(CallRow, call_id)
        if row is not None:
            note_call(row.call_id)
        return row

    async def find_statuses(self, call_ids: Sequence[str]) -> dict[str, str]:
        """Return the status of each of these calls that may have a recording.

        Not of those that are over and, as their rows say, have none, or none any more.
        """
        found: dict[str, str] = {}
        for first in range(0, len(call_ids), _AT_ONCE):
            some = call_ids[first : first + _AT_ONCE]
            has_none = and_(
                col(CallRow.status) == CallStatus.ENDED.value,
                col(CallRow.recording_status) == RecordingStatus.NONE.value,
            )
            query = select(CallRow.call_id, CallRow.status).where(col(CallRow.call_id).in_(some), not_(has_none))
            async with self._db.reader() as session:
                found |= {call_id: status for call_id, status in await session.exec(query)}
        return found

    async def find_call(self, call_sid: str) -> CallRow | None:
        """Find a call by Twilio's id."""
        async with self._db.reader() as session:
            row = (await session.exec(select(CallRow).where(col(CallRow.call_sid) == call_sid))).first()
        if row is not None:
            note_call(row.call_id)
        return row

    async def list_calls(self, limit: int, agent: str | None = None) -> list[CallRow]:
        """List the latest calls, newest first."""
        query = select(CallRow).order_by(col(CallRow.created_at).desc(), col(CallRow.call_id)).limit(limit)
        if agent is not None:
            query = query.where(col(CallRow.agent_name) == agent)
        async with self._db.reader() as session:
            return list((await session.exec(query)).all())

    async def list_turns(self, call_id: str) -> list[TurnRow]:
        """List a call's turns in the order they were spoken."""
        query = select(TurnRow).where(col(TurnRow.call_id) == call_id)
        async with self._db.reader() as session:
            return list((await session.exec(query.order_by(col(TurnRow.start_ms), col(TurnRow.position)))).all())

    async def list_events(self, call_id: str) -> list[CallEventRow]:
        """List a call's events in call time; events of one millisecond in the order they were told."""
        query = select(CallEventRow).where(col(CallEventRow.call_id) == call_id)
        async with self._db.reader() as session:
            return list((await session.exec(query.order_by(col(CallEventRow.at_ms), col(CallEventRow.seq)))).all())

    async def add_turn(self, call_id: str, position: int, turn: Turn) -> None:
        """Write one turn. A position that is taken keeps its first turn: safe to repeat."""
        await self.add_entries([TurnEntry(call_id, position, turn)])

    async def add_events(self, call_id: str, first_seq: int, events: Sequence[CallEvent]) -> None:
        """Write events with consecutive `seq`. A `seq` that is taken keeps its first event: safe to repeat."""
        await self.add_entries([EventEntry(call_id, first_seq + i, event) for i, event in enumerate(events)])

    async def add_entries(self, entries: Sequence[Entry]) -> None:
        """Write any entries of any calls in one transaction: all or none. Safe to repeat."""
        turns: list[dict[str, Any]] = []
        events: list[dict[str, Any]] = []
        searched: list[tuple[str, str]] = []
        ends: list[_OtherEntry] = []
        for entry in entries:
            match entry:
                case TurnEntry():
                    turns.append(_turn_fields(entry))
                    if entry.is_searched:
                        searched.append((entry.call_id, entry.turn.text))
                case EventEntry():
                    events.append(_event_fields(entry))
                case _:
                    ends.append(entry)
        async with self._db.writer() as session:
            await insert_new(session, TurnRow, turns)
            if searched:
                await add_words(session, searched)
            await insert_new(session, CallEventRow, events)
            for entry in ends:
                match entry:
                    case FinishEntry():
                        await _finish_as_owner(session, entry)
                    case NextStepEntry():
                        await _set_next_step(session, entry)
                    case TransferAttemptsEntry():
                        await _set_transfer_attempts(session, entry)
                    case RecordingEntry():
                        await _set_recording(session, entry)
                    case HandOverEntry():
                        await _hand_over(session, entry.call_id)
                    case ConsentEntry():
                        await add_consent(session, entry)
                    case LessEntry():
                        await leave_less(session, entry)
                        if entry.is_searched:
                            await index_what_is_left(session, entry.call_id)
                    case DoNotCallEntry():
                        await keep_promise(session, self.ring, entry)
                    case ForgetWordsEntry():
                        await forget_words(session, entry)
                        await index_what_is_left(session, entry.call_id)

    async def append_event(self, call_id: str, event: CallEvent) -> None:
        """Add an event to a call whose log no process holds (any more); any number of processes may do so at once."""
        last = select(func.max(CallEventRow.seq)).where(col(CallEventRow.call_id) == call_id)
        while True:
            async with self._db.writer() as session:
                seq = (await session.exec(last)).first()
                entry = EventEntry(call_id, 0 if seq is None else seq + 1, event)
                if await insert_or_ignore(session, CallEventRow, [_event_fields(entry)]):
                    return

    async def find_places(self, call_ids: Sequence[str]) -> dict[str, Place]:
        """Tell where each call's log goes on."""
        seqs = select(CallEventRow.call_id, func.max(CallEventRow.seq)).where(col(CallEventRow.call_id).in_(call_ids))
        positions = select(TurnRow.call_id, func.max(TurnRow.position)).where(col(TurnRow.call_id).in_(call_ids))
        async with self._db.reader() as session:
            last_seq = dict((await session.exec(seqs.group_by(col(CallEventRow.call_id)))).all())
            last_position = dict((await session.exec(positions.group_by(col(TurnRow.call_id)))).all())
        return {
            call_id: Place(seq=last_seq.get(call_id, -1) + 1, position=last_position.get(call_id, -1) + 1)
            for call_id in call_ids
        }


async def _move(session: AsyncSession, call_id: str, status: CallStatus, values: dict[str, Any]) -> bool:
    may_come_from = [before.value for before, after in NEXT.items() if status in after]
    change = update(CallRow).where(col(CallRow.call_id) == call_id, col(CallRow.status).in_(may_come_from))
    return (await session.exec(change.values(**values))).rowcount == 1


async def _finish(session: AsyncSession, entry: FinishEntry) -> bool:
    values = {"status": CallStatus.ENDED.value, "end_reason": entry.reason.value, "ended_at": entry.ended_at}
    return await _move(session, entry.call_id, CallStatus.ENDED, values)


async def _finish_as_owner(session: AsyncSession, entry: FinishEntry) -> None:
    if not await _finish(session, entry) and entry.reason is not EndReason.SERVER_CRASHED:
        # Another process took this one for dead; the owner itself knows better how its call ended.
        crashed = col(CallRow.end_reason) == EndReason.SERVER_CRASHED.value
        change = update(CallRow).where(col(CallRow.call_id) == entry.call_id, crashed)
        await session.exec(change.values(end_reason=entry.reason.value, ended_at=entry.ended_at))


async def _hand_over(session: AsyncSession, call_id: str) -> None:
    is_live = col(CallRow.status) == CallStatus.LIVE.value
    await session.exec(update(CallRow).where(col(CallRow.call_id) == call_id, is_live).values(owner=None))


async def _set_transfer_attempts(session: AsyncSession, entry: TransferAttemptsEntry) -> None:
    sealed = sealed_values(session, CallRow, {"call_id": entry.call_id}, transfer_attempts=entry.attempts)
    await session.exec(update(CallRow).where(col(CallRow.call_id) == entry.call_id).values(**sealed))


async def _set_next_step(session: AsyncSession, entry: NextStepEntry) -> bool:
    sealed = sealed_values(session, CallRow, {"call_id": entry.call_id}, next_step=entry.step)
    change = update(CallRow).where(col(CallRow.call_id) == entry.call_id)
    return (await session.exec(change.values(**sealed))).rowcount == 1


async def _set_recording(session: AsyncSession, entry: RecordingEntry) -> None:
    is_open = col(CallRow.recording_status).in_([RecordingStatus.NONE.value, RecordingStatus.RECORDING.value])
    change = update(CallRow).where(col(CallRow.call_id) == entry.call_id, is_open)
    error = None if entry.error is None else _storable(entry.error)
    sealed = sealed_values(session, CallRow, {"call_id": entry.call_id}, recording_error=error)
    await session.exec(change.values(recording_status=entry.status.value, **sealed))


def _turn_fields(entry: TurnEntry) -> dict[str, Any]:
    turn = entry.turn
    return {
        "call_id": entry.call_id,
        "position": entry.position,
        "speaker": turn.speaker.value,
        "text": _storable(turn.text),
        "start_ms": int(turn.start_ms),
        "end_ms": int(turn.end_ms),
        "interrupted": turn.interrupted,
        "error": None if turn.error is None else _storable(turn.error),
    }


def _event_fields(entry: EventEntry) -> dict[str, Any]:
    event = entry.event
    return {
        "call_id": entry.call_id,
        "seq": entry.seq,
        "at_ms": int(event.at_ms),
        "kind": event.kind,
        "data": event.data,
    }


def _storable(text: str) -> str:
    """Replace NUL, and half surrogates, which no UTF-8 can hold and no answer could be written with."""
    return text.replace("\x00", "\ufffd").encode("utf-8", "replace").decode("utf-8")
