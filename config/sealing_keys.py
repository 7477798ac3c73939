"""Sealing keys as text: `id:base64 of 32 bytes`, the first one is the current one. Pure."""

import base64
import binascii
import re
from collections.abc import Iterable
from dataclasses import dataclass, field

KEY_BYTES = 32
_ID = re.compile(r"[A-Za-z0-9-]{1,32}")


class BadSealingKeys(ValueError):
    """The text holds no sealing keys. The message never repeats what may be one."""


@dataclass(frozen=True, slots=True)
class KeyText:
    """One key: its id, which stands beside every value that it sealed, and its bytes, which stand nowhere."""

    key_id: str
    key: bytes = field(repr=False)

    def __str__(self) -> str:
        """Return the key as it stands in a setting or a file: with its secret."""
        return f"{self.key_id}:{base64.b64encode(self.key).decode('ascii')}"


def read_keys(parts: Iterable[str]) -> list[KeyText]:
    """Read keys, one from each part that is not empty and no comment (`#`).

    Raises:
        BadSealingKeys: a part is no key, two have one id, or two have one secret.
    """
    keys = [_read_key(part.strip(), number) for number, part in enumerate(parts, 1) if _is_key(part)]
    if len({key.key_id for key in keys}) < len(keys):
        raise BadSealingKeys("two keys have the same id; give each its own")
    if len({key.key for key in keys}) < len(keys):
        raise BadSealingKeys("two ids have the same key; leave one of them out")
    return keys


def _is_key(part: str) -> bool:
    return bool(part.strip()) and not part.lstrip().startswith("#")


def _read_key(part: str, number: int) -> KeyText:
    key_id, separator, encoded = part.partition(":")
    if not separator or not _ID.fullmatch(key_id):
        raise BadSealingKeys(f"key {number} must be id:base64, the id of 1 to 32 letters, digits and hyphens")
    try:
        key = base64.b64decode(encoded.strip(), validate=True)
    except (binascii.Error, ValueError):
        raise BadSealingKeys(f"the key behind {key_id}: is not base64") from None
    if len(key) != KEY_BYTES:
        raise BadSealingKeys(f"the key behind {key_id}: has {len(key)} bytes instead of {KEY_BYTES}")
    return KeyText(key_id, key)
