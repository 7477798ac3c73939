"""The key that signs stream tokens: made once per data folder, shared by every process that uses the folder."""

import hashlib
import hmac
import secrets
from pathlib import Path

from storage.secret_files import FileExposed, make_once, read_secret

KEY_BYTES = 32


class BadSecretKey(Exception):
    """The key file cannot be used."""


def load_or_create(path: Path) -> bytes:
    """Return the key in `path`; make the file, readable by its owner only, when there is none.

    Of any number of processes that start at once, one makes the key and all return it. Reads and writes files: call it
    before the event loop runs, or in a thread. Raises `BadSecretKey` for a file of the wrong size, and OSError.
    """
    if not path.exists():
        make_once(path, secrets.token_bytes(KEY_BYTES))
    if (size := path.stat().st_size) != KEY_BYTES:
        raise BadSecretKey(f"{path}: holds {size} bytes instead of {KEY_BYTES}; delete it, a new one will be made")
    try:
        return read_secret(path)
    except FileExposed as error:
        raise BadSecretKey(str(error)) from error


def derive(secret: bytes, purpose: str) -> bytes:
    """Return the key for one purpose, 32 bytes: who learns it knows neither the secret nor the key of another one."""
    return hmac.digest(secret, f"trunkline/{purpose}".encode(), hashlib.sha256)
