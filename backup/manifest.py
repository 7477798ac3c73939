"""What a backup is: its files with their sizes and checksums, when it was made and of what."""

import hashlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

from pydantic import AwareDatetime, BaseModel, ConfigDict, ValidationError

FORM = "trunkline-backup-1"
MANIFEST = "manifest.json"
RECEIPTS_COPY = "receipts.json"
"""Receipts of all who were erased before the backup was made: with them an older one is restored."""
SQLITE_COPY, POSTGRES_COPY, WORKFLOWS_COPY = "trunkline.db", "trunkline.pgdump", "workflows.sqlite"
_PIECE_BYTES = 1 << 20


class BadBackup(Exception):
    """The folder is no backup, or not a whole one; the message says what is wrong with it."""


class KeptFile(BaseModel):
    """One file of a backup."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    size: int
    sha256: str


class Manifest(BaseModel):
    """All of a backup. Paths are relative to its folder, with / between."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    form: Literal["trunkline-backup-1"] = FORM
    made_at: AwareDatetime
    database: Literal["sqlite", "postgresql"]
    revision: str
    """The migration that the database is at."""
    sealing_keys: dict[str, str]
    """The keys that something in it is sealed with: id -> proof."""
    has_keys: bool
    """The sealing keys are in it."""
    bucket: str | None
    """Where recordings are that are not in it."""
    files: dict[str, KeptFile]

    def write(self, folder: Path) -> None:
        """Write it, last of all: a folder without it is no backup."""
        draft = folder / f"{MANIFEST}.part"
        draft.write_text(self.model_dump_json(indent=1), encoding="utf-8")
        draft.rename(folder / MANIFEST)


def read_manifest(folder: Path) -> Manifest:
    """Read what a backup says of itself. Raises `BadBackup`."""
    try:
        return Manifest.model_validate_json((folder / MANIFEST).read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise BadBackup(f"{folder} has no {MANIFEST}: it is no backup, or one that was not finished") from None
    except (ValidationError, json.JSONDecodeError, UnicodeDecodeError) as error:
        raise BadBackup(
            f"{folder / MANIFEST} cannot be read; take another backup, or the version that made it"
        ) from error


def describe_files(folder: Path) -> dict[str, KeptFile]:
    """Return every file below a folder, by its path in it."""
    paths = sorted(path for path in folder.rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix(): describe(path) for path in paths}


def describe(path: Path) -> KeptFile:
    """Return a file's size and checksum."""
    found, size = hashlib.sha256(), 0
    for piece in _pieces(path):
        found.update(piece)
        size += len(piece)
    return KeptFile(size=size, sha256=found.hexdigest())


def check_files(folder: Path, manifest: Manifest) -> None:
    """Compare each file with what the manifest says. Raises `BadBackup` for the first that is missing or changed."""
    for name, told in manifest.files.items():
        path = folder / name
        if not path.resolve().is_relative_to(folder.resolve()):
            raise BadBackup(f"{MANIFEST} names {name}, which is not in the backup")
        if not path.is_file():
            raise BadBackup(f"{path} is missing; take another backup")
        if describe(path) != told:
            raise BadBackup(f"{path} is not as it was backed up; take another backup")


def _pieces(path: Path) -> Iterator[bytes]:
    with path.open("rb") as file:
        while piece := file.read(_PIECE_BYTES):
            yield piece
