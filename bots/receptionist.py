"""Receptionist: tells opening hours, books and cancels appointments, then says goodbye."""

from datetime import UTC, date, datetime, timedelta
from typing import Annotated
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pipecat.services.llm_service import FunctionCallParams
from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from pipelines import Bot, RefusalKind, ToolRefused, end_call, resources

WEEKDAYS = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
Weekday = Annotated[str, Field(pattern=f"^({'|'.join(WEEKDAYS)})$")]
Time = Annotated[str, Field(pattern=r"^([01][0-9]|2[0-3]):[0-5][0-9]$")]


def _known_zone(name: str) -> str:
    # Looked up when the agent is loaded, off the event loop; from then on Python keeps it.
    try:
        ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError) as error:
        raise ValueError(f"there is no time zone {name!r}; write it like Europe/Berlin") from error
    return name


class Office(BaseModel):
    """The agent's `settings:`. Times are HH:MM of the office's own clock; a day without hours is closed."""

    model_config = ConfigDict(extra="forbid", validate_default=True)

    time_zone: Annotated[str, AfterValidator(_known_zone)] = "UTC"
    hours: dict[Weekday, tuple[Time, Time]] = dict.fromkeys(WEEKDAYS[:5], ("09:00", "17:00"))

    @property
    def now(self) -> datetime:
        """The time at the office."""
        return datetime.now(UTC).astimezone(ZoneInfo(self.time_zone))

    def slots(self, day: str) -> list[str]:
        """Every full hour of that weekday, as HH:MM."""
        opens, closes = self.hours.get(day, ("00:00", "00:00"))
        return [slot for slot in (f"{hour:02}:00" for hour in range(24)) if opens <= slot < closes[:2]]

    def next_date(self, day: str, time: str, now: datetime) -> date:
        """The next such weekday on which `time` is still to come. Raises ValueError for what is no English weekday."""
        days = (WEEKDAYS.index(day) - now.weekday()) % 7
        is_over = days == 0 and time <= f"{now:%H:%M}"
        return now.date() + timedelta(days=7 if is_over else days)


class Diary:
    """The appointments of one weekday to come, kept in the agent's own rows."""

    def __init__(self, params: FunctionCallParams, day: str) -> None:
        """Raises ToolRefused for what is no English weekday; the model may do better."""
        desk = resources(params)
        assert isinstance(desk.settings, Office)
        self.office, self.records, self.call_id = desk.settings, desk.records, desk.call.call_id
        self.day = day.strip().lower()
        if self.day not in WEEKDAYS:
            raise ToolRefused(RefusalKind.BAD_ARGUMENTS, "The day must be an English weekday, for example monday.")

    def key(self, time: str) -> str:
        """What the appointment at that hour is kept under."""
        return f"{self.office.next_date(self.day, time, self.office.now)} {time}"

    async def free(self) -> list[str]:
        """The hours that nobody has booked."""
        taken = {record.key for record in await self.records.list("appointment")}
        return [slot for slot in self.office.slots(self.day) if self.key(slot) not in taken]


async def opening_hours(params: FunctionCallParams, day: str) -> None:
    """Tell when the office is open.

    Args:
        params: Given by the pipeline.
        day: English weekday, for example "monday".
    """
    diary = Diary(params, day)
    found = diary.office.hours.get(diary.day)
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
    if time not in diary.office.slots(diary.day):
        await params.result_callback({"booked": False, "reason": "closed", "free": await diary.free()})
        return
    key = diary.key(time)
    if await diary.records.put("appointment", key, {"name": name}, call_id=diary.call_id):
        await params.result_callback({"booked": True, "day": day, "date": key.split()[0], "time": time})
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
    await params.result_callback({"cancelled": await diary.records.delete("appointment", diary.key(time))})


bot = Bot(tools=[opening_hours, free_slots, book_appointment, cancel_appointment, end_call], settings=Office)
