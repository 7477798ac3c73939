"""Everything that is held on a number, as a zip that is made while it is sent: JSON for rows, WAV for recordings."""

import asyncio
import json
from collections.abc import AsyncGenerator, Sequence
from datetime import UTC, datetime
from typing import Any, cast
from zipfile import ZIP_DEFLATED, ZIP_STORED, ZipFile, ZipInfo

from loguru import logger
from sqlmodel import SQLModel, col, inspect, select

from privacy import people
from privacy.tables import ReceiptRow
from storage.engine import Database
from storage.envelope import SealingError
from storage.key_ring import number_index
from storage.rows import Row
from storage.sealing_rows import seal_old_rows
from transcripts.bucket import BucketAway
from transcripts.call import CallStatus
from transcripts.do_not_call import DoNotCallRow
from transcripts.models import CallRow
from transcripts.recording_reader import WavFile
from transcripts.recording_store import RecordingStore

_AT_ONCE = 50
_PIECE_BYTES = 1 << 18
_HASHES = frozenset({"word_hashes"})
"""Tables that say nothing to a reader: what they were made of is in the export."""
_LEFT_OUT = frozenset({"secret", "secret_name", "owner", "claim"})
_README = """This is everything that was held on the number at the moment it was exported.

index.json            the number, the time, how many of what
do-not-call.json      whether the number is on the list of numbers that are not called
calls/<id>/call.json  one call, with its turns, events and everything else that hangs on it; times in UTC
calls/<id>/call.wav   what was recorded of it: the caller left, the agent right
rung-for-others.json  where the number was rung for another caller
records.json          records of agents that have the number in them
erasures.json         receipts of earlier erasures
"""


class _Pipe:
    """What ZipFile writes into: kept until it is taken."""

    def __init__(self) -> None:
        self._parts: list[bytes] = []

    def write(self, data: bytes) -> int:
        self._parts.append(bytes(data))
        return len(data)

    def flush(self) -> None:
        """Nothing is held back."""

    def take(self) -> bytes:
        """Return what was written since."""
        taken, self._parts = b"".join(self._parts), []
        return taken


async def export_person(db: Database, recordings: RecordingStore, number: str) -> AsyncGenerator[bytes]:
    """Yield the zip, piece by piece; never more of it is in memory than one call's rows or a piece of its recording.

    Compressing and reading files happen in threads. May raise `DatabaseAway`, also in the middle.
    """
    pipe = _Pipe()
    archive = ZipFile(cast(Any, pipe), "w", ZIP_DEFLATED)
    await seal_old_rows(db)  # until then a row of a version without seals is found by no number
    index, counts = number_index(db.ring, number), dict[str, int]()
    now = datetime.now(UTC)

    async def add(name: str, content: bytes) -> bytes:
        def write() -> bytes:
            archive.writestr(_member(name, now), content, ZIP_DEFLATED)
            return pipe.take()

        return await asyncio.to_thread(write)

    yield await add("README.txt", _README.encode())
    async for call_id, content, has_recording in _calls(db, index):
        counts["calls"] = counts.get("calls", 0) + 1
        yield await add(f"calls/{call_id}/call.json", content)
        if has_recording:
            async for piece in _wav(archive, pipe, recordings, call_id, now):
                yield piece
    for name, rows in (
        ("do-not-call.json", await _rows(db, DoNotCallRow, col(DoNotCallRow.number_index) == index)),
        ("erasures.json", await _rows(db, ReceiptRow, col(ReceiptRow.person_hash) == index)),
        ("records.json", [_plain(row) async for row in people.scan_records(db, number)]),
        ("rung-for-others.json", [_plain(row) async for row in people.scan_transfers(db, number)]),
    ):
        counts[name.removesuffix(".json")] = len(rows)
        yield await add(name, _json(rows))
    yield await add("index.json", _json({"number": number, "exported_at": now, "counts": counts}))

    def finish() -> bytes:
        archive.close()
        return pipe.take()

    yield await asyncio.to_thread(finish)


async def _calls(db: Database, index: str) -> AsyncGenerator[tuple[str, bytes, bool]]:
    behind = ""
    while True:
        query = select(CallRow).where(people.is_of(index), col(CallRow.call_id) > behind).order_by(col(CallRow.call_id))
        async with db.reader() as session:
            rows = (await session.exec(query.limit(_AT_ONCE))).all()
        for row in rows:
            behind = row.call_id
            content: dict[str, Any] = {"call": _plain(row)}
            for row_class, column, _ in people.of_calls():
                name = people.table_name(row_class)
                if name not in _HASHES:
                    found = await _rows(db, row_class, col(getattr(row_class, column)) == row.call_id)
                    if found:
                        content[name] = found
            is_over = row.status == CallStatus.ENDED
            yield row.call_id, await asyncio.to_thread(_json, content), is_over
        if len(rows) < _AT_ONCE:
            return


async def _rows(db: Database, row_class: type[Row], condition: Any) -> list[dict[str, Any]]:
    async with db.reader() as session:
        return [_plain(row) for row in (await session.exec(select(cast(Any, row_class)).where(condition))).all()]


async def _wav(
    archive: ZipFile, pipe: _Pipe, recordings: RecordingStore, call_id: str, now: datetime
) -> AsyncGenerator[bytes]:
    try:
        wav = WavFile(await recordings.in_thread(recordings.open, call_id))
    except FileNotFoundError:
        return
    except (SealingError, BucketAway, ValueError, OSError) as error:
        logger.bind(call_id=call_id, problem=type(error).__name__).error("a recording could not be exported")
        yield await asyncio.to_thread(_add_note, archive, pipe, f"calls/{call_id}/recording-unreadable.txt", now)
        return
    # Sound is not made smaller by being compressed, only slower.
    info = _member(f"calls/{call_id}/call.wav", now)
    info.compress_type = ZIP_STORED
    with archive.open(info, "w") as member:
        for start in range(0, wav.bytes_count, _PIECE_BYTES):

            def copy(start: int = start) -> bytes:
                member.write(wav.read(start, start + _PIECE_BYTES))
                return pipe.take()

            yield await recordings.in_thread(copy)
    yield pipe.take()


def _add_note(archive: ZipFile, pipe: _Pipe, name: str, now: datetime) -> bytes:
    archive.writestr(_member(name, now), b"There is a recording, and it could not be read.\n")
    return pipe.take()


def _member(name: str, now: datetime) -> ZipInfo:
    info = ZipInfo(name, now.timetuple()[:6])
    info.external_attr = 0o600 << 16
    return info


def _plain(row: SQLModel) -> dict[str, Any]:
    columns: Sequence[str] = [column.name for column in inspect(type(row)).columns]
    return {name: getattr(row, name) for name in columns if name not in _LEFT_OUT and not name.endswith("_index")}


def _json(value: Any) -> bytes:
    return json.dumps(value, indent=2, ensure_ascii=False, default=_spell).encode("utf-8", "replace")


def _spell(value: object) -> str:
    return value.astimezone(UTC).isoformat() if isinstance(value, datetime) else str(value)
