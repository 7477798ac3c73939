"""Recordings in an S3-compatible bucket: for each call the objects `<prefix>/<call_id>/key` and `.../sound`.

`key` is the recording's key file, so another sealing key means one small object for a call. `sound` is a table of its
segments (`magic | sample rate | count`, then `index | bytes of sound` for each) and the sealed segments themselves, one
behind the other: what is heard is fetched by ranges. Nothing in the bucket is in the clear. All of it blocks.
"""

import hashlib
import struct
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar
from urllib.parse import urlsplit

import obstore
from obstore.exceptions import BaseError
from obstore.store import S3Store

from config.bucket import is_private_host, split_bucket_url
from config.settings import Settings
from storage.envelope import SealBroken, SealingKeys, key_id_of
from transcripts.recording_reader import RecordingReader
from transcripts.recording_seal import HEAD_BYTES, SEAL_BYTES, open_key, rewrap_key
from transcripts.segments import FRAME_BYTES, Samples, Segment, is_call_id, samples_of

if TYPE_CHECKING:
    from obstore.store import ClientConfig, S3Config

P = ParamSpec("P")
T = TypeVar("T")

_MAGIC = b"TKB1"
_TABLE = struct.Struct("<4sII")
_ENTRY = struct.Struct("<II")
_FIRST_LOOK_BYTES = 64 * 1024
_AHEAD_SEGMENTS = 16
_PART_BYTES = 8 * 1024 * 1024
_TRIES_SECS = 20.0
_TIMEOUT_SECS = 60.0


class BucketAway(Exception):
    """The bucket of recordings does not answer, or refuses. Look at TRUNKLINE_RECORDINGS_URL and its keys."""


class NotAsSent(Exception):
    """What the bucket holds is not what was sent to it."""


@dataclass(frozen=True, slots=True)
class _Kept:
    index: int
    sample_rate_hz: int
    sample_count: int
    start: int
    """Where its sealed bytes begin in the object."""

    @property
    def stop(self) -> int:
        return self.start + HEAD_BYTES + SEAL_BYTES + self.sample_count * FRAME_BYTES


