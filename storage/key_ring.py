"""The sealing keys of this server, by id, and the keys made for other purposes that they seal.

They come from `TRUNKLINE_SEALING_KEYS`, or else from `<data folder>/sealing.keys`, one `id:base64` a line; in both the
first one is the current one, that new values are sealed with. The file is made at the first start.
"""

import fcntl
import hashlib
import hmac
import os
import secrets
import time
from collections.abc import Generator, Iterable, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Final

from config.sealing_keys import KEY_BYTES, BadSealingKeys, KeyText, read_keys
from config.settings import Settings
from storage.envelope import SealingError, SealingKey, make_key
from storage.secret_files import FileExposed, make_once, read_secret, replace

KEY_FILE = "sealing.keys"
NUMBERS: Final = "numbers"
"""The purpose of the key that telephone numbers are hashed with, so that a row is found by its number."""
_LOOK_AGAIN_SECS = 1.0
_HEADING = (
    "# Sealing keys; the first is the current one. Without them nothing that is sealed can ever be read: keep a copy.\n"
)


class SealingKeyMissing(SealingError):
    """A value was sealed with a key that is not here. Put it back, or nothing that it sealed can ever be read."""


class BadKeyFile(SealingError):
    """The file of sealing keys cannot be used."""


class KeyRing:
    """Sealing keys and purpose keys of one process. Looking one up is immediate, but for a file that is read again.

    Args:
        keys: the first one is the current one; empty until the first start has made one.
        file: where they were read from; it is read again for a key that is not known. None: from the settings.
    """

    def __init__(self, keys: Sequence[KeyText] = (), file: Path | None = None) -> None:
        self.file = file
        self._keys: list[SealingKey] = []
        self._purposes: Mapping[str, bytes] = {}
        self._sealed_tables: frozenset[str] = frozenset()
        self._missed_at = float("-inf")
        self._take(keys)

    @classmethod
    def load(cls, settings: Settings) -> "KeyRing":
        """Read the keys of a server with these settings; makes none. Blocks.

        Raises:
            BadKeyFile: the file of keys cannot be used; the message has the cure.
        """
        if settings.sealing_keys is not None:
            return cls(read_keys(settings.sealing_keys.get_secret_value().split(",")))
        file = settings.data_dir / KEY_FILE
        return cls(_read_file(file), file)

    @property
    def current(self) -> SealingKey:
        """The key that new values are sealed with. Raises `SealingKeyMissing` when there is none at all."""
        if not self._keys:
            raise SealingKeyMissing("there is no sealing key, so nothing private can be read or written")
        return self._keys[0]

    @property
    def is_usable(self) -> bool:
        """Whether it has a key or knows where to make one."""
        return bool(self._keys) or self.file is not None

    @property
    def key_ids(self) -> list[str]:
        """The ids of all keys, the current one first."""
        return [key.key_id for key in self._keys]

    def find(self, key_id: str) -> SealingKey:
        """Return a key; the file is read again for one that is not known, and once a second for one it has not.

        Raises:
            SealingKeyMissing: it is not here.
        """
        found = self._find(key_id)
        if found is None and self.file is not None and time.monotonic() - self._missed_at > _LOOK_AGAIN_SECS:
            # Another process has made it a moment ago. Some hundred bytes, once for each rotation.
            self.read_again()
            found = self._find(key_id)
        if found is None:
            self._missed_at = time.monotonic()
            where = self.file or "TRUNKLINE_SEALING_KEYS"
            raise SealingKeyMissing(
                f"the sealing key {key_id} is not in {where}; put it back: what it sealed is lost without"
            )
        return found

    def read_again(self) -> None:
        """Take up what has changed in the file, if the keys come from one. Blocks for a moment.

        Raises:
            BadKeyFile: it cannot be used any more.
        """
        if self.file is not None:
            self._take(_read_file(self.file))

    def make_first(self) -> None:
        """Make the file with its first key, unless another process was faster; either way it is read. Blocks.

        Raises:
            BadKeyFile: it cannot be made or used.
        """
        if self.file is not None and not self._keys:
            try:
                make_once(self.file, f"{_HEADING}{_new_key()}\n".encode("ascii"))
            except OSError as error:
                raise BadKeyFile(
                    f"{self.file}: cannot be written ({error.strerror}); make its folder writable"
                ) from error
            self.read_again()

    def make_another(self) -> str:
        """Put a new key before those of the file and return its id; other processes find it when they need it. Blocks.

        Raises:
            BadKeyFile: the keys come from no file, or it cannot be used.
        """
        if self.file is None:
            raise BadKeyFile("the keys come from TRUNKLINE_SEALING_KEYS; put the new one first there, and restart")
        try:
            with _locked(self.file.parent):
                new = _new_key()
                keys = "".join(f"{key}\n" for key in (new, *_read_file(self.file)))
                replace(self.file, (_HEADING + keys).encode("ascii"))
        except OSError as error:
            raise BadKeyFile(f"{self.file}: cannot be written ({error.strerror}); make it writable") from error
        self.read_again()
        return new.key_id

    def take_purposes(self, purposes: Mapping[str, bytes]) -> None:
        """Take the keys for other purposes, by purpose, as `storage.purpose_keys` found them in the database."""
        self._purposes = dict(purposes)

    def take_sealed_tables(self, names: Iterable[str]) -> None:
        """Take the names of the tables from which nothing in the clear is accepted, in place of those known."""
        self._sealed_tables = frozenset(names)

    def add_sealed_table(self, name: str) -> None:
        """Accept nothing in the clear in this table either, as long as the process lives."""
        self._sealed_tables |= {name}

    def is_sealed_wholly(self, table: str) -> bool:
        """Return whether a value in the clear in one of its sealed columns was put there by somebody else."""
        return table in self._sealed_tables

    def purpose(self, name: str) -> bytes:
        """Return the 32 bytes of a purpose's key, which stays the same whatever sealing keys come and go.

        Raises:
            SealingKeyMissing: the database has not been asked yet, or knows no such purpose.
        """
        try:
            return self._purposes[name]
        except KeyError:
            raise SealingKeyMissing(f"the key for {name} has not been read from the database yet") from None

    def _find(self, key_id: str) -> SealingKey | None:
        return next((key for key in self._keys if key.key_id == key_id), None)

    def _take(self, keys: Sequence[KeyText]) -> None:
        self._keys = [make_key(key.key_id, key.key) for key in keys]


