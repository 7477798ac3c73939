"""The dialler of a server process: opened with everything it leans on, and swept until the end."""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager

from loguru import logger

from api.lines import OutgoingLines
from calling.callbacks import CallsBack
from calling.dialler import Dialler
from calling.schedule import CallTimers
from config.agents_folder import AgentCatalog
from config.prices import load_prices
from config.pricing import most_minutes
from config.settings import Settings
from config.twilio_credentials import twilio_credentials
from storage.engine import Database
from storage.workflows import Workflows
from telephony.rest import open_rest
from transcripts.outgoing import OutgoingStore, Room

_REQUEST_SECS = 10.0


@asynccontextmanager
async def open_dialler(
    settings: Settings,
    db: Database,
    current_agents: Callable[[], Awaitable[AgentCatalog]],
    lines: OutgoingLines,
    workflows: Workflows,
    calls_back: CallsBack,
) -> AsyncGenerator[Dialler]:
    """Yield what places calls. Without credentials of Twilio's none can be placed, and it says so.

    `workflows`, not yet started, keeps the times of scheduled calls; `calls_back` is given the dialler.
    """

    room = await asyncio.to_thread(room_of, settings)
    async with open_rest(twilio_credentials(settings), settings.twilio_api_base, timeout_secs=_REQUEST_SECS) as rest:
        dialler = Dialler(
            OutgoingStore(db),
            rest,
            lines,
            current_agents,
            base_url=settings.effective_public_base_url,
            owner=lines.instance,
            room=room,
        )
        dialler.timers, calls_back.dialler = CallTimers(workflows, dialler), dialler
        sweeping = asyncio.create_task(dialler.run(), name="sweep of placed calls")
        sweeping.add_done_callback(_tell_of_the_end)
        try:
            yield dialler
        finally:
            sweeping.cancel()
            await asyncio.wait({sweeping})
            await dialler.close()


def room_of(settings: Settings) -> Room:
    """Return how much may be dialled. Reads the price table when there is a limit of money: call it in a thread."""
    if settings.max_spend_per_day_usd is None:
        return Room(settings.max_outgoing_calls)
    return Room(settings.max_outgoing_calls, most_minutes(load_prices().prices, settings.max_spend_per_day_usd))


def _tell_of_the_end(sweeping: asyncio.Task[None]) -> None:
    if not sweeping.cancelled() and (error := sweeping.exception()) is not None:
        logger.opt(exception=error).error("calls that are due, or left behind, are not looked for any more")
