"""Pages by position instead of by number: what is inserted meanwhile moves nothing to another page."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement
from sqlmodel import and_, or_


@dataclass(frozen=True, slots=True)
class Position:
    """A row's place in a list that is ordered by a moment (aware) and, of one moment, by an id."""

    at: datetime
    row_id: str


def is_behind(position: Position, at: Any, row_id: Any) -> ColumnElement[bool]:
    """Return the condition for rows that come later in a list ordered `at.desc(), row_id.desc()`.

    `at` and `row_id` are the list's columns.
    """
    return or_(at < position.at, and_(at == position.at, row_id < position.row_id))
