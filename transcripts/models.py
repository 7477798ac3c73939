"""The tables. What people said, their numbers and names have sealed columns, found by keyed hashes where at all.

Words of a fixed set are text with a CHECK: a database's own enum types are painful to extend."""

from datetime import datetime
from enum import StrEnum
from typing import Any, ClassVar

from sqlmodel import CheckConstraint, Field, ForeignKey, Index, UniqueConstraint, text

from storage.key_ring import NUMBERS
from storage.known_keys import RECORDS
from storage.rows import Row
from storage.sealing import Seal, SealedJson, SealedText
from transcripts.call import (
    AttemptOutcome,
    Call,
    CallStatus,
    ConsentAnswer,
    ConsentGivenBy,
    Direction,
    EndReason,
    RecordingStatus,
    Speaker,
)
from transcripts.transfer import TransferStatus

UNSETTLED = "aftercall < 3"
"""Calls of which something is still to be made once they are live or over: few, so that they are found at once."""


def _one_of(column: str, words: type[StrEnum]) -> CheckConstraint:
    allowed = ", ".join(f"'{word.value}'" for word in words)
    return CheckConstraint(f"{column} IN ({allowed})", name=column)


class CallRow(Row, table=True):
    """One call. `direction`, `status`, `end_reason` and `recording_status` hold the words of `transcripts.call`."""

    __tablename__ = "calls"  # pyright: ignore[reportAssignmentType]
    __table_args__ = (
        UniqueConstraint("call_sid"),
        _one_of("direction", Direction),
        _one_of("status", CallStatus),
        _one_of("end_reason", EndReason),
        _one_of("recording_status", RecordingStatus),
        CheckConstraint("(status = 'ended') = (end_reason IS NOT NULL)", name="ended_has_reason"),
        Index(None, "created_at"),
        Index(None, "agent_name", "created_at"),
        Index(None, "status"),
        Index("ix_calls_unsettled", "aftercall", postgresql_where=text(UNSETTLED), sqlite_where=text(UNSETTLED)),
        Index(None, "from_index"),
        Index(None, "to_index"),
    )
    seal: ClassVar[Seal] = Seal(
        ("call_id",), {"from_number": ("from_index", NUMBERS), "to_number": ("to_index", NUMBERS)}
    )

    call_id: str = Field(primary_key=True)
    call_sid: str | None = None
    agent_name: str
    direction: str
    status: str
    end_reason: str | None = None
    from_number: str | None = Field(default=None, sa_type=SealedText)
    to_number: str | None = Field(default=None, sa_type=SealedText)
    from_index: str | None = None
    """The keyed hash of `from_number`, as `to_index` of `to_number`: see `storage.key_ring.number_index`."""
    to_index: str | None = None
    variables: dict[str, Any] = Field(sa_type=SealedJson)
    created_at: datetime
    live_at: datetime | None = None
    ended_at: datetime | None = None
    recording_status: str = RecordingStatus.NONE.value
    recording_error: str | None = Field(default=None, sa_type=SealedText)
    next_step: dict[str, Any] | None = Field(default=None, sa_type=SealedJson)
    owner: str | None = None
    """Which server process took the call, by its name in `processes`; of one that is yet to be placed: which will."""
    overrides: dict[str, Any] | None = Field(default=None, sa_type=SealedJson)
    """What the call changes of its agent."""
    transfer_attempts: list[dict[str, Any]] | None = Field(default=None, sa_type=SealedJson)
    """Who was rung for the caller, in order: destination, address, outcome, and how long they talked, if they did."""
    answered_by: str | None = None
    """Who took a call that we placed, in Twilio's word, where Twilio was asked to find out."""
    agent_version: int | None = None
    """Which version of the agent the call began with; None: the agent is a file's."""
    aftercall: int = Field(default=0, sa_column_kwargs={"server_default": "0"})
    """What was made of the call by what comes after it: see `aftercall.models.Stage`."""


def call_of(row: CallRow) -> Call:
    """Return the call that a row is about."""
    return Call(
        call_id=row.call_id,
        call_sid=row.call_sid,
        agent_name=row.agent_name,
        agent_version=row.agent_version,
        direction=Direction(row.direction),
        from_number=row.from_number,
        to_number=row.to_number,
        variables=dict(row.variables),
        started_at=row.created_at,
        overrides=dict(row.overrides or {}),
        answered_by=row.answered_by,
    )


class OutgoingRow(Row, table=True):
    """What is known of a placed call beside its row in `calls`, where its number, agent and variables are."""

    __tablename__ = "outgoing_calls"  # pyright: ignore[reportAssignmentType]
    __table_args__ = (
        UniqueConstraint("requested_by", "idempotency_key"),
        Index(None, "dialled_at"),
    )
    seal: ClassVar[Seal] = Seal(("call_id",))

    call_id: str = Field(primary_key=True, sa_column_args=[ForeignKey("calls.call_id", ondelete="CASCADE")])
    requested_by: str = ""
    """The API key's id; empty in the open mode."""
    idempotency_key: str | None = None
    """A keyed hash of it, as `request_hash` is one of the request: whoever calls us names them as he likes."""
    request_hash: str
    ring_secs: int
    due_at: datetime | None = None
    """When it is to be placed; None: at once."""
    dialled_at: datetime | None = None
    """When Twilio was first asked to place it."""
    answered_secs: int | None = None
    """How long the call lasted from its answer on, by Twilio; None until Twilio has said so."""
    problem: str | None = Field(default=None, sa_type=SealedText)
    """One sentence, when it was not placed."""
    problem_code: int | None = None
    """Twilio's error code behind it."""


