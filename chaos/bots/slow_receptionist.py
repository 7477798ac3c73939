"""The receptionist, whose diary takes its time: `settings.tool_secs` before it says when the office is open."""

import asyncio
from typing import Any

from pydantic import Field

from bots import receptionist
from pipelines import Bot, resources


class SlowOffice(receptionist.Office):
    """As the receptionist's, and how long looking up the opening hours takes."""

    tool_secs: float = Field(default=0.0, ge=0)


async def opening_hours(params: Any, day: str) -> None:
    """Tell when the office is open.

    Args:
        params: Given by the pipeline.
        day: English weekday, for example "monday".
    """
    settings = resources(params).settings
    assert isinstance(settings, SlowOffice)
    await asyncio.sleep(settings.tool_secs)
    await receptionist.opening_hours(params, day)


bot = Bot(
    tools=[opening_hours, *(tool for tool in receptionist.bot.tools if tool is not receptionist.opening_hours)],
    settings=SlowOffice,
)
