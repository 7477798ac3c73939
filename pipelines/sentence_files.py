"""Readings as files: one WAV for each, which says inside what it is. All of it blocks: call it in a thread."""

import contextlib
import hashlib
import json
import os
import struct
import tempfile
import time
import zlib
from collections.abc import Collection, Generator, Iterable, Iterator
from dataclasses import asdict
from pathlib import Path

from loguru import logger

from pipelines.sentence_reading import RATE_HZ, Reading, WrongReading, trim_reading

_MOST_BYTES = 8 * 1024 * 1024
_FORMAT = struct.pack("<HHIIHH", 1, 1, RATE_HZ, RATE_HZ * 2, 2, 16)  # PCM, mono, 16 bits
# Longer than making one may take, both tries and their saving.
_CLAIM_SECS = 60
_UNWANTED_SECS = 30 * 24 * 3600
_LEFT_OVER_SECS = 3600
_UNREADABLE = "sentences that were kept cannot be read; they are made again"
_UNSAVED = "sentences cannot be saved; they are made again after the next start"


class BrokenFile(Exception):
    """A file of ours does not hold the reading it is named for."""


class SentenceFiles:
    """A folder of readings. Other processes may use it at the same time; what is wrong with it is logged, once each."""

    def __init__(self, folder: Path) -> None:
        """Take the folder; it is made when the first reading is saved."""
        self._folder = folder
        self._told: set[str] = set()

    def path(self, reading: Reading) -> Path:
        """Return where a reading is kept: its name is a digest of model, voice, language and text."""
        key = json.dumps([reading.model, reading.voice, reading.language, reading.text], ensure_ascii=False)
        return self._folder / f"{hashlib.sha256(key.encode()).hexdigest()[:32]}.wav"

    def load(self, reading: Reading) -> bytes | None:
        """Return the reading's sound (PCM16 at `RATE_HZ`), or None when there is no file that can be used."""
        path = self.path(reading)
        try:
            with path.open("rb") as file:
                return unpack(file.read(_MOST_BYTES), reading)
        except FileNotFoundError:
            return None
        except BrokenFile as error:
            self._tell("a sentence's file is broken and is made again", path.name, error)
        except OSError as error:
            self._tell(_UNREADABLE, str(self._folder), error)
        return None

    def load_all(self, readings: Iterable[Reading]) -> list[bytes | None]:
        """As `load`, for several."""
        return [self.load(reading) for reading in readings]

    def save(self, reading: Reading, pcm: bytes) -> bool:
        """Write the reading's file, whole or not at all; False when that failed (a full disk, say)."""
        path = self.path(reading)
        if not self._make_folder():
            return False
        try:
            number, name = tempfile.mkstemp(suffix=".tmp", dir=self._folder)
            try:
                with os.fdopen(number, "wb") as file:
                    file.write(pack(reading, pcm))
                    file.flush()
                    os.fsync(file.fileno())
                os.replace(name, path)
            except BaseException:
                os.unlink(name)
                raise
        except OSError as error:
            self._tell(_UNSAVED, str(self._folder), error)
            return False
        return True

    @contextlib.contextmanager
    def claimed(self, reading: Reading) -> Generator[bool]:
        """Yield whether this process may make the reading; False while another one is at it."""
        claim = self.path(reading).with_suffix(".claim")
        if not self._make_folder():
            yield True  # nobody else can claim it either, and without a file it is still good for this process
            return
        try:
            if _age_secs(claim) > _CLAIM_SECS:
                claim.unlink(missing_ok=True)
            os.close(os.open(claim, os.O_CREAT | os.O_EXCL | os.O_WRONLY))
        except FileExistsError:
            yield False
            return
        except OSError as error:
            self._tell(_UNSAVED, str(self._folder), error)
        try:
            yield True
        finally:
            with contextlib.suppress(OSError):  # it expires by itself
                claim.unlink()

    def _make_folder(self) -> bool:
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            self._tell(_UNSAVED, str(self._folder), error)
            return False
        return True

    def prune(self, wanted: Collection[Reading]) -> None:
        """Remove files of wordings that no agent has had for a month, and what a killed process left behind."""
        keep = {self.path(reading).name for reading in wanted}
        try:
            found = list(self._folder.iterdir())
        except FileNotFoundError:
            return
        except OSError as error:
            self._tell(_UNREADABLE, str(self._folder), error)
            return
        for path in found:
            longest = {".wav": _UNWANTED_SECS, ".tmp": _LEFT_OVER_SECS, ".claim": _LEFT_OVER_SECS}.get(path.suffix)
            if longest is not None and path.name not in keep and _age_secs(path) > longest:
                with contextlib.suppress(OSError):  # the next start tries again
                    path.unlink()
        for path in found:
            if path.name in keep:
                with contextlib.suppress(OSError):
                    os.utime(path)  # the month begins when it is last wanted

    def _tell(self, message: str, where: str, error: Exception) -> None:
        cause = f"{message}: {where}: {type(error).__name__}"
        if cause not in self._told:
            self._told.add(cause)
            logger.bind(where=where, error=f"{type(error).__name__}: {error}").warning(message)


def pack(reading: Reading, pcm: bytes) -> bytes:
    """Return a WAV file of the sound, with the reading and a checksum as its comment, in JSON."""
    comment = json.dumps({**asdict(reading), "crc32": zlib.crc32(pcm)}, ensure_ascii=False).encode() + b"\0"
    body = b"WAVE" + _chunk(b"fmt ", _FORMAT) + _chunk(b"LIST", b"INFO" + _chunk(b"ICMT", comment))
    return _chunk(b"RIFF", body + _chunk(b"data", pcm))


def unpack(content: bytes, reading: Reading) -> bytes:
    """Return the sound in a file that `pack` made of this reading.

    Raises:
        BrokenFile: it is cut off, empty, damaged, silent, or something else.
    """
    if content[:4] != b"RIFF" or content[8:12] != b"WAVE":
        raise BrokenFile("is no WAV file")
    chunks = dict(_chunks(content[12:]))
    if chunks.get(b"fmt ") != _FORMAT:
        raise BrokenFile("is not 24 kHz mono PCM16")
    pcm = chunks.get(b"data", b"")
    try:
        [comment] = [data for name, data in _chunks(chunks.get(b"LIST", b"")[4:]) if name == b"ICMT"]
        said = json.loads(comment.rstrip(b"\0"))
        trim_reading(pcm, reading.text)
    except (ValueError, WrongReading) as error:
        raise BrokenFile(str(error)) from error
    if said != {**asdict(reading), "crc32": zlib.crc32(pcm)}:
        raise BrokenFile("holds something else")
    return pcm


def _chunk(name: bytes, data: bytes) -> bytes:
    return name + struct.pack("<I", len(data)) + data + b"\0" * (len(data) % 2)


def _chunks(content: bytes) -> Iterator[tuple[bytes, bytes]]:
    while len(content) >= 8:
        [length] = struct.unpack("<I", content[4:8])
        yield content[:4], content[8 : 8 + length]
        content = content[8 + length + length % 2 :]


def _age_secs(path: Path) -> float:
    try:
        return time.time() - path.stat().st_mtime
    except OSError:
        return 0.0
