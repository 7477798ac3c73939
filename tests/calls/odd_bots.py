"""Bots whose one tool behaves as a test wants it to."""

_SOURCE = '''
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

bot = Bot(tools=[opening_hours, book_appointment, end_call])
'''


def bot_whose_opening_hours(*lines: str) -> str:
    """Source of a bot whose tool `opening_hours` has these lines as its body."""
    return _SOURCE.replace("{body}", "\n    ".join(lines))
