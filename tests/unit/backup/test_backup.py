"""A backup and what is made of it again: whole, sealed, and refused wherever it does not fit."""

import asyncio
import json
import shutil
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from backup.erasures import CannotErase, Erasures, read_receipts
from backup.making import make_backup
from backup.manifest import MANIFEST, BadBackup, read_manifest
from backup.restoring import CannotRestore, restore
from config.settings import Settings
from privacy.errands import erase
from storage.copies import CannotCopy
from storage.engine import Database
from storage.envelope import SealingError
from storage.key_ring import KeyRing
from tests.databases import postgres_tools, shared_postgres
from transcripts.call import Call, CallStatus, Direction, EndReason, Speaker, Turn
from transcripts.recording_reader import WavFile
from transcripts.recording_store import RecordingStore
from transcripts.store import CallStore

NOW = datetime(2026, 11, 29, 12, 0, tzinfo=UTC)
WORDS = "My name is Alex Morgan."
SOUND = b"\x10\x27" * 24_000


@dataclass
class Kept:
    """A server's data, without a server."""

    settings: Settings
    folder: Path

    def somewhere_else(self, name: str = "new") -> Settings:
        """Settings of a server that shall be made of a backup."""
        data_dir = self.folder / name
        is_sqlite = self.settings.database_url.startswith("sqlite")
        url = f"sqlite+aiosqlite:///{data_dir}/trunkline.db" if is_sqlite else shared_postgres().create_database()
        return self.settings.model_copy(update={"data_dir": data_dir, "database_url": url})

    def take_keys(self, settings: Settings) -> None:
        settings.data_dir.mkdir(parents=True, exist_ok=True)
        shutil.copy2(self.settings.data_dir / "sealing.keys", settings.data_dir / "sealing.keys")

    def back_up(self, name: str = "copy", **options: Any) -> Path:
        target = self.folder / name
        make_backup(self.settings, target, now=NOW, tools=postgres_tools(), **({"with_keys": False} | options))
        return target


async def fill(settings: Settings) -> None:
    keys = KeyRing.load(settings)
    database = Database(settings.database_url, keys)
    await database.connect(10)
    await database.migrate()
    store = CallStore(database)
    await store.open_call(Call("c1", "CA1", "front-desk", Direction.INBOUND, "+15557654321", "+15551230100", {}, NOW))
    await store.go_live("c1")
    await store.add_turn("c1", 0, Turn(Speaker.CALLER, WORDS, 0, 900))
    writer = RecordingStore.of(settings, keys).writer("c1", 8000)
    writer.add(Speaker.CALLER, 0, SOUND)
    await writer.close()
    await store.finish_call("c1", EndReason.CALLER_HUNG_UP)
    await database.close()


async def read(settings: Settings) -> tuple[str, str, bytes] | None:
    """Number, words and sound of the call; None when there is no such call."""
    keys = KeyRing.load(settings)
    database = Database(settings.database_url, keys)
    await database.connect(10)
    try:
        await database.migrate()
        row = await CallStore(database).get_call("c1")
        if row is None:
            return None
        assert row.status == CallStatus.ENDED
        turns = await CallStore(database).list_turns("c1")
        reader = RecordingStore.of(settings, keys).open("c1")
        return str(row.from_number), turns[0].text, WavFile(reader, Speaker.CALLER).read_all()[44:]
    finally:
        await database.close()


@pytest.fixture
async def kept(database_url: str, tmp_path: Path) -> Kept:
    url = database_url.replace(str(tmp_path), str(tmp_path / "data"))
    settings = Settings.load(env_file=None, data_dir=tmp_path / "data", database_url=url, sealing_keys=None)
    await fill(settings)
    return Kept(settings, tmp_path)


async def test_everything_is_there_again_with_its_keys_and_nothing_without(kept: Kept) -> None:
    copy = await asyncio.to_thread(kept.back_up)
    manifest = read_manifest(copy)
    assert (manifest.made_at, manifest.has_keys) == (NOW, False)
    everything = b"".join(path.read_bytes() for path in copy.rglob("*") if path.is_file())  # noqa: ASYNC240
    for secret in (WORDS.encode(), SOUND[:64], b"+15557654321"):
        assert secret not in everything
    new = kept.somewhere_else()
    with pytest.raises(SealingError, match=r"sealed with the key .*put it back"):
        await asyncio.to_thread(restore, new, copy, tools=postgres_tools())
    assert [path.name for path in new.data_dir.iterdir()] == []
    new = kept.somewhere_else("another")
    kept.take_keys(new)
    done = await asyncio.to_thread(restore, new, copy, tools=postgres_tools())
    assert done.manifest == manifest
    assert await read(new) == ("+15557654321", WORDS, SOUND)
    assert not (new.data_dir / "restoring").exists()


async def test_with_the_keys_in_it_nothing_else_is_needed(kept: Kept) -> None:
    copy = await asyncio.to_thread(lambda: kept.back_up(with_keys=True))
    new = kept.somewhere_else()
    await asyncio.to_thread(restore, new, copy, tools=postgres_tools())
    assert (new.data_dir / "sealing.keys").stat().st_mode & 0o077 == 0
    assert await read(new) == ("+15557654321", WORDS, SOUND)


