"""A recording's files: `<folder>/<call_id>/000000.wav`, `000001.wav`, ... each a whole WAV of up to 2 s.

Two channels of PCM16, the caller left and the agent right. Sample n of the call always lies in segment
n // (2 x rate), so a segment that is missing or short is silence and moves nothing. A segment grows by being replaced:
it is written beside, as `.part`, and renamed, so whatever has its name can be played.
"""

import re
import struct
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

SEGMENT_SECS = 2
FRAME_BYTES = 4
"""One sample of both channels."""

Samples = NDArray[np.int16]
"""Shape (n, 2)."""

# RIFF/WAVE with one 16-byte "fmt " chunk and one "data" chunk.
_HEADER = struct.Struct("<4sI4s4sIHHIIHH4sI")
HEADER_BYTES = _HEADER.size
_NAME = re.compile(r"(\d{6,})\.wav")
_CALL_ID = re.compile(r"[A-Za-z0-9_-]{1,128}")


@dataclass(frozen=True, slots=True)
class Segment:
    """A complete segment on disk."""

    index: int
    path: Path
    sample_rate_hz: int
    sample_count: int


def segment_samples(sample_rate_hz: int) -> int:
    """Tell how many samples a full segment has."""
    return SEGMENT_SECS * sample_rate_hz


def make_header(sample_rate_hz: int, sample_count: int) -> bytes:
    """Build the 44 bytes before a stereo PCM16 WAV's samples. Beyond 4 GiB the format's largest size is written."""
    data_bytes = min(sample_count * FRAME_BYTES, 0xFFFFFFFF - 36)
    return _HEADER.pack(
        b"RIFF", 36 + data_bytes, b"WAVE", b"fmt ", 16, 1, 2, sample_rate_hz, sample_rate_hz * FRAME_BYTES, FRAME_BYTES,
        16, b"data", data_bytes,
    )  # fmt: skip


def find_folder(folder: Path, call_id: str) -> Path:
    """Name the folder of one call's segments.

    Raises:
        ValueError: the id could lead out of `folder`.
    """
    if not _CALL_ID.fullmatch(call_id):
        raise ValueError("A call id has letters, digits, - and _ only.")
    return folder / call_id


def find_path(call_folder: Path, index: int) -> Path:
    """Name one segment's file."""
    return call_folder / f"{index:06d}.wav"


def write_segment(path: Path, samples: Samples, sample_rate_hz: int) -> None:
    """Write one segment, or replace it, so that no reader ever sees half of it. Raises OSError."""
    part = path.with_suffix(".part")
    try:
        part.write_bytes(make_header(sample_rate_hz, len(samples)) + samples.astype("<i2", copy=False).tobytes())
        part.rename(path)
    except OSError:
        part.unlink(missing_ok=True)
        raise


def read_header(path: Path) -> Segment | None:
    """Read what a file says about itself; None when it is no complete segment of ours. Raises OSError."""
    name = _NAME.fullmatch(path.name)
    with path.open("rb") as file:
        head = file.read(HEADER_BYTES)
    if name is None or len(head) < HEADER_BYTES:
        return None
    riff, _size, wave, fmt, _fmt_bytes, kind, channels, rate_hz, _rate, _align, bits, data, data_bytes = _HEADER.unpack(
        head
    )
    is_ours = (riff, wave, fmt, data, kind, channels, bits) == (b"RIFF", b"WAVE", b"fmt ", b"data", 1, 2, 16)
    is_whole = rate_hz > 0 and path.stat().st_size == HEADER_BYTES + data_bytes
    return Segment(int(name[1]), path, rate_hz, data_bytes // FRAME_BYTES) if is_ours and is_whole else None


def read_samples(path: Path) -> Samples:
    """Read a segment's samples. Raises OSError."""
    with path.open("rb") as file:
        file.seek(HEADER_BYTES)
        content = file.read()
    return np.frombuffer(content, dtype="<i2").astype(np.int16, copy=False).reshape(-1, 2)


def list_segments(call_folder: Path) -> list[Segment]:
    """List the complete segments in order. What is broken is left out, as if it had never been written."""
    found = [read_header(path) for path in call_folder.glob("*.wav")]
    return sorted((segment for segment in found if segment is not None), key=lambda segment: segment.index)
