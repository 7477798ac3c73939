"""What a process could not write before its end: kept in the data folder, and written by the next one that can.

`<data folder>/log-backlog/<process>.jsonl` has one entry a line, in the order in which things were told, each line
sealed for its file. A file gets its name once it is complete, and is removed once all of it is in the database. What
was promised to a caller while the database was away has a file of its own at once, `<process>.<random>.jsonl`.
"""

import asyncio
import fcntl
import json
import os
from collections.abc import Collection, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any
from uuid import uuid4

from loguru import logger
from pydantic import TypeAdapter, ValidationError

from storage.envelope import SealBroken, key_id_of_text, open_text, rewrap_text, seal_text
from storage.json_text import dump_json
from storage.key_ring import SealingKeyMissing
from telemetry import metrics
from transcripts.entries import (
    ConsentEntry,
    DoNotCallEntry,
    Entry,
    EventEntry,
    FinishEntry,
    ForgetWordsEntry,
    HandOverEntry,
    LessEntry,
    NextStepEntry,
    RecordingEntry,
    TransferAttemptsEntry,
    TurnEntry,
)
from transcripts.store import CallStore
from transcripts.writing import write_entries

_BATCH = 200
_KINDS: dict[str, TypeAdapter[Entry]] = {
    "turn": TypeAdapter(TurnEntry),
    "event": TypeAdapter(EventEntry),
    "recording": TypeAdapter(RecordingEntry),
    "next_step": TypeAdapter(NextStepEntry),
    "transfer_attempts": TypeAdapter(TransferAttemptsEntry),
    "finish": TypeAdapter(FinishEntry),
    "hand_over": TypeAdapter(HandOverEntry),
    "consent": TypeAdapter(ConsentEntry),
    "forget_words": TypeAdapter(ForgetWordsEntry),
    "less": TypeAdapter(LessEntry),
    "do_not_call": TypeAdapter(DoNotCallEntry),
}
_KIND_OF: dict[type[Entry], str] = {
    TurnEntry: "turn",
    EventEntry: "event",
    RecordingEntry: "recording",
    NextStepEntry: "next_step",
    TransferAttemptsEntry: "transfer_attempts",
    FinishEntry: "finish",
    HandOverEntry: "hand_over",
    ConsentEntry: "consent",
    ForgetWordsEntry: "forget_words",
    LessEntry: "less",
    DoNotCallEntry: "do_not_call",
}


@dataclass(frozen=True, slots=True)
class WaitingEntry:
    """An entry that is not in the database.

    `is_placed`: its place counts from the call's beginning; else from the first place that is free in the database.
    """

    entry: Entry
    is_placed: bool


