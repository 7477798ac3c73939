"""Calls by what is known of them, a page at a time, newest first."""

from collections.abc import Collection
from dataclasses import dataclass, replace
from datetime import datetime

from sqlalchemy import ColumnElement
from sqlmodel import col, or_, select
from sqlmodel.ext.asyncio.session import AsyncSession

from storage.engine import Database
from storage.key_ring import number_index
from storage.keyset import Position, is_behind
from storage.sealing import ring_of
from transcripts.call import CallStatus, Direction, EndReason, RecordingStatus
from transcripts.models import CallRow, OutgoingRow
from transcripts.word_index import calls_with


@dataclass(frozen=True, slots=True)
class CallFilter:
    """Which calls are wanted; None: any. `since` counts and `until` does not any more, both aware.

    `agents` are all that may be seen at all. `number` is one of the two that were connected, E.164. Each of `words` was
    said in the call, whose agent has `search: true`.
    """

    agents: Collection[str] | None = None
    agent: str | None = None
    direction: Direction | None = None
    status: CallStatus | None = None
    end_reason: EndReason | None = None
    number: str | None = None
    answered_by: str | None = None
    has_recording: bool | None = None
    since: datetime | None = None
    until: datetime | None = None
    words: str | None = None

    def only(self, agents: Collection[str] | None) -> "CallFilter":
        """Return the same for somebody who may see these agents only; None: all."""
        return replace(self, agents=agents)


class CallList:
    """Every method may raise `storage.errors.DatabaseAway`, and may then be repeated."""

    def __init__(self, db: Database) -> None:
        self._db = db

    async def page(
        self, wanted: CallFilter, limit: int, behind: Position | None = None
    ) -> list[tuple[CallRow, OutgoingRow | None]]:
        """List calls, newest first, and of placed ones what else is known; `behind`: those after this one.

        Raises `NoWords` or `TooManyWords` for words that nothing can be found by.
        """
        at, call_id = col(CallRow.created_at), col(CallRow.call_id)
        placed = col(OutgoingRow.call_id) == call_id
        query = select(CallRow, OutgoingRow).join(OutgoingRow, placed, isouter=True)
        if behind is not None:
            query = query.where(is_behind(behind, at, call_id))
        async with self._db.reader() as session:
            query = query.where(*_conditions(session, wanted)).order_by(at.desc(), call_id.desc()).limit(limit)
            return [(row, order) for row, order in (await session.exec(query)).all()]


def _conditions(session: AsyncSession, wanted: CallFilter) -> list[ColumnElement[bool]]:
    found: list[ColumnElement[bool]] = []
    if wanted.agents is not None:
        found.append(col(CallRow.agent_name).in_(list(wanted.agents)))
    exact = (
        (CallRow.agent_name, wanted.agent),
        (CallRow.direction, wanted.direction),
        (CallRow.status, wanted.status),
        (CallRow.end_reason, wanted.end_reason),
        (CallRow.answered_by, wanted.answered_by),
    )
    found += [col(column) == str(value) for column, value in exact if value is not None]
    if wanted.number is not None:
        index = number_index(ring_of(session.info), wanted.number)
        found.append(or_(col(CallRow.from_index) == index, col(CallRow.to_index) == index))
    if wanted.words is not None:
        found.append(col(CallRow.call_id).in_(calls_with(session, wanted.words)))
    if wanted.has_recording is not None:
        is_there = col(CallRow.recording_status) == RecordingStatus.COMPLETE.value
        found.append(is_there if wanted.has_recording else ~is_there)
    if wanted.since is not None:
        found.append(col(CallRow.created_at) >= wanted.since)
    if wanted.until is not None:
        found.append(col(CallRow.created_at) < wanted.until)
    return found
