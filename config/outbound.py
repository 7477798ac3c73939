"""Whom an agent may call, when, and how long it lets a phone ring: `outbound:`."""

import re
from datetime import time
from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from config.machine import Machine
from config.opening_hours import Zone
from config.telephone_number import PhoneNumber
from config.wording import problem, shown

DEFAULT_HOURS = "08:00-21:00"
ANY_HOUR = "any"

_HOURS = re.compile(r"([01][0-9]|2[0-3]):([0-5][0-9])-([01][0-9]|2[0-4]):([0-5][0-9])")
_PREFIX = re.compile(r"\+[1-9][0-9]{0,14}")


def _hours(text: str) -> str:
    if text == ANY_HOUR:
        return text
    found = _HOURS.fullmatch(text)
    if found is None or (found[3] == "24" and found[4] != "00"):
        raise problem(f"must be hours of a day (got {shown(text)})", 'write "09:00-20:00", or any')
    if text[:5] == text[6:]:
        raise problem("begins when it ends", "write any for the whole day")
    return text


def _prefix(text: str) -> str:
    if _PREFIX.fullmatch(text):
        return text
    raise problem(
        f"must be a number, or how numbers begin, in E.164 form (got {shown(text)})", 'write "+4930" or "+15551230100"'
    )


Hours = Annotated[str, AfterValidator(_hours)]
NumberPrefix = Annotated[str, AfterValidator(_prefix), Field(json_schema_extra={"pattern": f"^{_PREFIX.pattern}$"})]


class Outbound(BaseModel):
    """Whether the agent may call anybody, and whom."""

    model_config = ConfigDict(
        frozen=True, extra="forbid", allow_inf_nan=False, validate_by_name=True, validate_by_alias=True
    )

    enabled: bool = Field(default=False, description="Whether this agent may place calls at all.")
    from_number: PhoneNumber | None = Field(
        default=None, alias="from", description="The number that people see; null: the first of `numbers`."
    )
    ring_secs: int = Field(default=30, ge=5, le=120, description="How long a phone rings before nobody is there.")
    hours: Hours = Field(
        default=DEFAULT_HOURS, description="When people may be called, in their own time zone; any: at all hours."
    )
    allow: tuple[NumberPrefix, ...] = Field(
        default=(), description="Only numbers that begin so are called; empty: any that is not blocked."
    )
    block: tuple[NumberPrefix, ...] = Field(default=(), description="Numbers that begin so are never called.")
    allow_premium: bool = Field(
        default=False, description="Let it call premium-rate, shared-cost and satellite numbers too."
    )

    zone: Zone = Field(
        default="UTC", description="The time zone in which the agent arranges calls back, such as Europe/Berlin."
    )
    machine: Machine | None = Field(
        default=None, description="What to do with an answering machine; null: nobody looks for one."
    )

    @property
    def window(self) -> tuple[time, time] | None:
        """Return from when to when people may be called, by their own clocks; None: at all hours.

        A window whose end is before its beginning goes on past midnight; an end of 00:00 is midnight.
        """
        if self.hours == ANY_HOUR:
            return None
        begin, end = self.hours.split("-")
        return time.fromisoformat(begin), time.fromisoformat("00:00" if end == "24:00" else end)

    @property
    def has_own_hours(self) -> bool:
        """Whether the hours were written into the file."""
        return "hours" in self.model_fields_set
