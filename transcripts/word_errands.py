"""The index of words made again from the command line."""

from collections.abc import Collection

from config.settings import Settings
from storage.engine import Database
from storage.key_ring import KeyRing
from transcripts.word_index import WordIndex


async def index_calls(settings: Settings, agents: Collection[str]) -> str:
    """Index every call of these agents and forget the words of all others; returns what to print.

    Raises `storage.errors` and `storage.envelope.SealingError` when the database cannot be used.
    """
    database = Database(settings.database_url, KeyRing.load(settings))
    await database.connect(settings.database_wait_secs)
    try:
        await database.migrate()
        indexed, removed = await WordIndex(database).index_again(agents)
    finally:
        await database.close()
    of_whom = ", ".join(sorted(agents)) or "no agent: none has search: true"
    return f"{indexed} calls can be found by their words ({of_whom}); the words of {removed} others were removed"
