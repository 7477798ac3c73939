"""The database of a server, opened for one errand of the command line."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

from config.settings import Settings
from storage.engine import Database
from storage.key_ring import KeyRing


@asynccontextmanager
async def open_database(
    settings: Settings, *, is_unsealed: bool = True, is_migrated: bool = True, keys: KeyRing | None = None
) -> AsyncGenerator[Database]:
    """Yield the database of the server with these settings, connected.

    Args:
        settings: of the server.
        is_unsealed: with the sealing keys; without them nothing that is sealed can be read.
        is_migrated: brought up to date first; else it is taken as it is, and nothing in it is changed.
        keys: the sealing keys where somebody has read them already.

    Raises:
        storage.errors: it cannot be used.
        storage.envelope.SealingError: a key is missing or wrong.
    """
    if keys is None and is_unsealed:
        keys = await asyncio.to_thread(KeyRing.load, settings)
    database = Database(settings.database_url, keys)
    try:
        await database.connect(settings.database_wait_secs)
        if is_migrated:
            await database.migrate()
        yield database
    finally:
        await database.close()