class Bucket:
    """The bucket of recordings. Every method raises `BucketAway` when it does not do what it is asked."""

    def __init__(self, store: S3Store) -> None:
        self._store = store

    @classmethod
    def of(cls, settings: Settings) -> "Bucket | None":
        """Return the bucket that the settings name; None when recordings stay in the data folder. Asks nobody."""
        if settings.recordings_url is None:
            return None
        bucket, prefix = split_bucket_url(settings.recordings_url)
        config: S3Config = {"region": settings.aws_region, "checksum_algorithm": "SHA256"}
        if settings.aws_access_key_id is not None and settings.aws_secret_access_key is not None:
            config["access_key_id"] = settings.aws_access_key_id
            config["secret_access_key"] = settings.aws_secret_access_key.get_secret_value()
        if settings.aws_session_token is not None:
            config["session_token"] = settings.aws_session_token.get_secret_value()
        client: ClientConfig = {
            "timeout": timedelta(seconds=_TIMEOUT_SECS),
            "connect_timeout": timedelta(seconds=5),
        }
        if settings.recordings_endpoint is not None:
            config["endpoint"] = settings.recordings_endpoint
            host = urlsplit(settings.recordings_endpoint).hostname or ""
            client["allow_http"] = settings.recordings_http or is_private_host(host)
        retries = {"max_retries": 2, "retry_timeout": timedelta(seconds=_TRIES_SECS)}
        return cls(
            S3Store(bucket, prefix=prefix or None, config=config, client_options=client, retry_config=retries)  # pyright: ignore[reportArgumentType]
        )

    def send(self, call_id: str, key_file: bytes, segments: Sequence[Segment]) -> None:
        """Put a call's sealed segments there, in the place of what was there, and read them again.

        Raises:
            NotAsSent: what comes back is something else.
            OSError: a segment cannot be read.
        """
        sent = hashlib.sha256()
        samples = sum(one.sample_count for one in segments)
        each = _ENTRY.size + HEAD_BYTES + SEAL_BYTES
        size = _TABLE.size + len(segments) * each + samples * FRAME_BYTES

        def pieces() -> Iterator[bytes]:
            for piece in _sound_of(segments):
                sent.update(piece)
                yield piece

        path = _sound(call_id)
        # The key first: whoever finds sound can open it.
        self._put(_key(call_id), key_file)
        if size <= _PART_BYTES:
            self._put(path, b"".join(pieces()), use_multipart=False)
        else:
            # Two parts of it are in memory at most.
            self._put(path, pieces(), chunk_size=_PART_BYTES, max_concurrency=2)
        came, length = hashlib.sha256(), 0
        for piece in self._read_all(path):
            came.update(piece)
            length += len(piece)
        if length != size or came.digest() != sent.digest() or self._get(_key(call_id)) != key_file:
            raise NotAsSent(NotAsSent.__doc__)

    def open(self, call_id: str, keys: SealingKeys) -> RecordingReader:
        """Open a call's recording; its sound is fetched as it is read.

        Raises:
            FileNotFoundError: there is none.
            SealingError: its key cannot be opened.
        """
        key_file, path = self._get(_key(call_id)), _sound(call_id)
        seal = open_key(key_file, call_id, keys)
        begin = self._range(path, 0, _FIRST_LOOK_BYTES)
        rate_hz, count = _read_table(begin)
        end = _TABLE.size + count * _ENTRY.size
        if end > len(begin):
            begin += self._range(path, len(begin), end)
        kept = _read_entries(begin, rate_hz, count)
        if not kept:
            raise FileNotFoundError(call_id)
        ahead: dict[int, bytes] = {}
        order = {one.index: number for number, one in enumerate(kept)}

        def read(index: int) -> Samples:
            if index not in ahead:
                some = kept[order[index] : order[index] + _AHEAD_SEGMENTS]
                content = self._range(path, some[0].start, some[-1].stop)
                ahead.clear()
                ahead.update({one.index: content[one.start - some[0].start : one.stop - some[0].start] for one in some})
            return samples_of(seal.open(index, ahead[index]))

        return RecordingReader(kept, read)

    def delete(self, call_id: str) -> None:
        """Remove a call's recording; does nothing when there is none."""
        # The sound first: a key without sound opens nothing.
        for path in (_sound(call_id), _key(call_id)):
            try:
                self._ask(obstore.delete, self._store, path)
            except FileNotFoundError:
                continue

    def ping(self) -> None:
        """Look whether there is anything in it."""
        self._ask(next, iter(obstore.list(self._store, chunk_size=1)), None)

    def has(self, call_id: str) -> bool:
        """Return whether the bucket has a call's recording."""
        try:
            self._ask(obstore.head, self._store, _sound(call_id))
        except FileNotFoundError:
            return False
        return True

    def iter_call_ids(self) -> Iterator[str]:
        """Name the calls whose recordings are there, in no order."""
        listing = iter(obstore.list(self._store))
        while (some := self._ask(next, listing, None)) is not None:
            for found in some:
                call_id, _, name = found["path"].rpartition("/")
                if name == "key" and is_call_id(call_id):
                    yield call_id

    def put_key(self, call_id: str, key_file: bytes) -> None:
        """Put another key file in the place of a recording's."""
        self._put(_key(call_id), key_file)

    def find_key_id(self, call_id: str) -> str | None:
        """Return the id of the sealing key behind a recording; None for one that is not here."""
        try:
            return key_id_of(self._get(_key(call_id)))
        except FileNotFoundError:
            return None

    def rewrap(self, call_id: str, keys: SealingKeys) -> bool:
        """Seal a recording's key with the current sealing key; returns whether it was sealed with another one."""
        try:
            changed = rewrap_key(self._get(_key(call_id)), call_id, keys)
        except FileNotFoundError:
            return False
        if changed is not None:
            self.put_key(call_id, changed)
        return changed is not None

    def _put(self, path: str, content: bytes | Iterator[bytes], **options: Any) -> None:
        try:
            self._ask(obstore.put, self._store, path, content, **options)
        except FileNotFoundError as error:
            if error.filename is not None:  # one of ours, read on the way
                raise
            raise BucketAway(f"There is no such bucket. {BucketAway.__doc__}") from error

    def _get(self, path: str) -> bytes:
        return b"".join(self._read_all(path))

    def _read_all(self, path: str) -> Iterator[bytes]:
        stream = iter(self._ask(obstore.get, self._store, path).stream())
        while (piece := self._ask(next, stream, None)) is not None:
            yield bytes(piece)

    def _range(self, path: str, start: int, stop: int) -> bytes:
        return bytes(self._ask(obstore.get_range, self._store, path, start=start, end=stop))

    def _ask(self, function: Callable[P, T], *arguments: P.args, **named: P.kwargs) -> T:
        try:
            return function(*arguments, **named)
        except FileNotFoundError:
            raise
        except (BaseError, OSError, ValueError) as error:
            raise BucketAway(f"{BucketAway.__doc__} ({_short(error)})") from error


def _key(call_id: str) -> str:
    return f"{call_id}/key"


def _sound(call_id: str) -> str:
    return f"{call_id}/sound"


def _sound_of(segments: Sequence[Segment]) -> Iterator[bytes]:
    """Yield the object `sound`, a segment at a time."""
    rate_hz = segments[0].sample_rate_hz if segments else 0
    table = _TABLE.pack(_MAGIC, rate_hz, len(segments))
    yield table + b"".join(_ENTRY.pack(one.index, one.sample_count * FRAME_BYTES) for one in segments)
    for one in segments:
        yield one.path.read_bytes()


def _read_table(begin: bytes) -> tuple[int, int]:
    """Return sample rate, and how many segments there are."""
    if len(begin) < _TABLE.size or begin[:4] != _MAGIC:
        raise SealBroken("what is kept in recordings does not open: it was changed or cut short")
    _magic, rate_hz, count = _TABLE.unpack_from(begin)
    return rate_hz, count


def _read_entries(begin: bytes, rate_hz: int, count: int) -> list[_Kept]:
    start, kept = _TABLE.size + count * _ENTRY.size, list[_Kept]()
    if len(begin) < start:
        raise SealBroken("what is kept in recordings does not open: it was changed or cut short")
    for number in range(count):
        index, pcm_bytes = _ENTRY.unpack_from(begin, _TABLE.size + number * _ENTRY.size)
        kept.append(_Kept(index, rate_hz, pcm_bytes // FRAME_BYTES, start))
        start = kept[-1].stop
    return kept


def _short(error: Exception) -> str:
    """Return the first line of what the library says, without what it shows of its own insides."""
    return str(error).strip().partition("\n")[0][:200] or type(error).__name__
