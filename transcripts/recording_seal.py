"""How a recording is sealed: one data key for each call, in the file `key` beside its segments, and AES-256-GCM.

A sealed segment is `magic | sample rate | bytes of sound | nonce | ciphertext and tag`. Call, place in the call and
sample rate are bound to it: a segment that was changed, or moved to another place or call, does not open. The key file
is the header that `storage.envelope` makes, so another sealing key means 100 new bytes for a call and no new sound.
"""

import os
import struct
from pathlib import Path

from storage.envelope import (
    NONCE_BYTES,
    TAG_BYTES,
    DataKey,
    SealBroken,
    SealingKeys,
    key_id_of,
    new_data_key,
    open_header,
    open_with,
    rewrap,
)
from storage.secret_files import make_once, replace

KEY_FILE = "key"
_HEAD = struct.Struct("<4sII")
_MAGIC = b"TKS1"
HEAD_BYTES = _HEAD.size
SEAL_BYTES = NONCE_BYTES + TAG_BYTES
"""What sealing adds to the sound, beside the head."""


class RecordingSeal:
    """Seals and opens the segments of one call; no other call's are opened by it."""

    def __init__(self, call_id: str, cipher: DataKey) -> None:
        self._call_id = call_id
        self._cipher = cipher

    def seal(self, index: int, sample_rate_hz: int, pcm: bytes) -> bytes:
        """Return all bytes of a segment's file."""
        # A segment is replaced some times while it grows, each time with a nonce of its own: a few thousand in a call,
        # of 2^96.
        nonce = os.urandom(NONCE_BYTES)
        content = self._cipher.encrypt(nonce, pcm, self._bound_to(index, sample_rate_hz))
        return _HEAD.pack(_MAGIC, sample_rate_hz, len(pcm)) + nonce + content

    def open(self, index: int, content: bytes) -> bytes:
        """Return the PCM16 of both channels in a segment's file.

        Raises:
            SealBroken: it was changed, cut short, or stands in another place than it was made for.
        """
        head = read_head(content)
        if head is None or len(content) != HEAD_BYTES + SEAL_BYTES + head[1]:
            raise SealBroken("a part of a recording does not open: it was changed or cut short")
        nonce, sealed = content[HEAD_BYTES : HEAD_BYTES + NONCE_BYTES], content[HEAD_BYTES + NONCE_BYTES :]
        return open_with(self._cipher, nonce, sealed, self._bound_to(index, head[0]), _place(self._call_id))

    def _bound_to(self, index: int, sample_rate_hz: int) -> bytes:
        return f"trunkline recording\0{self._call_id}\0{index}\0{sample_rate_hz}".encode()


def read_head(content: bytes) -> tuple[int, int] | None:
    """Return the sample rate and the bytes of sound that a segment's file says; None when it is no sealed segment."""
    if len(content) < HEAD_BYTES:
        return None
    magic, rate_hz, pcm_bytes = _HEAD.unpack_from(content)
    return (rate_hz, pcm_bytes) if magic == _MAGIC and rate_hz > 0 else None


def make_key(call_id: str, keys: SealingKeys) -> bytes:
    """Make the key of a recording; returns the content of its key file."""
    return new_data_key(_place(call_id), keys)[0]


def open_key(key_file: bytes, call_id: str, keys: SealingKeys) -> RecordingSeal:
    """Open the key of a recording. Raises `SealBroken`, and `SealingKeyMissing` with the cure."""
    return RecordingSeal(call_id, open_header(key_file, _place(call_id), keys)[0])


def find_seal(call_folder: Path, keys: SealingKeys) -> RecordingSeal | None:
    """Open the key of the recording in this folder; None when there is none. Raises OSError and as `open_key`."""
    try:
        return open_key((call_folder / KEY_FILE).read_bytes(), call_folder.name, keys)
    except FileNotFoundError:
        return None


def find_or_make_seal(call_folder: Path, keys: SealingKeys) -> RecordingSeal:
    """As `find_seal`, and makes the key when there is none: it is on the disk before anything that it seals."""
    found = find_seal(call_folder, keys)
    if found is None:
        make_once(call_folder / KEY_FILE, make_key(call_folder.name, keys))
        found = find_seal(call_folder, keys)
    assert found is not None
    return found


def rewrap_key(key_file: bytes, call_id: str, keys: SealingKeys) -> bytes | None:
    """Return the key file sealed with the current sealing key; None when it is already. Raises as `open_key`."""
    if key_id_of(key_file) == keys.current.key_id:
        return None
    return rewrap(key_file, _place(call_id), keys)


def rewrap_folder(call_folder: Path, keys: SealingKeys) -> bool:
    """Seal the key in this folder with the current sealing key; returns whether it was sealed with another one.

    Raises OSError, and as `open_key`.
    """
    path = call_folder / KEY_FILE
    try:
        changed = rewrap_key(path.read_bytes(), call_folder.name, keys)
    except FileNotFoundError:
        return False
    if changed is not None:
        replace(path, changed)
    return changed is not None


def _place(call_id: str) -> str:
    return f"recordings:{call_id}"
