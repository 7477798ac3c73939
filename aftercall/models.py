"""The tables of what comes after a call. What was said, and addresses of receivers, stand in sealed columns only."""

from datetime import date, datetime
from enum import IntEnum, StrEnum
from typing import Any, ClassVar

from sqlmodel import JSON, BigInteger, CheckConstraint, Field, ForeignKey, Index, UniqueConstraint

from storage.rows import Row
from storage.sealing import Seal, SealedJson, SealedText


class Stage(IntEnum):
    """How far a call has come here, `calls.aftercall`. It only grows, in one transaction with what it stands for."""

    NEW = 0
    STARTED = 1
    """That it is live was told."""
    ENDED = 2
    """That it is over was told, its analysis is asked for, and what is known of its costs is summed up."""
    SETTLED = 3
    """What came late (Twilio's word on its length, usage that waited for the database) is in its costs too."""


class AnalysisStatus(StrEnum):
    """How an analysis stands."""

    PENDING = "pending"
    DONE = "done"
    FAILED = "failed"
    SKIPPED = "skipped"


class AnalysisProblem(StrEnum):
    """Why there is no analysis: one word for each kind."""

    NO_WORDS = "no_words"
    """Nothing was said, or nothing may be kept of it."""
    NO_CONSENT = "no_consent"
    NOT_CONFIGURED = "not_configured"
    """The agent, as it is now, has nothing to work out; or there is no such agent any more."""
    NO_MODEL = "no_model"
    """There is neither a key nor an endpoint."""
    BLOCKED = "blocked"
    """The model's provider refuses to read it, or to answer."""
    TRUNCATED = "truncated"
    EMPTY = "empty"
    MALFORMED = "malformed"
    """What came back is not what was asked for."""
    REFUSED = "refused"
    """Key, model or request are not accepted."""
    BUSY = "busy"
    """Its provider had no room, again and again."""
    UNAVAILABLE = "unavailable"
    """It could not be reached, answered with errors, or took too long, again and again."""
    INTERNAL = "internal"
    """A fault of ours."""


class DeliveryStatus(StrEnum):
    """How a delivery stands."""

    PENDING = "pending"
    DELIVERED = "delivered"
    DEAD = "dead"
    """It is not tried any more, unless somebody replays it."""


def _one_of(column: str, words: type[StrEnum]) -> CheckConstraint:
    allowed = ", ".join(f"'{word.value}'" for word in words)
    return CheckConstraint(f"{column} IN ({allowed})", name=column)


class AnalysisRow(Row, table=True):
    """What was worked out of a call. `result` is what the model found, checked; words of the talk are in it."""

    __tablename__ = "analyses"  # pyright: ignore[reportAssignmentType]
    seal: ClassVar[Seal] = Seal(("call_id",))
    __table_args__ = (
        _one_of("status", AnalysisStatus),
        _one_of("problem", AnalysisProblem),
        Index(None, "status", "next_at"),
    )

    call_id: str = Field(primary_key=True, sa_column_args=[ForeignKey("calls.call_id", ondelete="CASCADE")])
    run: int
    """How often it was asked for: 1 for the first time."""
    attempt: int
    """How often the model was asked in this run."""
    ticket: int
    """Counts the times that it was put into the queue; what is done for an earlier ticket changes nothing."""
    status: str
    problem: str | None = None
    model: str | None = None
    requested_at: datetime
    next_at: datetime | None = None
    """When the next attempt is due; None when there is none."""
    finished_at: datetime | None = None
    result: dict[str, Any] | None = Field(default=None, sa_type=SealedJson)


class UsageRow(Row, table=True):
    """What a request to a model used that belongs to no conversation: numbers only, written with what came of it."""

    __tablename__ = "model_usage"  # pyright: ignore[reportAssignmentType]
    __table_args__ = (Index(None, "call_id"),)

    usage_id: str = Field(primary_key=True)
    call_id: str | None = Field(default=None, sa_column_args=[ForeignKey("calls.call_id", ondelete="CASCADE")])
    agent_name: str
    source: str
    model: str
    at: datetime
    usage: dict[str, Any] = Field(sa_type=JSON)


class CostRow(Row, table=True):
    """One item of what a call cost. It outlives an erased call, as a sum of money that belongs to nobody."""

    __tablename__ = "costs"  # pyright: ignore[reportAssignmentType]
    __table_args__ = (
        UniqueConstraint("call_id", "item", "source", "model"),
        Index(None, "agent_name", "day"),
        Index(None, "day"),
    )

    id: int | None = Field(default=None, primary_key=True)
    call_id: str | None = Field(default=None, sa_column_args=[ForeignKey("calls.call_id", ondelete="SET NULL")])
    agent_name: str
    day: date
    """The day (UTC) on which the call began."""
    item: str
    """What was used: a kind of tokens, minutes of a call, messages and so on."""
    source: str
    """By what: conversation, consent, cascade, sentences, analysis, call, transfer."""
    model: str
    """Which model used tokens; empty for anything else."""
    quantity: int = Field(sa_type=BigInteger)
    unit: str
    """One of what: token, minute, message, call."""
    price_usd: str | None = None
    """The price of so many as `price_per` says, as it stood in the table; None when the table has none."""
    price_per: str | None = None
    price_date: date | None = None
    micro_usd: int = Field(sa_type=BigInteger)
    """Quantity times price, in millionths of a US dollar, rounded once, half up."""


class WebhookSecretRow(Row, table=True):
    """The secret that was made for a receiver that was given none."""

    __tablename__ = "webhook_secrets"  # pyright: ignore[reportAssignmentType]
    seal: ClassVar[Seal] = Seal(("endpoint_id",))

    endpoint_id: str = Field(primary_key=True)
    agent_name: str
    """Empty for the receiver of the whole server."""
    secret: str = Field(sa_type=SealedText)
    created_at: datetime


class DeliveryRow(Row, table=True):
    """One message for one receiver. The same event has the same `message_id` for all, and in every attempt."""

    __tablename__ = "webhook_deliveries"  # pyright: ignore[reportAssignmentType]
    seal: ClassVar[Seal] = Seal(("delivery_id",))
    __table_args__ = (
        UniqueConstraint("message_id", "endpoint_id"),
        _one_of("status", DeliveryStatus),
        Index(None, "call_id"),
        Index(None, "created_at"),
        Index(None, "status", "next_at"),
    )

    delivery_id: str = Field(primary_key=True)
    message_id: str
    """`webhook-id`."""
    endpoint_id: str
    call_id: str = Field(sa_column_args=[ForeignKey("calls.call_id", ondelete="CASCADE")])
    agent_name: str
    event: str
    url: str = Field(sa_type=SealedText)
    secret_name: str | None = None
    """The operator's secret by name; None: the one that was made."""
    payload: str = Field(sa_type=SealedText)
    """The body, byte for byte."""
    status: str
    attempt: int
    """How often it was sent, the one under way or waited for included; goes on counting in a replay."""
    first_attempt: int
    """The number of the first attempt since it was created or last replayed: the pauses are counted from there."""
    created_at: datetime
    next_at: datetime | None = None
    ended_at: datetime | None = None
    last_status: int | None = None
    """The HTTP status of the last answer."""
    last_problem: str | None = None
    """Why the last attempt failed, in words of ours."""


class RequestWindowRow(Row, table=True):
    """How many text requests were begun in a minute, by all processes together."""

    __tablename__ = "text_request_windows"  # pyright: ignore[reportAssignmentType]

    minute: int = Field(primary_key=True, sa_column_kwargs={"autoincrement": False})
    """Unix time in whole minutes."""
    count: int
