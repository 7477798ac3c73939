"""A server's data folder and database made of a backup again: all of it, or nothing.

Everything is checked and put beside its place first, in `<data folder>/restoring`; people who were erased after the
backup was made are erased there, so that they do not come back for a moment. Then it is moved into its place, the
database last.
"""

import asyncio
import shutil
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path

from backup.erasures import CannotErase
from backup.making import BACKLOG, RECORDINGS, SECRETS
from backup.manifest import POSTGRES_COPY, SQLITE_COPY, WORKFLOWS_COPY, BadBackup, Manifest, check_files, read_manifest
from config.settings import Settings
from storage.copies import fill_postgres, has_tables, sqlite_file
from storage.engine import Database
from storage.envelope import SealingError
from storage.errand import open_database
from storage.errors import DatabaseAway
from storage.key_ring import KeyRing
from storage.known_keys import check
from storage.schema import is_known
from transcripts.owners import Owners

_STAGING = "restoring"
_PARTS = (BACKLOG, RECORDINGS, WORKFLOWS_COPY)

EraseAgain = Callable[[Settings, KeyRing, Database], Awaitable[int]]
"""Erases in a restored server who was erased after its backup was made; returns how many people."""


class CannotRestore(Exception):
    """Nothing was restored; the message says why, and the cure."""


@dataclass(frozen=True, slots=True)
class Restored:
    """What was restored, and how many people were erased again."""

    manifest: Manifest
    erased: int


def restore(settings: Settings, source: Path, erase_again: EraseAgain | None = None, *, tools: Path | None) -> Restored:
    """Restore a backup into an empty data folder and an empty database. Blocks; no server runs there.

    Args:
        settings: of the server that shall be.
        source: the backup.
        erase_again: sees to it that erased people stay erased.
        tools: the folder of PostgreSQL's programs; None: they are on the path.

    Raises:
        BadBackup: the backup is not whole.
        CannotRestore: it does not fit here.
        CannotErase: somebody who was erased would come back.
        CannotCopy: PostgreSQL's program did not do it.
        SealingError: the keys that it was sealed with are not here; the message has the cure.
        DatabaseAway: the database does not answer.
        OSError: something could not be read or written.

    A PostgreSQL database is filled before people are erased in it: should that fail, it has to be made anew.
    """
    manifest = read_manifest(source)
    _refuse_misfits(settings, manifest)
    check_files(source, manifest)
    staging = settings.data_dir / _STAGING
    shutil.rmtree(staging, ignore_errors=True)  # of a restore that was interrupted
    staging.mkdir(parents=True)
    try:
        for name in manifest.files:
            path = staging / name
            path.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(source / name, path)
        _take_keys(settings, staging)
        keys = KeyRing.load(settings)
        check(keys, manifest.sealing_keys)
        there = settings.model_copy(update={"data_dir": staging} | _database_in(settings, staging))
        if manifest.database == "postgresql":
            fill_postgres(settings.database_url, staging / POSTGRES_COPY, tools)
        try:
            erased = asyncio.run(_open(there, keys, erase_again))
        except (CannotErase, SealingError, DatabaseAway, OSError) as error:
            if manifest.database == "sqlite":
                raise
            raise CannotRestore(
                f"{error} (the database was filled already: make it anew before you try again)"
            ) from error
        for name in _PARTS:
            if (staging / name).exists():
                (staging / name).rename(settings.data_dir / name)
        file = sqlite_file(settings.database_url)
        if file is not None:
            file.parent.mkdir(parents=True, exist_ok=True)
            shutil.move(staging / SQLITE_COPY, file)
    finally:
        shutil.rmtree(staging, ignore_errors=True)
    return Restored(manifest, erased)


def _refuse_misfits(settings: Settings, manifest: Manifest) -> None:
    """Refuse what can be known before anything is touched."""
    file = sqlite_file(settings.database_url)
    kind = "postgresql" if file is None else "sqlite"
    if manifest.database != kind:
        raise CannotRestore(
            f"the backup is of {manifest.database}, and TRUNKLINE_DATABASE_URL names {kind}; set one of its kind"
        )
    if not is_known(manifest.revision):
        raise CannotRestore("the backup was made by a newer version of Trunkline; restore it with that one")
    data_dir = settings.data_dir
    left = sorted(path.name for path in data_dir.iterdir()) if data_dir.is_dir() else []
    left = [name for name in left if name not in (*SECRETS, _STAGING)]
    if left:
        raise CannotRestore(
            f"{data_dir} is not empty ({', '.join(left[:5])}); move it away, or set TRUNKLINE_DATA_DIR to a new folder"
        )
    if file is not None and file.exists():
        raise CannotRestore(f"{file} is there already; move it away")
    if file is None and has_tables(settings.database_url):
        raise CannotRestore("the database of TRUNKLINE_DATABASE_URL has calls in it; make an empty one and name that")


def _take_keys(settings: Settings, staging: Path) -> None:
    """Take the secrets of the backup, where there are none here: those that are here are there on purpose."""
    for name in SECRETS:
        if (staging / name).exists() and not (settings.data_dir / name).exists() and settings.sealing_keys is None:
            (staging / name).chmod(0o600)
            shutil.copy2(staging / name, settings.data_dir / name)


def _database_in(settings: Settings, staging: Path) -> dict[str, str]:
    is_sqlite = sqlite_file(settings.database_url) is not None
    return {"database_url": f"sqlite+aiosqlite:///{staging / SQLITE_COPY}"} if is_sqlite else {}


async def _open(settings: Settings, keys: KeyRing, erase_again: EraseAgain | None) -> int:
    """Open the restored database, which proves that its keys are here, and bring it up to date."""
    async with open_database(settings, keys=keys) as database:
        # Nobody holds any of them: there was no server here.
        owners = Owners(database)
        for owner in await owners.list_owners():
            await owners.close_calls_of(owner)
        return 0 if erase_again is None else await erase_again(settings, keys, database)


__all__ = ["BadBackup", "CannotRestore", "EraseAgain", "Restored", "restore"]
