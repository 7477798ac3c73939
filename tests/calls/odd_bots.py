"""Bots that the stand-in's receptionist script talks to, but whose opening hours do something odd."""


def bot_whose_opening_hours(*lines: str) -> str:
    """The source of a bot file; `lines` are the body of its tool `opening_hours`."""
    body = "\n    ".join(lines)
    return f'''
import asyncio

from pipelines import Bot, end_call

async def opening_hours(params, day: str) -> None:
    """Tell when the office is open.

    Args:
        params: Given.
        day: Weekday.
    """
    {body}

async def book_appointment(params, day: str, time: str, name: str) -> None:
    """Book.

    Args:
        params: Given.
        day: Weekday.
        time: Hour.
        name: Name.
    """
    await params.result_callback({{"booked": True}})

bot = Bot(tools=[opening_hours, book_appointment, end_call])
'''
