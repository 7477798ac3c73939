"""Numbers that asked not to be called, as a table. One that is on it is dialled by nobody, until it is taken off."""

from datetime import datetime
from enum import StrEnum

from sqlmodel import CheckConstraint, Field, Index

from storage.rows import Row


class Source(StrEnum):
    """By what way a number came onto the list."""

    API = "api"
    OPERATOR = "operator"
    FILE = "file"
    AGENT = "agent"
    """The person said so in a call."""


class DoNotCallRow(Row, table=True):
    """One number. It is found by its keyed hash; of somebody who was erased there is nothing but the hash."""

    __tablename__ = "do_not_call"  # pyright: ignore[reportAssignmentType]
    __table_args__ = (
        CheckConstraint("source IN ('api', 'operator', 'file', 'agent')", name="source"),
        Index(None, "created_at", "number_index"),
    )

    number_index: str = Field(primary_key=True)
    number: str | None = None
    source: str
    noted_by: str
    """The API key's id, the call's id, or empty."""
    created_at: datetime
