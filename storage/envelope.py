"""The envelope that everything private is kept in: AES-256-GCM, one random data key for each value. Pure.

A sealed value is `version | length of the key id | key id | sealed data key | nonce | ciphertext`. The data key is
sealed by a sealing key, so another sealing key means 60 new bytes and not new content. Both seals are bound to the
value's place (`table.column:row`): what was moved to another row, column or file does not open.

A text, for a column, is `sealed:<key id>:<base64url of the rest>`: which key sealed it is found by a plain query.
A file may have its own shape behind a header, `version` to `sealed data key`: see `new_data_key` and `open_header`.
"""

import base64
import binascii
import os
from dataclasses import dataclass, field
from typing import Protocol

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

VERSION = 1
PREFIX = "sealed:"
NONCE_BYTES = 12
TAG_BYTES = 16
_KEY_BYTES = 32
_SEALED_KEY_BYTES = NONCE_BYTES + _KEY_BYTES + TAG_BYTES


class SealingError(Exception):
    """What is sealed cannot be opened, or nothing can be sealed, for a reason that lies in the keys or the value."""


class SealBroken(SealingError):
    """A sealed value does not open: it was changed, cut short, moved from its place, or sealed with another key."""


@dataclass(frozen=True, slots=True, eq=False)
class SealingKey:
    """A key that seals data keys. `key_id` is no secret and stands beside everything that it sealed."""

    key_id: str
    cipher: AESGCM = field(repr=False)


DataKey = AESGCM
"""The key of one value or file, as a cipher; other rooms know it by this name."""


class SealingKeys(Protocol):
    """Whoever has the keys."""

    @property
    def current(self) -> SealingKey:
        """The key that new values are sealed with."""
        ...

    def find(self, key_id: str) -> SealingKey:
        """The key of this id. Raises a `SealingError` when it is not here."""
        ...


def make_key(key_id: str, key: bytes) -> SealingKey:
    """Return a sealing key made of 32 bytes."""
    return SealingKey(key_id, AESGCM(key))


def seal(plain: bytes, place: str, keys: SealingKeys) -> bytes:
    """Seal a value with the current key, bound to its place."""
    header, cipher = new_data_key(place, keys)
    nonce = os.urandom(NONCE_BYTES)
    return header + nonce + cipher.encrypt(nonce, plain, _content_bound_to(place))


def open_sealed(sealed: bytes, place: str, keys: SealingKeys) -> bytes:
    """Return what was sealed. Raises `SealBroken`, and as `keys.find`."""
    cipher, start = open_header(sealed, place, keys)
    nonce, content = sealed[start : start + NONCE_BYTES], sealed[start + NONCE_BYTES :]
    if len(content) < TAG_BYTES:
        raise _broken(place)
    try:
        return cipher.decrypt(nonce, content, _content_bound_to(place))
    except InvalidTag:
        raise _broken(place) from None


def rewrap(sealed: bytes, place: str, keys: SealingKeys) -> bytes:
    """Return the value, or a file's beginning, with its data key sealed by the current key; what follows is the same.

    Raises `SealBroken`, and as `keys.find`.
    """
    key_id, start = _read_header(sealed, place)
    current = keys.current
    if key_id == current.key_id:
        return sealed
    data_key = _open_data_key(sealed[start - _SEALED_KEY_BYTES : start], place, keys.find(key_id))
    return _header(current, place, data_key) + sealed[start:]


def key_id_of(sealed: bytes) -> str:
    """Return the id of the sealing key behind a value. Raises `SealBroken` for what is no sealed value."""
    return _read_header(sealed, "it")[0]


def new_data_key(place: str, keys: SealingKeys) -> tuple[bytes, AESGCM]:
    """Make a key for one value or file; returns the header that it is found by again, and the key as a cipher.

    Whoever uses the cipher himself never uses a nonce twice, and binds what he seals to its place within the file.
    """
    data_key = os.urandom(_KEY_BYTES)
    return _header(keys.current, place, data_key), AESGCM(data_key)


def open_header(sealed: bytes, place: str, keys: SealingKeys) -> tuple[AESGCM, int]:
    """Return the data key behind a header as a cipher, and where the header ends. Raises as `open_sealed`."""
    key_id, start = _read_header(sealed, place)
    data_key = _open_data_key(sealed[start - _SEALED_KEY_BYTES : start], place, keys.find(key_id))
    return AESGCM(data_key), start


