"""Sealing keys from the command line: another one takes over everything that is sealed, and how far that has come.

A rotation may be killed anywhere and begun again: what is done is found done. A key that is not the current one is
known to the database until nothing is sealed with it and no process uses it any more; until then no start without it.
"""

import asyncio
import time
from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import Any, cast

from config.settings import Settings
from storage.engine import Database
from storage.key_ring import KeyRing
from storage.known_keys import forget, note_current, read_known
from storage.sealing_rows import (
    IN_THE_CLEAR,
    count_values,
    find_clear_rows,
    find_unknown_tables,
    sealed_tables,
    turn_table,
)
from transcripts.backlog import Backlog
from transcripts.errand import open_house
from transcripts.owners import Owners
from transcripts.recording_rotation import count_keys, rotate_recordings
from transcripts.recording_store import RecordingStore
from transcripts.store import CallStore

Print = Callable[[str], None]
PROCESSES_SECS = 30.0
"""How long processes have to take a new key up: they look for one every 10 s."""
_MOST_PASSES = 10
_SHOWN_ROWS = 10
_TELL_EVERY_SECS = 5.0
_LOOK_EVERY_SECS = 1.0


@dataclass(frozen=True, slots=True)
class Sealed:
    """Everything of one server that is sealed."""

    db: Database
    recordings: RecordingStore
    backlog: Backlog

    @property
    def ring(self) -> KeyRing:
        """The keys."""
        return self.db.ring


@asynccontextmanager
async def open_sealed_data(settings: Settings) -> AsyncGenerator[Sealed]:
    """Open it for one errand. Raises `storage.errors` and `SealingError` when it cannot be used."""
    async with open_house(settings) as (db, recordings):
        yield Sealed(db, recordings, Backlog(settings.data_dir / "log-backlog", "sealing", CallStore(db)))


async def rotate(settings: Settings, write: Print, *, processes_secs: float = PROCESSES_SECS) -> bool:
    """Have another key take over, or go on with that. Returns whether everything is sealed with the current one.

    `processes_secs`: how long to wait for processes that run. Raises as `open_sealed_data`, and `BucketAway`.
    """
    async with open_sealed_data(settings) as data:
        if unknown := await find_unknown_tables(data.db):
            # Something in them may be sealed, and would be lost with a key that is thought to be unused.
            write(
                f"The database has tables that this program does not know: {', '.join(unknown)}; run the one that does."
            )
            return False
        owners = Owners(data.db)
        seen, began = await owners.read_beats(), time.monotonic()
        old = await _begin(data, write)
        if old is None:
            return True
        # First of all: who does not know the key could read nothing of what gets it.
        left = await _find_laggards(owners, data.ring.current.key_id, seen, began + processes_secs)
        if not left:
            left = await _turn_everything(data, write)
            left += await _find_laggards(owners, data.ring.current.key_id, seen, until=0)
        if left:
            write("Not done: " + "; ".join(dict.fromkeys(left)) + ". Run this again.")
            return False
        await forget(data.db, old)
        where = data.ring.file or "TRUNKLINE_SEALING_KEYS"
        write(f"Everything is sealed with {data.ring.current.key_id}. Nothing uses {', '.join(old)} any more.")
        write(f"You may take it out of {where}; keep a copy for as long as you keep backups that are older than this.")
        return True


