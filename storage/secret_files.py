"""Files that hold secrets: made once whoever comes first, whole or not at all, readable by their owner only. Blocks."""

import os
import secrets
from pathlib import Path


class FileExposed(Exception):
    """A file that holds secrets may be read by others."""


def read_secret(path: Path) -> bytes:
    """Return what is in the file. Raises `FileExposed` with the cure, FileNotFoundError, other OSErrors."""
    with path.open("rb") as file:
        if os.fstat(file.fileno()).st_mode & 0o077:
            raise FileExposed(f"{path}: may be read by others; run: chmod 600 {path}")
        return file.read()


def make_once(path: Path, content: bytes) -> bool:
    """Write the file, if there is none. Of any number of processes at once one is told True."""
    draft = _draft(path, content)
    try:
        # A link appears whole or not at all, and never over a file that another process was faster to make.
        os.link(draft, path)
    except FileExistsError:
        return False
    finally:
        draft.unlink()
    _keep_folder(path.parent)
    return True


def replace(path: Path, content: bytes) -> None:
    """Put the content into the file's place at once: whoever reads it finds the old one or the new one."""
    _draft(path, content).rename(path)
    _keep_folder(path.parent)


def _draft(path: Path, content: bytes) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(f"{path.name}.{secrets.token_hex(8)}")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with open(descriptor, "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    return draft


def _keep_folder(folder: Path) -> None:
    # A file's name outlives a power cut only once its folder was written.
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