def keyed_hash(ring: KeyRing, purpose: str, text: str) -> str:
    """Return a text's hash by a purpose's key: 32 hexadecimal digits, the same for the same text of one database."""
    code = hmac.new(ring.purpose(purpose), text.encode("utf-8", "surrogatepass"), hashlib.sha256)
    return code.hexdigest()[:32]


def number_index(ring: KeyRing, number: str) -> str:
    """Return what a telephone number (E.164) is found by in the `..._index` columns."""
    return keyed_hash(ring, NUMBERS, number.strip())


def _new_key() -> KeyText:
    # The day tells an operator which key is which; the rest tells two of one day apart.
    return KeyText(f"{datetime.now():%Y-%m-%d}-{secrets.token_hex(3)}", secrets.token_bytes(KEY_BYTES))


def _read_file(file: Path) -> list[KeyText]:
    try:
        return read_keys(read_secret(file).decode("ascii").splitlines())
    except FileNotFoundError:
        return []
    except FileExposed as error:
        raise BadKeyFile(str(error)) from error
    except UnicodeDecodeError as error:
        raise BadKeyFile(f"{file}: is not text; put back the file of keys from your copy") from error
    except BadSealingKeys as error:
        raise BadKeyFile(f"{file}: {error}; put back the file of keys from your copy") from error
    except OSError as error:
        raise BadKeyFile(f"{file}: cannot be read ({error.strerror}); make it readable for the server") from error


@contextmanager
def _locked(folder: Path) -> Generator[None]:
    directory = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        fcntl.flock(directory, fcntl.LOCK_EX)
        yield
    finally:
        os.close(directory)