class Backlog:
    """The files of all processes that share a data folder.

    Args:
        folder: where they are; it is made when there is something to keep.
        name: this process's own name.
        store: where everything belongs.
    """

    def __init__(self, folder: Path, name: str, store: CallStore) -> None:
        self._folder = folder
        self._name = name
        self._store = store
        self._ring = store.ring

    async def keep(self, entries: Sequence[WaitingEntry]) -> int:
        """Keep entries for the next process; to be called once, at the end. Returns how many. Raises OSError."""
        lines = [line for line in map(_encode, entries) if line is not None]
        await asyncio.to_thread(self._write, self._folder / f"{self._name}.jsonl", lines)
        return len(lines)

    async def keep_now(self, entry: Entry) -> None:
        """Keep an entry that must outlive this process however it ends; it is on the disk when this returns.

        Whichever process sweeps next writes it, once the database is back. Its place in the call is settled. Raises
        OSError.
        """
        lines = [line for line in [_encode(WaitingEntry(entry, is_placed=True))] if line is not None]
        await asyncio.to_thread(self._write, self._folder / f"{self._name}.{uuid4().hex}.jsonl", lines)

    async def forget(self, call_ids: Collection[str]) -> list[str]:
        """Remove what was written from files that could not be read to their end, after `take_in`.

        Returns the names of the files in which something of these calls may still wait. Raises OSError.
        """
        return await asyncio.to_thread(self._forget, call_ids)

    async def take_in(self) -> int:
        """Write what ended processes have kept, in order, and remove their files. Returns how many entries that were.

        Nothing happens while another process is at it.

        Raises:
            DatabaseAway: the database does not answer; the files stay.
            OSError: the folder cannot be read or changed.
        """
        if not await asyncio.to_thread(self._list):
            return 0
        lock = await asyncio.to_thread(_lock, self._folder)
        if lock is None:
            return 0
        try:
            # Listed again: another process may have taken them in until a moment ago.
            return sum([await self._take_in_file(file) for file in await asyncio.to_thread(self._list)])
        finally:
            os.close(lock)

    async def _take_in_file(self, file: Path) -> int:
        try:
            waiting, bad_lines = await asyncio.to_thread(self._read, file)
        except SealingKeyMissing as error:
            logger.bind(file=file.name, problem=str(error)).error("log entries that wait in a file cannot be opened")
            return 0
        if any(not each.is_placed for each in waiting):
            waiting = await self._place(waiting)
            # Written down at once: should this process end in the middle, the next one must find the same places.
            await asyncio.to_thread(self._write, file, [line for line in map(_encode, waiting) if line is not None])
        for first in range(0, len(waiting), _BATCH):
            await write_entries(self._store, [each.entry for each in waiting[first : first + _BATCH]])
        if bad_lines:
            logger.bind(file=file.name, lines=bad_lines).error("log entries that waited in a file cannot be read")
            await asyncio.to_thread(file.rename, file.with_suffix(".unreadable"))
        else:
            await asyncio.to_thread(file.unlink)
        metrics.RECOVERIES_TOTAL.labels(kind="log_backlog", outcome="written").inc()
        logger.bind(entries=len(waiting), file=file.name).info("log entries of an ended process were written")
        return len(waiting)

    async def _place(self, waiting: list[WaitingEntry]) -> list[WaitingEntry]:
        places = await self._store.find_places(list({each.entry.call_id for each in waiting if not each.is_placed}))
        placed: list[WaitingEntry] = []
        for each in waiting:
            entry = each.entry
            if not each.is_placed and isinstance(entry, TurnEntry):
                entry = replace(entry, position=entry.position + places[entry.call_id].position)
            elif not each.is_placed and isinstance(entry, EventEntry):
                entry = replace(entry, seq=entry.seq + places[entry.call_id].seq)
            elif not each.is_placed and isinstance(entry, ForgetWordsEntry | LessEntry):
                place = places[entry.call_id]
                entry = replace(entry, position=entry.position + place.position, seq=entry.seq + place.seq)
            placed.append(WaitingEntry(entry, is_placed=True))
        return placed

    async def rewrap(self) -> bool:
        """Seal the lines of all files with the current key. Returns False when another process has the folder now.

        Raises:
            SealingKeyMissing: a key is not here.
            OSError: a file cannot be read or written.
        """
        if not await asyncio.to_thread(self._folder.is_dir):
            return True
        lock = await asyncio.to_thread(_lock, self._folder)
        if lock is None:
            return False
        try:
            await asyncio.to_thread(self._rewrap)
            return True
        finally:
            os.close(lock)

    def count_keys(self) -> dict[str, int]:
        """Count the lines of all files by the id of the key that sealed them; empty: not sealed. Blocks."""
        counts: dict[str, int] = {}
        for file in self._list_all():
            for line in file.read_text(encoding="utf-8").splitlines():
                key_id = key_id_of_text(line) or ""
                counts[key_id] = counts.get(key_id, 0) + 1
        return counts

    def _rewrap(self) -> None:
        current = self._ring.current.key_id
        for file in self._list_all():
            lines = file.read_text(encoding="utf-8").splitlines()
            if any(key_id_of_text(line) != current for line in lines):
                self._replace(file, [self._rewrap_line(line, place_of(file)) for line in lines])

    def _rewrap_line(self, line: str, place: str) -> str:
        try:
            return rewrap_text(line, place, self._ring) if key_id_of_text(line) else seal_text(line, place, self._ring)
        except SealBroken:
            return line

    def _list_all(self) -> list[Path]:
        return sorted([*self._folder.glob("*.jsonl"), *self._folder.glob("*.unreadable")])

    def _read(self, file: Path) -> tuple[list[WaitingEntry], int]:
        """Return the entries of a file, and how many lines are none. Raises `SealingKeyMissing`, OSError."""
        lines: list[str] = []
        for line in file.read_text(encoding="utf-8").splitlines():
            try:
                # A version without seals wrote its lines as they are.
                lines.append(open_text(line, place_of(file), self._ring) if key_id_of_text(line) else line)
            except SealBroken:
                lines.append("")
        return _decode(lines)

    def _forget(self, call_ids: Collection[str]) -> list[str]:
        for file in sorted(self._folder.glob("*.unreadable")):
            # What could be read of it is in the database already.
            lines = file.read_text(encoding="utf-8").splitlines()
            kept = [line for line in lines if not self._is_readable(line, file)]
            if len(kept) < len(lines):
                part = file.with_suffix(".part")
                part.write_text("".join(f"{line}\n" for line in kept), encoding="utf-8")
                part.rename(file)
        return [file.name for file in self._list() if self._may_have(file, call_ids)]

    def _is_readable(self, line: str, file: Path) -> bool:
        try:
            text = open_text(line, place_of(file), self._ring) if key_id_of_text(line) else line
        except (SealBroken, SealingKeyMissing):
            return False
        return not _decode([text])[1]

    def _may_have(self, file: Path, call_ids: Collection[str]) -> bool:
        try:
            waiting, _ = self._read(file)
        except FileNotFoundError:
            return False  # another process has just taken it in
        except SealingKeyMissing:
            return True
        return any(each.entry.call_id in call_ids for each in waiting)

    def _list(self) -> list[Path]:
        return sorted(self._folder.glob("*.jsonl"))

    def _write(self, file: Path, lines: list[str]) -> None:
        self._folder.mkdir(parents=True, exist_ok=True)
        self._replace(file, [seal_text(line, place_of(file), self._ring) for line in lines])

    def _replace(self, file: Path, lines: Sequence[str]) -> None:
        part = file.with_suffix(".part")
        with part.open("w", encoding="utf-8") as out:
            out.writelines(f"{line}\n" for line in lines)
            out.flush()
            os.fsync(out.fileno())
        part.rename(file)
        folder = os.open(self._folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fsync(folder)  # the name too is on the disk
        finally:
            os.close(folder)


def _lock(folder: Path) -> int | None:
    """Lock the folder until the returned file is closed; None when another process has it."""
    directory = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        fcntl.flock(directory, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(directory)
        return None
    return directory


def _encode(waiting: WaitingEntry) -> str | None:
    entry = waiting.entry
    line: dict[str, Any] = {"kind": _KIND_OF[type(entry)], "is_placed": waiting.is_placed}
    try:
        return dump_json({**line, "entry": asdict(entry)})
    except (ValueError, RecursionError, TypeError) as error:
        # The database would refuse it as well: a bot's event data that points to itself, for example.
        metrics.LOG_REFUSED_TOTAL.inc()
        logger.bind(call_id=entry.call_id, entry=type(entry).__name__, problem=type(error).__name__).error(
            "a log entry cannot be kept in a file; it is left out"
        )
        return None


def place_of(file: Path) -> str:
    """Name the place that the lines of a file are sealed for; what makes it another kind of file changes nothing."""
    return f"log-backlog:{file.stem}"


def _decode(lines: Sequence[str]) -> tuple[list[WaitingEntry], int]:
    """Return the entries of a file, and how many lines are none."""
    waiting: list[WaitingEntry] = []
    bad_lines = 0
    for line in lines:
        try:
            read = json.loads(line)
            entry = _KINDS[read["kind"]].validate_python(read["entry"])
            waiting.append(WaitingEntry(entry, bool(read["is_placed"])))
        except (ValueError, KeyError, TypeError, ValidationError):
            bad_lines += 1
    return waiting, bad_lines
