"""The key that signs stream tokens: made once per data folder, shared by every process that uses the folder."""

import hashlib
import hmac
import os
import secrets
from pathlib import Path

KEY_BYTES = 32


class BadSecretKey(Exception):
    """The key file cannot be used."""


def load_or_create(path: Path) -> bytes:
    """Return the key in `path`; make the file, readable by its owner only, when there is none.

    Of any number of processes that start at once, one makes the key and all return it. Reads and writes files: call it
    before the event loop runs, or in a thread. Raises `BadSecretKey` for a file of the wrong size, and OSError.
    """
    try:
        return _read(path)
    except FileNotFoundError:
        path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(f"{path.name}.{secrets.token_hex(8)}")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with open(descriptor, "wb") as file:
            file.write(secrets.token_bytes(KEY_BYTES))
            file.flush()
            os.fsync(file.fileno())
        try:
            # A link appears whole or not at all, and never over a key that another process was faster to make.
            os.link(draft, path)
        except FileExistsError:
            return _read(path)
    finally:
        draft.unlink()
    return _read(path)


def derive(secret: bytes, purpose: str) -> bytes:
    """Return the key for one purpose, 32 bytes: who learns it knows neither the secret nor the key of another one."""
    return hmac.digest(secret, f"trunkline/{purpose}".encode(), hashlib.sha256)


def _read(path: Path) -> bytes:
    key = path.read_bytes()
    if len(key) != KEY_BYTES:
        raise BadSecretKey(f"{path}: holds {len(key)} bytes instead of {KEY_BYTES}; delete it, a new one will be made")
    if path.stat().st_mode & 0o077:
        raise BadSecretKey(f"{path}: may be read by others; run: chmod 600 {path}")
    return key
