"""What the command line asks of this room: the database opened for one errand, and what came of it as lines of text."""

import asyncio
from collections.abc import AsyncGenerator, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from config.privacy import Retention
from config.settings import Settings
from privacy import receipts
from privacy.erasure import Eraser
from privacy.export import export_person
from privacy.purging import AUDIT, purge_once
from privacy.retention import Purge
from storage.audit import COMMAND_LINE, AuditStore
from storage.engine import Database
from storage.key_ring import number_index
from transcripts.backlog import Backlog
from transcripts.do_not_call import DoNotCall, Source
from transcripts.errand import open_house
from transcripts.recording_store import RecordingStore
from transcripts.store import CallStore


@dataclass(frozen=True, slots=True)
class _House:
    db: Database
    recordings: RecordingStore
    audit: AuditStore


@asynccontextmanager
async def _opened(settings: Settings) -> AsyncGenerator[_House]:
    """Open the database and recordings. Raises `storage.errors` and `SealingError` when they cannot be used."""
    async with open_house(settings) as (db, recordings):
        yield _House(db, recordings, AuditStore(db))


async def erase(settings: Settings, number: str, *, keep_do_not_call: bool = True) -> str:
    """Erase a person; returns the receipt. Raises what `Eraser.erase` raises."""
    async with _opened(settings) as house:
        backlog = Backlog(settings.data_dir / "log-backlog", "command-line", CallStore(house.db))
        eraser = Eraser(house.db, house.recordings, backlog)
        receipt = await eraser.erase(number, keep_do_not_call=keep_do_not_call)
        await _note(house, "people.erase", number, receipt_id=receipt.receipt_id)
        return receipt.text


async def export(settings: Settings, number: str, file: Path) -> int:
    """Write everything that is held on a number into a zip; returns its size in bytes. Raises OSError."""
    async with _opened(settings) as house:
        await _note(house, "people.export", number)
        part = file.with_name(f"{file.name}.part")
        out = await asyncio.to_thread(part.open, "wb")
        try:
            size = 0
            async for piece in export_person(house.db, house.recordings, number):
                size += await asyncio.to_thread(out.write, piece)
        finally:
            await asyncio.to_thread(out.close)
        await asyncio.to_thread(part.rename, file)
        return size


async def purge(settings: Settings, agents: Mapping[str, Retention], *, is_dry: bool, now: datetime) -> str:
    """Remove what has expired, or count it; returns one line for each part."""
    async with _opened(settings) as house:
        work = Purge(house.db, house.recordings, settings.audit_days)
        if is_dry:
            counts = await work.count(await work.in_force(agents, is_noted=False), now)
            counts[AUDIT] = await work.count_audit(now)
        else:

            async def said() -> Mapping[str, Retention]:
                return agents

            done = await purge_once(work, said, settings.data_dir, now=now)
            if done is None:
                return "another process is at it"
            counts = done
    verb = "would lose" if is_dry else "lost"
    names = {"call": "everything", "audio": "their recording", "transcript": "their words", "numbers": "their numbers"}
    lines = [f"{count} calls {verb} {names[part]}" for part, count in counts.items() if part in names]
    return "\n".join([*lines, f"the audit log {verb} {counts[AUDIT]} entries"])


async def verify_receipt(settings: Settings, text: str, number: str | None) -> str:
    """Return what a receipt says in one line. Raises `BadReceipt` unless this server signed it, about that number."""
    async with _opened(settings) as house:
        content = receipts.verify(house.db.ring, text)
        if number is not None and content["person_hash"] != number_index(house.db.ring, number):
            raise receipts.BadReceipt("The receipt is genuine, and is about another number.")
    return f"The receipt {content['receipt_id']} is genuine; the erasure was complete at {content['completed_at']}."


async def add_numbers(settings: Settings, numbers: Iterable[str], source: Source) -> int:
    """Put numbers on the do-not-call list; returns how many were not on it."""
    async with _opened(settings) as house:
        added = await DoNotCall(house.db).add_all(numbers, source, now=datetime.now(UTC))
        await house.audit.add(COMMAND_LINE, "do_not_call.add", "do_not_call", "", at=_now(), detail={"added": added})
        return added


async def remove_number(settings: Settings, number: str) -> bool:
    """Take a number off the do-not-call list; False when it was not on it."""
    async with _opened(settings) as house:
        was_there = await DoNotCall(house.db).remove(number)
        if was_there:
            await _note(house, "do_not_call.remove", number)
        return was_there


async def list_numbers(settings: Settings, limit: int) -> Sequence[str]:
    """Return a line for each number on the do-not-call list, newest first."""
    async with _opened(settings) as house:
        rows = await DoNotCall(house.db).list_entries(limit)
    return [f"{row.number or '(erased)':<17} {row.created_at:%Y-%m-%d} {row.source}" for row in rows]


async def _note(house: _House, action: str, number: str, **detail: str) -> None:
    index = number_index(house.db.ring, number)
    await house.audit.add(COMMAND_LINE, action, "person", index, at=_now(), detail=detail)


def _now() -> datetime:
    return datetime.now(UTC)
