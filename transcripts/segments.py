"""A recording's files: `<folder>/<call_id>/key`, `000000.sealed`, `000001.sealed`, ... each segment up to 2 s of sound.

Two channels of PCM16, the caller left and the agent right. Sample n of the call always lies in segment
n // (2 x rate), so a segment that is missing or short is silence and moves nothing. A segment grows by being replaced:
it is written beside, as `.part`, and renamed, so whatever has its name can be played. How it is sealed:
`transcripts.recording_seal`. Versions before wrote each segment as a WAV, `000000.wav`: those are still read.
"""

import re
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from transcripts.recording_seal import HEAD_BYTES, SEAL_BYTES, RecordingSeal, read_head

SEGMENT_SECS = 2
FRAME_BYTES = 4
"""One sample of both channels."""

Samples = NDArray[np.int16]
"""Shape (n, 2)."""

# RIFF/WAVE with one 16-byte "fmt " chunk and one "data" chunk.
_HEADER = struct.Struct("<4sI4s4sIHHIIHH4sI")
HEADER_BYTES = _HEADER.size
_NAME = re.compile(r"(\d{6,})\.(sealed|wav)")
_CALL_ID = re.compile(r"[A-Za-z0-9_-]{1,128}")


@dataclass(frozen=True, slots=True)
class Segment:
    """A complete segment on disk."""

    index: int
    path: Path
    sample_rate_hz: int
    sample_count: int

    @property
    def is_sealed(self) -> bool:
        """False for one that a version before has written."""
        return self.path.suffix == ".sealed"


def segment_samples(sample_rate_hz: int) -> int:
    """Tell how many samples a full segment has."""
    return SEGMENT_SECS * sample_rate_hz


def make_header(sample_rate_hz: int, sample_count: int, channels: int = 2) -> bytes:
    """Build the 44 bytes before a PCM16 WAV's samples. Beyond 4 GiB the format's largest size is written."""
    frame_bytes = 2 * channels
    data_bytes = min(sample_count * frame_bytes, 0xFFFFFFFF - 36)
    return _HEADER.pack(
        b"RIFF", 36 + data_bytes, b"WAVE", b"fmt ", 16, 1, channels, sample_rate_hz, sample_rate_hz * frame_bytes,
        frame_bytes, 16, b"data", data_bytes,
    )  # fmt: skip


def find_folder(folder: Path, call_id: str) -> Path:
    """Name the folder of one call's segments.

    Raises:
        ValueError: the id could lead out of `folder`.
    """
    if not is_call_id(call_id):
        raise ValueError("A call id has letters, digits, - and _ only.")
    return folder / call_id


def is_call_id(name: str) -> bool:
    """Return whether this may be a call's id, and so the name of its folder."""
    return _CALL_ID.fullmatch(name) is not None


def find_path(call_folder: Path, index: int) -> Path:
    """Name one segment's file."""
    return call_folder / f"{index:06d}.sealed"


def write_segment(path: Path, index: int, samples: Samples, sample_rate_hz: int, seal: RecordingSeal) -> None:
    """Write one segment, or replace it, so that no reader ever sees half of it. Raises OSError."""
    part = path.with_suffix(".part")
    try:
        part.write_bytes(seal.seal(index, sample_rate_hz, samples.astype("<i2", copy=False).tobytes()))
        part.rename(path)
    except OSError:
        part.unlink(missing_ok=True)
        raise


def read_header(path: Path) -> Segment | None:
    """Read what a file says about itself; None when it is no complete segment of ours. Raises OSError."""
    name = _NAME.fullmatch(path.name)
    if name is None:
        return None
    with path.open("rb") as file:
        head = file.read(HEADER_BYTES)
    size = path.stat().st_size
    shape = _read_sealed(head, size) if path.suffix == ".sealed" else _read_wav(head, size)
    return Segment(int(name[1]), path, *shape) if shape else None


def read_samples(segment: Segment, seal: RecordingSeal | None) -> Samples:
    """Read a segment's samples; `seal` opens a sealed one.

    Raises:
        OSError: it cannot be read.
        SealBroken: it was changed, or belongs elsewhere.
    """
    content = segment.path.read_bytes()
    if not segment.is_sealed:
        return samples_of(content[HEADER_BYTES:])
    if seal is None:
        raise FileNotFoundError(f"The key of the recording in {segment.path.parent.name} is missing.")
    return samples_of(seal.open(segment.index, content))


def samples_of(pcm: bytes) -> Samples:
    """Return the samples of both channels that these bytes hold."""
    return np.frombuffer(pcm, dtype="<i2").astype(np.int16, copy=False).reshape(-1, 2)


def list_segments(call_folder: Path) -> list[Segment]:
    """List the complete segments in order. What is broken is left out, as if it had never been written.

    A segment that is there twice, because sealing it was interrupted, counts once, as the sealed one.
    """
    found = {segment.index: segment for segment in sorted(_complete(call_folder), key=lambda one: one.is_sealed)}
    return [found[index] for index in sorted(found)]


def _complete(call_folder: Path) -> Iterator[Segment]:
    for path in call_folder.glob("*.*"):
        segment = read_header(path) if _NAME.fullmatch(path.name) else None
        if segment is not None:
            yield segment


def _read_sealed(head: bytes, size: int) -> tuple[int, int] | None:
    """Return sample rate and count of a sealed segment of this size."""
    told = read_head(head)
    is_whole = told is not None and size == HEAD_BYTES + SEAL_BYTES + told[1] and not told[1] % FRAME_BYTES
    return (told[0], told[1] // FRAME_BYTES) if told is not None and is_whole else None


def _read_wav(head: bytes, size: int) -> tuple[int, int] | None:
    """Return sample rate and count of a clear segment of this size."""
    if len(head) < HEADER_BYTES:
        return None
    riff, _size, wave, fmt, _fmt_bytes, kind, channels, rate_hz, _rate, _align, bits, data, data_bytes = _HEADER.unpack(
        head
    )
    is_ours = (riff, wave, fmt, data, kind, channels, bits) == (b"RIFF", b"WAVE", b"fmt ", b"data", 1, 2, 16)
    is_whole = rate_hz > 0 and size == HEADER_BYTES + data_bytes
    return (rate_hz, data_bytes // FRAME_BYTES) if is_ours and is_whole else None
