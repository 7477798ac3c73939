"""Opening hours: weekdays, midnight, holidays, and the nights on which clocks change."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from config.opening_hours import OpeningHours

OFFICE = OpeningHours.model_validate(
    {
        "zone": "Europe/Berlin",
        "open": {"mon-fri": ["08:00-12:00", "13:00-17:30"], "sat, sun": "10:00-14:00", "fri": ["22:00-02:00"]},
        "holidays": ["12-25", "2026-05-01"],
        "special": {"2026-12-24": "08:00-10:00"},
    }
)


def at(text: str) -> datetime:
    return datetime.fromisoformat(text).astimezone(UTC)


@pytest.mark.parametrize(
    ("moment", "is_open"),
    [
        ("2026-11-30T07:59:59+01:00", False),  # a Monday
        ("2026-11-30T08:00:00+01:00", True),
        ("2026-11-30T11:59:59+01:00", True),
        ("2026-11-30T12:00:00+01:00", False),
        ("2026-11-30T13:00:00+01:00", True),
        ("2026-11-29T13:00:00+01:00", True),  # a Sunday
        ("2026-11-29T14:00:00+01:00", False),
        ("2026-11-27T23:30:00+01:00", True),  # a Friday, and the night after it
        ("2026-11-28T01:59:00+01:00", True),
        ("2026-11-28T02:00:00+01:00", False),
        ("2026-11-29T01:00:00+01:00", False),
        ("2026-12-25T09:00:00+01:00", False),  # every year
        ("2029-12-25T09:00:00+01:00", False),
        ("2026-05-01T09:00:00+02:00", False),  # once
        ("2028-05-01T09:00:00+02:00", True),
        ("2026-05-02T01:00:00+02:00", False),  # the night of a holiday
        ("2026-12-24T09:00:00+01:00", True),
        ("2026-12-24T11:00:00+01:00", False),
        ("2026-07-06T06:30:00+00:00", True),  # 08:30 in summer, told in another zone
        ("2026-12-07T06:30:00+00:00", False),  # 07:30 in winter
    ],
)
def test_a_moment(moment: str, is_open: bool) -> None:
    assert OFFICE.is_open(at(moment)) is is_open


def night(open_: str, first: str) -> list[str]:
    """The quarters of an hour from `first` on (UTC, six hours) in which a Berlin night shift is open."""
    hours = OpeningHours.model_validate({"zone": "Europe/Berlin", "open": {"sun": open_}})
    quarters = [at(first) + timedelta(minutes=15 * step) for step in range(24)]
    return [f"{moment:%H:%M}" for moment in quarters if hours.is_open(moment)]


def test_the_night_with_an_hour_twice_has_each_range_once() -> None:
    # 2026-10-25: 03:00 summer time is 02:00 winter time, at 01:00 UTC.
    assert night("01:00-02:30", "2026-10-24T22:00+00:00") == ["23:00", "23:15", "23:30", "23:45", "00:00", "00:15"]
    assert night("02:30-03:30", "2026-10-24T22:00+00:00")[:1] == ["00:30"]
    assert len(night("02:30-03:30", "2026-10-24T22:00+00:00")) == 8  # the clock shows 02:30 to 03:30, two hours


def test_the_night_without_an_hour() -> None:
    # 2026-03-29: 02:00 winter time is 03:00 summer time, at 01:00 UTC.
    assert night("01:00-04:00", "2026-03-28T22:00+00:00")[0] == "00:00"
    assert len(night("01:00-04:00", "2026-03-28T22:00+00:00")) == 8
    assert night("02:15-02:45", "2026-03-28T22:00+00:00") == ["01:15", "01:30"]  # skipped: counted from before


@given(st.datetimes(min_value=datetime(2000, 1, 1), max_value=datetime(2099, 1, 1)))
def test_all_day_every_day_is_always_open_and_never_is_never(naive: datetime) -> None:
    moment = naive.replace(tzinfo=UTC)
    always = OpeningHours.model_validate({"zone": "America/New_York", "open": {"mon-sun": "00:00-24:00"}})
    never = OpeningHours.model_validate({"zone": "America/New_York", "open": {"mon-sun": []}})
    assert always.is_open(moment)
    assert not never.is_open(moment)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"zone": "Europe/Berlyn"}, "there is no time zone"),
        ({"zone": "../etc/passwd"}, "there is no time zone"),
        ({"open": {"montag": []}}, "is no weekday"),
        ({"open": {"mon": ["8-12"]}}, "must be a range of hours"),
        ({"open": {"mon": ["25:00-26:00"]}}, "an hour that no day has"),
        ({"open": {"mon": ["08:00-08:00"]}}, "is empty"),
        ({"holidays": ["2026-02-30"]}, "must be a date"),
        ({"holidays": ["25.12."]}, "must be a date"),
        ({"special": {"24-12": []}}, "must be a date"),
    ],
)
def test_what_cannot_be_used_is_said(change: dict[str, object], message: str) -> None:
    with pytest.raises(ValidationError) as caught:
        OpeningHours.model_validate({"zone": "Europe/Berlin", "open": {}, **change})
    assert message in str(caught.value)
