"""How long somebody on the telephone waits for the database before it counts as away."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

from storage.errors import DatabaseAway

# Twilio gives a webhook 15 s; a database that hangs must leave time for an apology.
PATIENCE_SECS = 8.0


@asynccontextmanager
async def database_in_time(limit_secs: float = PATIENCE_SECS) -> AsyncGenerator[None]:
    """Give the block `limit_secs`. Raises `DatabaseAway` when it takes longer."""
    limit = asyncio.timeout(limit_secs)
    try:
        async with limit:
            yield
    except TimeoutError as error:
        if not limit.expired():
            raise
        raise DatabaseAway(f"The database did not answer within {limit_secs:g} s.") from error
