"""The office's clock and hours."""

from datetime import UTC, date, datetime
from types import SimpleNamespace

import pytest
from pydantic import ValidationError

from bots import receptionist
from bots.receptionist import Office
from pipelines import ToolRefused

CALL = SimpleNamespace(call_id="c1")

TUESDAY_AT_ELEVEN = datetime(2026, 3, 3, 11, 0, tzinfo=UTC)


@pytest.mark.parametrize(
    ("day", "time", "expected"),
    [
        ("wednesday", "10:00", date(2026, 3, 4)),
        ("monday", "10:00", date(2026, 3, 9)),
        ("tuesday", "12:00", date(2026, 3, 3)),
        ("tuesday", "10:00", date(2026, 3, 10)),
        ("tuesday", "11:00", date(2026, 3, 10)),
    ],
)
def test_an_appointment_is_never_in_the_past(day, time, expected):
    assert Office().next_date(day, time, TUESDAY_AT_ELEVEN) == expected


def test_only_full_hours_within_opening_hours_can_be_booked():
    office = Office.model_validate({"hours": {"monday": ["09:30", "12:30"]}})
    assert office.slots("monday") == ["10:00", "11:00"]
    assert office.slots("sunday") == []


async def test_a_day_that_is_none_is_refused_so_that_the_model_may_do_better(monkeypatch):
    monkeypatch.setattr(
        receptionist, "resources", lambda _params: SimpleNamespace(settings=Office(), records=0, call=CALL)
    )
    with pytest.raises(ToolRefused, match="English weekday"):
        await receptionist.opening_hours(SimpleNamespace(), "Montag")


@pytest.mark.parametrize(
    "settings",
    [
        {"time_zone": "Mars/Olympus"},
        {"time_zone": "../etc"},
        {"hours": {"mondays": ["09:00", "17:00"]}},
        {"hours": {"monday": ["9", "17:00"]}},
        {"hours": {"monday": ["09:00", "25:00"]}},
    ],
)
def test_wrong_hours_are_told_when_the_agent_is_loaded_and_not_in_a_call(settings):
    with pytest.raises(ValidationError):
        Office.model_validate(settings)
