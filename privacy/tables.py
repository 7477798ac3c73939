"""What is kept about forgetting: receipts, how long each agent's calls are kept, and which parts of a call are gone."""

from datetime import datetime
from typing import Any

from sqlmodel import JSON, Field, ForeignKey

from storage.rows import Row


class ReceiptRow(Row, table=True):
    """That everything on one number was erased; or that it is being erased, as long as it is not completed."""

    __tablename__ = "erasure_receipts"  # pyright: ignore[reportAssignmentType]

    receipt_id: str = Field(primary_key=True)
    begun_at: datetime
    completed_at: datetime | None = None
    person_hash: str = Field(index=True)
    """A keyed hash of the number, by which whoever has the key and the number finds the receipt."""
    counts: dict[str, Any] = Field(sa_type=JSON)
    """Kind of what was erased -> how many."""
    signed: str | None = None
    """The receipt as it was handed out, with its signature."""


class RetentionRow(Row, table=True):
    """How long an agent's calls are kept, as its file last said; it holds when the file is gone."""

    __tablename__ = "retentions"  # pyright: ignore[reportAssignmentType]

    agent_name: str = Field(primary_key=True)
    audio_days: int | None = None
    transcript_days: int | None = None
    numbers_days: int | None = None
    call_days: int | None = None


class ExpiredRow(Row, table=True):
    """Which parts of a call have gone because their time was over, and when."""

    __tablename__ = "expired_parts"  # pyright: ignore[reportAssignmentType]

    call_id: str = Field(primary_key=True, sa_column_args=[ForeignKey("calls.call_id", ondelete="CASCADE")])
    audio_at: datetime | None = None
    transcript_at: datetime | None = None
    numbers_at: datetime | None = None
