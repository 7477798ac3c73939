"""A backup made, while the server runs or not: database, work for later, recordings, log entries that wait."""

import asyncio
import shutil
from datetime import datetime
from pathlib import Path

from backup.manifest import (
    POSTGRES_COPY,
    RECEIPTS_COPY,
    SQLITE_COPY,
    WORKFLOWS_COPY,
    BadBackup,
    Manifest,
    describe_files,
)
from config.settings import Settings
from privacy.receipts import list_signed
from storage.copies import CannotCopy, copy_sqlite, dump_postgres, find_revision, sqlite_file
from storage.errand import open_database
from storage.key_ring import KEY_FILE
from storage.known_keys import read_known
from transcripts.recording_store import list_call_ids

RECORDINGS, BACKLOG = "recordings", "log-backlog"
SECRETS = (KEY_FILE, "secret.key")
"""What is in a data folder and opens the rest of it."""


def make_backup(settings: Settings, target: Path, *, now: datetime, with_keys: bool, tools: Path | None) -> Manifest:
    """Copy everything into a new folder; returns what was copied. Blocks.

    Args:
        settings: of the server.
        target: is made, or is empty.
        now: aware.
        with_keys: the sealing keys too; whoever has the backup can then read it.
        tools: the folder of PostgreSQL's programs; None: they are on the path.

    Raises:
        BadBackup: the folder has something in it, or keys are asked for that are in no file.
        CannotCopy: the database could not be copied.
        DatabaseAway: it went away meanwhile.
        OSError: something could not be read or written.
    """
    if target.exists() and any(target.iterdir()):
        raise BadBackup(f"{target} has something in it; name a new folder")
    if with_keys and settings.sealing_keys is not None:
        raise BadBackup(
            "the sealing keys are in TRUNKLINE_SEALING_KEYS, not in a file; keep a copy of that, without --with-keys"
        )
    target.mkdir(parents=True, exist_ok=True)
    target.chmod(0o700)
    file = sqlite_file(settings.database_url)
    revision = find_revision(settings.database_url) if file is None or file.exists() else None
    if revision is None:
        raise CannotCopy("there is no database yet; start the server once")
    # The database first: a recording whose call it does not know yet is harmless, a call without its recording is not.
    if file is not None:
        copy_sqlite(file, target / SQLITE_COPY)
        workflows = settings.data_dir / WORKFLOWS_COPY
        if workflows.exists():
            copy_sqlite(workflows, target / WORKFLOWS_COPY)
    else:
        dump_postgres(settings.database_url, target / POSTGRES_COPY, tools)
    _copy_folder(settings.data_dir / BACKLOG, target / BACKLOG)
    recordings = settings.data_dir / RECORDINGS
    for call_id in list_call_ids(recordings):
        _copy_folder(recordings / call_id, target / RECORDINGS / call_id)
    for name in SECRETS if with_keys else ():
        if (settings.data_dir / name).exists():
            shutil.copy2(settings.data_dir / name, target / name)
    keys, receipts = asyncio.run(_read_known(settings))
    (target / RECEIPTS_COPY).write_text(f"[{','.join(receipts)}]", encoding="utf-8")
    manifest = Manifest(
        made_at=now,
        database="postgresql" if file is None else "sqlite",
        revision=revision,
        sealing_keys=keys,
        has_keys=with_keys,
        bucket=settings.recordings_url,
        files=describe_files(target),
    )
    manifest.write(target)
    return manifest


async def _read_known(settings: Settings) -> tuple[dict[str, str], list[str]]:
    """Return the proofs of the sealing keys, and the receipts of erasures."""
    async with open_database(settings, is_unsealed=False, is_migrated=False) as database:
        return await read_known(database), await list_signed(database)


def _copy_folder(source: Path, target: Path) -> None:
    """Copy the files of a folder, as they are now; one that goes away meanwhile was deleted, or moved to the bucket."""
    if not source.is_dir():
        return
    target.mkdir(parents=True)
    for path in source.iterdir():
        if path.suffix == ".part" or not path.is_file():
            continue
        try:
            shutil.copy2(path, target / path.name)
        except FileNotFoundError:
            if not source.is_dir():
                shutil.rmtree(target)
                return