async def show_status(settings: Settings, write: Print) -> bool:
    """Write how many values are sealed with which key, place by place; returns whether all have the current key.

    Raises as `open_sealed_data`, and `BucketAway`.
    """
    async with open_sealed_data(settings) as data:
        counts = await count_values(data.db)
        counts["log-backlog files"] = await asyncio.to_thread(data.backlog.count_keys)
        counts["recordings"] = await asyncio.to_thread(count_keys, data.recordings)
        known, current = await read_known(data.db), data.ring.current.key_id
        refused, places = await find_clear_rows(data.db, _SHOWN_ROWS)
    totals: dict[str, int] = {}
    for place, of_place in sorted(counts.items()):
        if of_place:
            write(f"{place}: " + ", ".join(f"{count} {_named(key_id)}" for key_id, count in sorted(of_place.items())))
        for key_id, count in of_place.items():
            totals[key_id] = totals.get(key_id, 0) + count
    others = sorted(set(totals) - {current})
    write(f"The current key is {current}, in {data.ring.file or 'TRUNKLINE_SEALING_KEYS'}.")
    if others:
        told = ", ".join(f"{totals[key_id]} {_named(key_id)}" for key_id in others)
        write(f"Other than with it: {told}. `cli.py sealing rotate` gives all of them the current key.")
    if refused:
        write(f"In the clear where everything was sealed, and so refused: {refused} rows, as {'; '.join(places)}.")
        write("Restore them from a backup or delete them; see docs/sealing.md.")
    for key_id in data.ring.key_ids:
        if key_id != current and key_id not in known and key_id not in totals:
            write(f"Nothing is sealed with {key_id} any more; it may be taken out, but for backups.")
    return not others


async def _begin(data: Sealed, write: Print) -> list[str] | None:
    """Return the keys that are to be replaced, with the new one in force; None when there is nothing to do."""
    ring = data.ring
    known = await read_known(data.db)
    old = [key_id for key_id in known if key_id != ring.current.key_id]
    if old:
        write(f"{ring.current.key_id} takes over from {', '.join(old)}.")
        return old
    if ring.file is None:
        write("There is no new key: put one first in TRUNKLINE_SEALING_KEYS, restart the server, and run this again.")
        return None
    new = await asyncio.to_thread(ring.make_another)
    await note_current(data.db, ring, known)
    write(f"Made the key {new} in {ring.file}. Copy that file to where your copy of the keys is, now.")
    return list(known)


async def _turn_everything(data: Sealed, write: Print) -> list[str]:
    """Go through all that is sealed until nothing is left to do; returns what could not be done."""
    told_at = time.monotonic()

    def tell(table: str, rows: int) -> None:
        nonlocal told_at
        if time.monotonic() - told_at > _TELL_EVERY_SECS:
            told_at = time.monotonic()
            write(f"  {table}: {rows} rows so far")

    left: list[str] = []
    for _ in range(_MOST_PASSES):
        left, changed = [], 0
        for table in sealed_tables():
            name = str(cast(Any, table).__tablename__)
            rows, broken = await turn_table(data.db, table, is_rotation=True, pause=True, tell=partial(tell, name))
            changed += rows
            if rows:
                write(f"  {name}: {rows} rows")
            if broken:
                left.append(f"{broken} rows of {name} hold what does not open with its key")
        if not changed:
            break
    else:
        left.append("others go on sealing with another key")
    if not await data.backlog.rewrap():
        left.append("log entries that wait in files are being written")
    done = await asyncio.to_thread(rotate_recordings, data.recordings)
    if done.rewrapped or done.sealed:
        write(f"  recordings: {done.rewrapped + done.sealed}")
    if done.left:
        left.append(f"{len(done.left)} recordings are being written")
    await data.db.scrub()
    return left


async def _find_laggards(owners: Owners, key_id: str, seen: Mapping[str, datetime], until: float) -> list[str]:
    """Wait until every process that lives seals with the key; returns what there is to say of those that do not.

    `seen`: signs of life from before; `until`: monotonic seconds, after which one that gave no other sign is dead.
    """
    while time.monotonic() < until:
        if not await owners.list_other_keys(key_id, {}):
            break
        await asyncio.sleep(_LOOK_EVERY_SECS)
    others = await owners.list_other_keys(key_id, seen)
    return [f"the process {name} still seals with another key; restart the server" for name in sorted(others)]


def _named(key_id: str) -> str:
    return "in the clear" if key_id == IN_THE_CLEAR else f"with {key_id}"
