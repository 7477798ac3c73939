"""What requests and answers of `/v1` are made of: models that take nothing they do not know, and bounded values."""

import re
from datetime import UTC, date, datetime
from typing import Annotated

from fastapi import Path, Query
from pydantic import (
    AfterValidator,
    AwareDatetime,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    StringConstraints,
    WithJsonSchema,
)

from config.telephone_number import read_e164
from config.wording import problem

MOST_INT = 2**63 - 1
"""The largest number that both databases keep; JSON readers of other languages stop there too."""


class Given(BaseModel):
    """What a request brings: no field is unknown, and no value is taken for one of another type."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)


class Shown(BaseModel):
    """What an answer holds: exactly these fields, each of them always."""

    model_config = ConfigDict(
        frozen=True, extra="forbid", allow_inf_nan=False, json_schema_serialization_defaults_required=True
    )


CallId = Annotated[
    str, Path(pattern=r"^[A-Za-z0-9_-]{1,64}$", description="The call's `call_id`.", examples=["3f0b6c9a51d24e7e"])
]
"""A call's id in a path."""

Limit = Annotated[int, Query(ge=1, le=200, description="How many there are on a page at most.")]
"""How long a page of a list is; give it a default of 50."""

Cursor = Annotated[
    str | None,
    Query(
        min_length=1,
        max_length=400,
        pattern=r"^[A-Za-z0-9_-]+$",
        description="`next_cursor` of the page before, with the same filters; left out: the first page.",
    ),
]
"""Where a page of a list begins."""


def _written_out(value: object) -> object:
    """Take a moment as text only: Pydantic would read plain numbers as Unix time."""
    if not isinstance(value, datetime) and not (isinstance(value, str) and _MOMENT.match(value)):
        raise problem("must be a moment with its zone", "write it like 2026-03-01T09:00:00Z")
    return value


def _of_our_time(moment: datetime) -> datetime:
    if not _FIRST <= moment <= _LAST:
        raise problem(f"must be between {_FIRST.year} and {_LAST.year}", "correct the year")
    return moment


_MOMENT = re.compile(r"\d{4}-\d{2}-\d{2}[Tt ]\d{2}:\d{2}")
_FIRST, _LAST = datetime(1970, 1, 1, tzinfo=UTC), datetime(2199, 12, 31, tzinfo=UTC)

When = Annotated[AwareDatetime, Field(strict=False), BeforeValidator(_written_out), AfterValidator(_of_our_time)]
"""A moment in a request: ISO 8601 with its zone. Beyond these years moving one to UTC fails, or the database does."""


def _as_a_day(value: object) -> object:
    if not isinstance(value, date) and not (isinstance(value, str) and _DAY.fullmatch(value)):
        raise problem("must be a day", "write it like 2026-03-01")
    return value


def _day_of_our_time(day: date) -> date:
    if not _FIRST.date() <= day <= _LAST.date():
        raise problem(f"must be between {_FIRST.year} and {_LAST.year}", "correct the year")
    return day


_DAY = re.compile(r"\d{4}-\d{2}-\d{2}")

Day = Annotated[date, Field(strict=False), BeforeValidator(_as_a_day), AfterValidator(_day_of_our_time)]
"""A day in a request."""

Number = Annotated[
    str,
    StringConstraints(max_length=40),
    AfterValidator(read_e164),
    WithJsonSchema({"type": "string", "pattern": r"^\+[1-9][0-9]{6,14}$", "examples": ["+15551230177"]}),
]
"""A telephone number in a request, E.164."""

Text = Annotated[str, StringConstraints(max_length=4000)]
"""Words in a request."""

Moment = AwareDatetime
"""A moment in an answer: ISO 8601 in UTC."""
