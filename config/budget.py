"""The `budget:` section of an agent: what its calls may cost in a day."""

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field


class Budget(BaseModel):
    """Money for the calls of one agent. A call that has begun is never cut."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    max_usd_per_day: float | None = Field(
        default=None, ge=0, le=1_000_000, description="Once a day's (UTC) calls have cost this, no call is placed."
    )
    on_exceeded: Literal["refuse", "answer"] = Field(
        default="refuse", description="Incoming calls then: `refuse` says a sentence and hangs up; `answer` takes them."
    )
    sentence: str = Field(
        default="", max_length=1000, description="What `refuse` says; empty: that all lines are busy, in its language."
    )