def open_with(cipher: AESGCM, nonce: bytes, content: bytes, bound_to: bytes, place: str) -> bytes:
    """Return what a cipher of `new_data_key` or `open_header` sealed. Raises `SealBroken`."""
    try:
        return cipher.decrypt(nonce, content, bound_to)
    except InvalidTag:
        raise _broken(place) from None


def seal_text(plain: str, place: str, keys: SealingKeys) -> str:
    """Seal a text as a text. Half surrogates, which no UTF-8 can hold, are kept too."""
    return _to_text(seal(plain.encode("utf-8", "surrogatepass"), place, keys))


def open_text(sealed: str, place: str, keys: SealingKeys) -> str:
    """Return the text that was sealed. Raises `SealBroken`, and as `keys.find`."""
    return open_sealed(_from_text(sealed, place), place, keys).decode("utf-8", "surrogatepass")


def rewrap_text(sealed: str, place: str, keys: SealingKeys) -> str:
    """As `rewrap`, for a text."""
    return _to_text(rewrap(_from_text(sealed, place), place, keys))


def key_id_of_text(text: str) -> str | None:
    """Return the id of the sealing key behind a text; None for one that is not sealed."""
    if not text.startswith(PREFIX):
        return None
    key_id, separator, _ = text[len(PREFIX) :].partition(":")
    return key_id if separator else None


def _header(key: SealingKey, place: str, data_key: bytes) -> bytes:
    nonce = os.urandom(NONCE_BYTES)
    key_id = key.key_id.encode("ascii")
    sealed_key = key.cipher.encrypt(nonce, data_key, _key_bound_to(key.key_id, place))
    return bytes((VERSION, len(key_id))) + key_id + nonce + sealed_key


def _read_header(sealed: bytes, place: str) -> tuple[str, int]:
    """Return the key id, and where the header ends."""
    if len(sealed) < 2 or sealed[0] != VERSION:
        raise _broken(place)
    end = 2 + sealed[1] + _SEALED_KEY_BYTES
    try:
        key_id = sealed[2 : 2 + sealed[1]].decode("ascii")
    except UnicodeDecodeError:
        raise _broken(place) from None
    if len(sealed) < end or not key_id:
        raise _broken(place)
    return key_id, end


def _open_data_key(sealed_key: bytes, place: str, key: SealingKey) -> bytes:
    try:
        return key.cipher.decrypt(sealed_key[:NONCE_BYTES], sealed_key[NONCE_BYTES:], _key_bound_to(key.key_id, place))
    except InvalidTag:
        raise _broken(place) from None


def _key_bound_to(key_id: str, place: str) -> bytes:
    return b"trunkline data key\0%d\0%b\0%b" % (VERSION, key_id.encode("ascii"), place.encode("utf-8", "surrogatepass"))


def _content_bound_to(place: str) -> bytes:
    return b"trunkline value\0%d\0%b" % (VERSION, place.encode("utf-8", "surrogatepass"))


def _to_text(sealed: bytes) -> str:
    end = 2 + sealed[1]
    rest = base64.urlsafe_b64encode(sealed[:1] + sealed[end:]).rstrip(b"=")
    return f"{PREFIX}{sealed[2:end].decode('ascii')}:{rest.decode('ascii')}"


def _from_text(text: str, place: str) -> bytes:
    key_id, separator, encoded = text[len(PREFIX) :].partition(":")
    try:
        rest = base64.b64decode(encoded + "=" * (-len(encoded) % 4), altchars=b"-_", validate=True)
        name = key_id.encode("ascii")
    except (binascii.Error, ValueError):
        raise _broken(place) from None
    sealed = rest[:1] + bytes((min(len(name), 255),)) + name + rest[1:]
    # The last character has bits that no decoder looks at: a value has one spelling, or anybody could change it.
    if not separator or not rest or not text.startswith(PREFIX) or _to_text(sealed) != text:
        raise _broken(place)
    return sealed


def _broken(place: str) -> SealBroken:
    # Of the place no more than table and column: a row's key may be somebody's number.
    return SealBroken(f"what is kept in {place.partition(':')[0]} does not open: it was changed, moved or cut short")