async def test_who_was_erased_after_the_copy_stays_erased(kept: Kept) -> None:
    older = await asyncio.to_thread(kept.back_up)
    receipts = kept.folder / "receipts"
    receipts.mkdir()
    receipt = await erase(kept.settings, "+15557654321")
    (receipts / "one.json").write_text(receipt)
    newer = await asyncio.to_thread(lambda: kept.back_up(name="newer"))
    # The same second as the erasure, in which a receipt of an earlier version begins.
    made_at = datetime.fromisoformat(json.loads(receipt)["completed_at"]) + timedelta(milliseconds=900)

    async def restored(name: str, *places: Path) -> tuple[int, Settings]:
        new = kept.somewhere_else(name)
        kept.take_keys(new)
        erasures = Erasures(read_receipts(places), made_at)
        done = await asyncio.to_thread(lambda: restore(new, older, erasures.again, tools=postgres_tools()))
        return done.erased, new

    erased, without = await restored("without")
    assert (erased, await read(without)) == (0, ("+15557654321", WORDS, SOUND))
    erased, new = await restored("by-copy", newer)
    assert erased == 1
    assert await read(new) is None
    assert not (new.data_dir / "recordings" / "c1").exists()
    by_place = [read_receipts([place]) for place in (newer, receipts, receipts / "one.json")]
    assert [[json.loads(text) for text in texts] for texts in by_place] == [[json.loads(receipt)]] * 3
    (receipts / "one.json").write_text(receipt.replace(json.loads(receipt)["person_hash"], "0" * 32))
    with pytest.raises((CannotErase, CannotRestore), match="signature"):
        await restored("forged", receipts)
    left = {path.name for path in (kept.folder / "forged").iterdir()}  # noqa: ASYNC240
    assert left == {"sealing.keys"}
    (receipts / "one.json").write_text("nonsense")
    with pytest.raises(CannotErase, match="is no receipt"):
        read_receipts([receipts])


async def test_what_does_not_fit_is_refused_and_nothing_is_touched(kept: Kept) -> None:
    copy = await asyncio.to_thread(kept.back_up)
    again = await asyncio.to_thread(lambda: pytest.raises(BadBackup, kept.back_up))
    assert "has something in it" in str(again.value)

    async def refused(problem: type[Exception], words: str, settings: Settings, source: Path = copy) -> None:
        with pytest.raises(problem, match=words):
            await asyncio.to_thread(restore, settings, source, tools=postgres_tools())

    await refused(CannotRestore, "is not empty .*recordings.*TRUNKLINE_DATA_DIR", kept.settings)
    full = kept.settings.model_copy(update={"data_dir": kept.folder / "empty"})
    await refused(CannotRestore, "is there already|has calls in it", full)
    new = kept.somewhere_else()
    other = "postgresql+psycopg://u@h/n" if new.database_url.startswith("sqlite") else "sqlite+aiosqlite:///x.db"
    await refused(CannotRestore, "set one of its kind", new.model_copy(update={"database_url": other}))
    await refused(BadBackup, "no manifest.json", new, kept.folder)
    manifest = copy / MANIFEST
    told = json.loads(manifest.read_text())
    for change, words in (
        ({"revision": "9999"}, "newer version"),
        ({"files": {**told["files"], "../../x": {"size": 1, "sha256": ""}}}, "is not in the backup"),
        ({"form": "trunkline-backup-2"}, "cannot be read"),
        ({"files": {**told["files"], "gone": {"size": 1, "sha256": ""}}}, "gone is missing"),
    ):
        manifest.write_text(json.dumps(told | change))
        await refused(Exception, words, new)
    manifest.write_text(json.dumps(told))
    segment = copy / "recordings" / "c1" / "000000.sealed"
    segment.write_bytes(segment.read_bytes()[:-1])
    await refused(BadBackup, "000000.sealed is not as it was", new)
    assert not new.data_dir.exists()


def test_keys_of_the_environment_and_missing_tools_are_said(tmp_path: Path) -> None:
    nothing = Settings.load(env_file=None, data_dir=tmp_path / "data", sealing_keys=None)
    with pytest.raises(CannotCopy, match="no database yet"):
        make_backup(nothing, tmp_path / "copy", now=NOW, with_keys=False, tools=None)
    away = nothing.model_copy(update={"database_url": "postgresql+psycopg://u:secret@127.0.0.1:1/n"})
    with pytest.raises(CannotCopy, match="does not answer") as caught:
        make_backup(away, tmp_path / "copy", now=NOW, with_keys=False, tools=None)
    assert "secret" not in str(caught.value)
    url = shared_postgres().create_database()
    there = nothing.model_copy(update={"database_url": url})
    with pytest.raises(CannotCopy, match="no database yet"):
        make_backup(there, tmp_path / "copy", now=NOW, with_keys=False, tools=tmp_path)
    from storage.copies import dump_postgres

    with pytest.raises(CannotCopy, match="--pg-tools"):
        dump_postgres(url, tmp_path / "x", tmp_path)
