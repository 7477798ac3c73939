"""Receptionist: tells opening hours, books and cancels appointments, then says goodbye."""

from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

from pipecat.services.llm_service import FunctionCallParams
from pydantic import BaseModel, ConfigDict

from pipelines import Bot, end_call, resources

WEEKDAYS = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")


class Office(BaseModel):
    """The agent's `settings:`. Times are HH:MM of the office's own clock; a day without hours is closed."""

    model_config = ConfigDict(extra="forbid")

    time_zone: str = "UTC"
    hours: dict[str, tuple[str, str]] = dict.fromkeys(WEEKDAYS[:5], ("09:00", "17:00"))

    def next_date(self, day: str, today: date) -> date:
        """The next such weekday, today included. Raises ValueError for what is no English weekday."""
        return today + timedelta(days=(WEEKDAYS.index(day.strip().lower()) - today.weekday()) % 7)

    def slots(self, day: str) -> list[str]:
        """Every full hour of that weekday, as HH:MM."""
        opens, closes = self.hours.get(day.strip().lower(), ("00:00", "00:00"))
        return [f"{hour:02}:00" for hour in range(int(opens[:2]), int(closes[:2]))]


class Diary:
    """The appointments of one weekday to come, kept in the agent's own rows."""

    def __init__(self, params: FunctionCallParams, day: str) -> None:
        """Raises ValueError for what is no English weekday; the model hears of it."""
        desk = resources(params)
        assert isinstance(desk.settings, Office)
        self.office, self.records, self.call_id, self.day = desk.settings, desk.records, desk.call.call_id, day
        self.date = self.office.next_date(day, datetime.now(UTC).astimezone(ZoneInfo(self.office.time_zone)).date())

    async def free(self) -> list[str]:
        """The hours that nobody has booked."""
        taken = {record.key for record in await self.records.list("appointment", prefix=f"{self.date} ")}
        return [slot for slot in self.office.slots(self.day) if f"{self.date} {slot}" not in taken]


async def opening_hours(params: FunctionCallParams, day: str) -> None:
    """Tell when the office is open.

    Args:
        params: Given by the pipeline.
        day: English weekday, for example "monday".
    """
    found = Diary(params, day).office.hours.get(day.strip().lower())
    await params.result_callback({"open": found[0], "close": found[1]} if found else {"closed": True})


async def free_slots(params: FunctionCallParams, day: str) -> None:
    """List the hours of a day that can still be booked.

    Args:
        params: Given by the pipeline.
        day: English weekday.
    """
    await params.result_callback({"free": await Diary(params, day).free()})


async def book_appointment(params: FunctionCallParams, day: str, time: str, name: str) -> None:
    """Book an appointment; of two callers who want one hour, the first gets it.

    Args:
        params: Given by the pipeline.
        day: English weekday.
        time: Full hour as HH:MM on a 24-hour clock.
        name: The caller's name, "" if he has not said it.
    """
    diary = Diary(params, day)
    if time not in diary.office.slots(day):
        await params.result_callback({"booked": False, "reason": "closed", "free": await diary.free()})
    elif await diary.records.put("appointment", f"{diary.date} {time}", {"name": name}, call_id=diary.call_id):
        await params.result_callback({"booked": True, "day": day, "date": str(diary.date), "time": time})
    else:
        await params.result_callback({"booked": False, "reason": "taken", "free": await diary.free()})


async def cancel_appointment(params: FunctionCallParams, day: str, time: str) -> None:
    """Cancel an appointment.

    Args:
        params: Given by the pipeline.
        day: English weekday.
        time: Full hour as HH:MM on a 24-hour clock.
    """
    diary = Diary(params, day)
    await params.result_callback({"cancelled": await diary.records.delete("appointment", f"{diary.date} {time}")})


bot = Bot(tools=[opening_hours, free_slots, book_appointment, cancel_appointment, end_call], settings=Office)