class AttemptRow(Row, table=True):
    """One request to Twilio to place a call, written down before it is sent. No `outcome`: nobody knows yet."""

    __tablename__ = "dial_attempts"  # pyright: ignore[reportAssignmentType]
    __table_args__ = (UniqueConstraint("call_id", "number"), _one_of("outcome", AttemptOutcome))

    id: int | None = Field(default=None, primary_key=True)
    call_id: str = Field(sa_column_args=[ForeignKey("calls.call_id", ondelete="CASCADE")])
    number: int
    started_at: datetime
    outcome: str | None = None
    error_code: int | None = None


class TurnRow(Row, table=True):
    """One turn. `position` counts turns as they ended; they are read in the order they were spoken, by `start_ms`."""

    __tablename__ = "turns"  # pyright: ignore[reportAssignmentType]
    __table_args__ = (UniqueConstraint("call_id", "position"), _one_of("speaker", Speaker))
    seal: ClassVar[Seal] = Seal(("call_id", "position"))

    id: int | None = Field(default=None, primary_key=True)
    call_id: str = Field(sa_column_args=[ForeignKey("calls.call_id", ondelete="CASCADE")])
    position: int
    speaker: str
    text: str = Field(sa_type=SealedText)
    start_ms: int
    end_ms: int
    interrupted: bool
    error: str | None = Field(default=None, sa_type=SealedText)


class CallEventRow(Row, table=True):
    """One event. `seq` counts events as they were told; they are read in call time, by `at_ms`."""

    __tablename__ = "call_events"  # pyright: ignore[reportAssignmentType]
    __table_args__ = (UniqueConstraint("call_id", "seq"),)
    seal: ClassVar[Seal] = Seal(("call_id", "seq"))

    id: int | None = Field(default=None, primary_key=True)
    call_id: str = Field(sa_column_args=[ForeignKey("calls.call_id", ondelete="CASCADE")])
    seq: int
    at_ms: int
    kind: str
    data: dict[str, Any] = Field(sa_type=SealedJson)


class ProcessRow(Row, table=True):
    """One server process. `heartbeat_at` is its own clock's, so it may be compared with itself only."""

    __tablename__ = "processes"  # pyright: ignore[reportAssignmentType]

    name: str = Field(primary_key=True)
    host: str
    started_at: datetime
    heartbeat_at: datetime
    ended_at: datetime | None = None
    """When it ended in order; None while it lives, and for one that died."""
    sealing_key: str | None = None
    """The id of the key that it seals new values with."""


class TransferRow(Row, table=True):
    """A person who is, or was, rung for a caller: one attempt of a warm transfer. `status`: see `transcripts.transfer`.

    `transfer_id` is unguessable: it is the name of the room at Twilio, and stands in the addresses that Twilio asks.
    """

    __tablename__ = "transfers"  # pyright: ignore[reportAssignmentType]
    __table_args__ = (_one_of("status", TransferStatus), Index(None, "call_id"))
    seal: ClassVar[Seal] = Seal(("transfer_id",))

    transfer_id: str = Field(primary_key=True)
    call_id: str = Field(sa_column_args=[ForeignKey("calls.call_id", ondelete="CASCADE")])
    call_sid: str
    agent_name: str
    destination: str
    address: str = Field(sa_type=SealedText)
    """Whom: a number or a SIP address."""
    language: str
    status: str
    leg_sid: str | None = None
    """Twilio's id of the person's call."""
    created_at: datetime
    caller_joined_at: datetime | None = None
    person_joined_at: datetime | None = None
    ended_at: datetime | None = None


class RecordRow(Row, table=True):
    """A bot's own row. Unique by namespace, kind and key, so that of two callers booking one slot one succeeds.

    The key is unique by its keyed hash: bots put names and numbers into keys.
    """

    __tablename__ = "records"  # pyright: ignore[reportAssignmentType]
    __table_args__ = (UniqueConstraint("namespace", "kind", "key_index"),)
    seal: ClassVar[Seal] = Seal(("namespace", "kind", "key_index"), {"key": ("key_index", RECORDS)})

    id: int | None = Field(default=None, primary_key=True)
    namespace: str
    kind: str
    key: str = Field(sa_type=SealedText)
    key_index: str
    data: dict[str, Any] = Field(sa_type=SealedJson)
    call_id: str | None = Field(
        default=None, index=True, sa_column_args=[ForeignKey("calls.call_id", ondelete="SET NULL")]
    )
    created_at: datetime


class ConsentRow(Row, table=True):
    """What was asked or told of a recording, and what the answer was. It is erased with its call."""

    __tablename__ = "consents"  # pyright: ignore[reportAssignmentType]
    __table_args__ = (
        UniqueConstraint("call_id", "answer", "at"),
        _one_of("answer", ConsentAnswer),
        _one_of("given_by", ConsentGivenBy),
        Index(None, "number_index"),
    )
    seal: ClassVar[Seal] = Seal(("call_id", "answer", "at"), {"number": ("number_index", NUMBERS)})

    id: int | None = Field(default=None, primary_key=True)
    call_id: str = Field(sa_column_args=[ForeignKey("calls.call_id", ondelete="CASCADE")])
    agent_name: str
    number: str | None = Field(default=None, sa_type=SealedText)
    number_index: str | None = None
    wording: str = Field(sa_type=SealedText)
    language: str
    answer: str
    given_by: str | None = None
    at: datetime
