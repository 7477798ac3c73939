"""What requests and answers of `/v1` are made of: models that take nothing they do not know, and bounded values."""

from datetime import datetime
from typing import Annotated

from fastapi import Path, Query
from pydantic import AwareDatetime, BaseModel, ConfigDict, PlainSerializer, StringConstraints

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

Text = Annotated[str, StringConstraints(max_length=4000)]
"""Words in a request."""


def in_utc(moment: datetime) -> str:
    """Return a moment as every answer shows it: ISO 8601 in UTC, with microseconds."""
    return moment.isoformat(timespec="microseconds").replace("+00:00", "Z")


Moment = Annotated[AwareDatetime, PlainSerializer(in_utc, return_type=str, when_used="json")]
"""A moment in an answer."""
