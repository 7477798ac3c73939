"""The database of a server, opened for one errand of the command line."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

from config.settings import Settings
from storage.engine import Database
from storage.key_ring import KeyRing


@asynccontextmanager
async def open_database(settings: Settings, *, is_unsealed: bool = True) -> AsyncGenerator[Database]:
    """Yield the database of the server with these settings, connected and up to date.

    `is_unsealed`: with the sealing keys; without them nothing that is sealed can be read. Raises `storage.errors` and
    `storage.envelope.SealingError` when it cannot be used.
    """
    ring = await asyncio.to_thread(KeyRing.load, settings) if is_unsealed else None
    database = Database(settings.database_url, ring)
    await database.connect(settings.database_wait_secs)
    try:
        await database.migrate()
        yield database
    finally:
        await database.close()
