"""Entries into the database, leaving out those that no database will ever take."""

from collections.abc import Sequence

from loguru import logger

from storage import errors as storage_errors
from telemetry import metrics
from transcripts.entries import Entry
from transcripts.store import CallStore


async def write_entries(store: CallStore, entries: Sequence[Entry]) -> None:
    """Write all entries but those whose own fault it is that they cannot be; each of these is logged and counted.

    Raises what says nothing about an entry, for example `storage.errors.DatabaseAway`; it may then be repeated.
    """
    try:
        await store.add_entries(entries)
    except Exception as error:
        if not storage_errors.is_row_fault(error):
            raise
        await _write_singly(store, entries)


async def _write_singly(store: CallStore, entries: Sequence[Entry]) -> None:
    """Find the entries that the database will never take, so that they hold up no other call."""
    for entry in entries:
        try:
            await store.add_entries([entry])
        except Exception as error:
            if not storage_errors.is_row_fault(error):
                raise
            metrics.LOG_REFUSED_TOTAL.inc()
            logger.bind(call_id=entry.call_id, entry=type(entry).__name__, problem=type(error).__name__).error(
                "the database refuses a log entry; it is left out"
            )
