"""The database and the recordings of a server, opened together for one errand of the command line."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

from config.settings import Settings
from storage.engine import Database
from storage.errand import open_database
from transcripts.recording_store import RecordingStore


@asynccontextmanager
async def open_house(settings: Settings) -> AsyncGenerator[tuple[Database, RecordingStore]]:
    """Yield both of the server with these settings, the database up to date, with its sealing keys.

    Raises as `storage.errand.open_database`.
    """
    async with open_database(settings) as database:
        recordings = await asyncio.to_thread(RecordingStore.of, settings, database.ring)
        try:
            yield database, recordings
        finally:
            recordings.close()
