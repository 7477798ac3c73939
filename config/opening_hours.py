"""Opening hours of a place on earth: which moments are within them. Pure: the moment is an argument."""

import functools
import re
from collections.abc import Iterator, Mapping
from datetime import UTC, date, datetime, time, timedelta
from typing import Annotated, cast
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError, available_timezones

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field

from config.wording import problem, shown, suggest

_DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
_RANGE = re.compile(r"([0-9]{2}):([0-5][0-9])\s*-\s*([0-9]{2}):([0-5][0-9])")
_DAY_MINUTES = 24 * 60
_LEAP_YEAR = "2024"

Span = tuple[int, int]
"""From and to, in minutes after midnight; the end is on the next day when it is not after the beginning."""


def _minutes(hours: str, minutes: str) -> int:
    return int(hours) * 60 + int(minutes)


def _span(text: object) -> Span:
    if isinstance(text, tuple):
        return cast(Span, text)
    match = _RANGE.fullmatch(text.strip()) if isinstance(text, str) else None
    cure = 'write it like "08:00-17:30"; "22:00-02:00" goes over midnight'
    if match is None:
        raise problem(f"must be a range of hours (got {shown(text)})", cure)
    begin, end = _minutes(match[1], match[2]), _minutes(match[3], match[4])
    if begin >= _DAY_MINUTES or end > _DAY_MINUTES:
        raise problem(f"{shown(text)} has an hour that no day has", cure)
    if begin == end:
        raise problem(f"{shown(text)} is empty", 'write "00:00-24:00" for the whole day, [] for none of it')
    return begin, end


def _listed(value: object) -> object:
    return [value] if isinstance(value, str) else value


def _weekdays(text: str) -> str:
    list(_days_of(text))
    return text


def _days_of(text: str) -> Iterator[int]:
    """Yield the weekdays of "mon-fri" or "sat, sun", Monday being 0."""
    for part in text.lower().split(","):
        first, dash, last = (name.strip() for name in part.partition("-"))
        for name in (first, last) if dash else (first,):
            if name not in _DAYS:
                raise problem(
                    f"{shown(name)} is no weekday", f"weekdays are {', '.join(_DAYS)}; mon-fri is five of them"
                )
        begin = _DAYS.index(first)
        for step in range((_DAYS.index(last) - begin) % 7 + 1 if dash else 1):
            yield (begin + step) % 7


def _date(text: str) -> str:
    is_yearly = re.fullmatch(r"[0-9]{2}-[0-9]{2}", text) is not None
    try:
        if not is_yearly and not re.fullmatch(r"[0-9]{4}-[0-9]{2}-[0-9]{2}", text):
            raise ValueError
        date.fromisoformat(f"{_LEAP_YEAR}-{text}" if is_yearly else text)
    except ValueError as error:
        raise problem(
            f"must be a date (got {shown(text)})", "write it like 2026-12-25, or 12-25 for every year"
        ) from error
    return text


@functools.cache
def load_zone(name: str) -> ZoneInfo:
    """Return a zone by its name. Reads its file the first time, which is when a configuration is checked.

    Raises what `ZoneInfo` does for a name that is none.
    """
    return ZoneInfo(name)


def _zone(name: str) -> str:
    try:
        load_zone(name)
    except (ZoneInfoNotFoundError, ValueError, OSError) as error:
        cure = suggest(name, available_timezones(), "names are those of the tz database, such as")
        is_near = cure.startswith("did you mean")
        raise problem(
            f"there is no time zone {shown(name)}", cure if is_near else "write it like Europe/Berlin"
        ) from error
    return name


Zone = Annotated[str, AfterValidator(_zone)]
"""A time zone by its name."""
Hours = Annotated[
    tuple[Annotated[Span, BeforeValidator(_span, json_schema_input_type=str)], ...], BeforeValidator(_listed)
]
"""Ranges of one day; one may stand without brackets."""
Weekdays = Annotated[str, AfterValidator(_weekdays)]
Day = Annotated[str, AfterValidator(_date)]
"""A date, or a day of every year."""


class OpeningHours(BaseModel):
    """When somebody is there. A range belongs to the day on which it begins, also the part after midnight."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    zone: Zone = Field(description="Time zone by its name, such as Europe/Berlin.")
    open: dict[Weekdays, Hours] = Field(description="Ranges of hours by weekdays; a day that is missing is closed.")
    holidays: tuple[Day, ...] = Field(default=(), description="Days that are closed: 2026-12-25, or 12-25 every year.")
    special: dict[Day, Hours] = Field(default={}, description="Days with hours of their own.")

    def is_open(self, now: datetime) -> bool:
        """Return whether this moment (aware) lies within the hours.

        On the days when clocks change a range lasts as long as it says: it begins at the first moment that its clock
        time names, and a clock time that is skipped counts from before the change.
        """
        zone = load_zone(self.zone)
        today = now.astimezone(zone).date()
        return any(
            _moment(day, begin, zone) <= now < _moment(day, end if end > begin else end + _DAY_MINUTES, zone)
            for day in (today - timedelta(days=1), today)
            for begin, end in self._spans(day)
        )

    def _spans(self, day: date) -> Iterator[Span]:
        named = (day.isoformat(), day.strftime("%m-%d"))
        special = next((self.special[name] for name in named if name in self.special), None)
        if special is not None:
            yield from special
        elif not any(name in self.holidays for name in named):
            for days, spans in self.open.items():
                if day.weekday() in _days_of(days):
                    yield from spans


def _moment(day: date, minutes: int, zone: ZoneInfo) -> datetime:
    days, rest = divmod(minutes, _DAY_MINUTES)
    clock = datetime.combine(day + timedelta(days=days), time(rest // 60, rest % 60), zone)
    return clock.astimezone(UTC)  # two times of one zone would be compared by their clocks


def unknown_hours(name: str, known: Mapping[str, OpeningHours]) -> tuple[str, str]:
    """Return what is wrong with a name that no hours have, and the cure."""
    return f"there are no hours {shown(name)}", suggest(name, known, "add them under hours:, which has")
