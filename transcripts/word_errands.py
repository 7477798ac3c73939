"""The index of words made again from the command line."""

from collections.abc import Collection

from config.settings import Settings
from storage.errand import open_database
from transcripts.word_index import WordIndex


async def index_calls(settings: Settings, agents: Collection[str]) -> str:
    """Index every call of these agents and forget the words of all others; returns what to print.

    Raises `storage.errors` and `storage.envelope.SealingError` when the database cannot be used.
    """
    async with open_database(settings) as database:
        indexed, removed = await WordIndex(database).index_again(agents)
    of_whom = ", ".join(sorted(agents)) or "no agent: none has search: true"
    return f"{indexed} calls can be found by their words ({of_whom}); the words of {removed} others were removed"
