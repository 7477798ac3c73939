"""The only reader of recordings, wherever they are kept, and what is heard of one as a WAV file."""

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Protocol

import numpy as np

from storage.envelope import SealingKeys
from transcripts.call import Speaker
from transcripts.recording_seal import find_seal
from transcripts.segments import (
    HEADER_BYTES,
    Samples,
    find_folder,
    list_segments,
    make_header,
    read_samples,
    segment_samples,
)

CHANNELS = {Speaker.CALLER: 0, Speaker.AGENT: 1}
"""Who is in which column of `Samples`."""


class KeptSegment(Protocol):
    """What the reader has to know of a segment."""

    @property
    def index(self) -> int:
        """Its place in the call."""
        ...

    @property
    def sample_rate_hz(self) -> int:
        """The same in all segments of a call."""
        ...

    @property
    def sample_count(self) -> int:
        """How many samples of both channels it has."""
        ...


class RecordingReader:
    """Reads a recording, complete, crashed or still being written, as it is when the reader is made.

    Blocks; call it in a thread. Reading raises OSError, and `SealBroken` where a segment was changed.

    Args:
        segments: at least one, in order.
        read: returns the samples of the segment with this index.
    """

    def __init__(self, segments: Sequence[KeptSegment], read: Callable[[int], Samples]) -> None:
        self.sample_rate_hz = segments[0].sample_rate_hz
        self._size = segment_samples(self.sample_rate_hz)
        self._indexes = {segment.index for segment in segments}
        self._read = read
        self.sample_count = segments[-1].index * self._size + segments[-1].sample_count

    @property
    def duration_ms(self) -> float:
        """Its length."""
        return self.sample_count * 1000 / self.sample_rate_hz

    def iter_segments(self, first: int = 0) -> Iterator[Samples]:
        """Yield each segment's samples from `first` on, shape (n, 2), the caller left; a missing one is silence."""
        for index in range(first, -(-self.sample_count // self._size)):
            length = min(self._size, self.sample_count - index * self._size)
            samples = np.zeros((length, 2), dtype=np.int16)
            if index in self._indexes:
                written = self._read(index)[:length]
                samples[: len(written)] = written
            yield samples

    def read_samples(self, start: int, stop: int) -> Samples:
        """Read the samples [start, stop), touching only the segments they are in."""
        start, stop = max(start, 0), min(stop, self.sample_count)
        if stop <= start:
            return np.zeros((0, 2), dtype=np.int16)
        first = start // self._size
        parts: list[Samples] = []
        have = first * self._size
        for samples in self.iter_segments(first):
            if have >= stop:
                break
            parts.append(samples)
            have += len(samples)
        offset = start - first * self._size
        return np.concatenate(parts)[offset : offset + stop - start]

    def read_pcm(self) -> Samples:
        """Read all samples, shape (n, 2): the caller left, the agent right."""
        return self.read_samples(0, self.sample_count)


class WavFile:
    """A recording as one WAV file that is made as it is read. Blocks; call it in a thread.

    Args:
        reader: of the recording.
        channel: only this side, mono; None: stereo, the caller left.
    """

    def __init__(self, reader: RecordingReader, channel: Speaker | None = None) -> None:
        self._read_samples = reader.read_samples
        self._channel = None if channel is None else CHANNELS[channel]
        channels = 2 if channel is None else 1
        self._frame_bytes = 2 * channels
        self._header = make_header(reader.sample_rate_hz, reader.sample_count, channels)
        self.bytes_count = HEADER_BYTES + reader.sample_count * self._frame_bytes

    def read(self, start: int, stop: int) -> bytes:
        """Read the bytes [start, stop) of the file; what is beyond its end is left out."""
        start, stop = max(start, 0), min(stop, self.bytes_count)
        if stop <= start:
            return b""
        head = self._header[start:stop]
        first_byte, last_byte = max(start - HEADER_BYTES, 0), stop - HEADER_BYTES
        if last_byte <= first_byte:
            return head
        first = first_byte // self._frame_bytes
        samples = self._read_samples(first, -(-last_byte // self._frame_bytes))
        if self._channel is not None:
            samples = samples[:, self._channel]
        offset = first_byte - first * self._frame_bytes
        return head + samples.astype("<i2").tobytes()[offset : offset + last_byte - first_byte]

    def read_all(self) -> bytes:
        """Read the whole file at once: for a short recording."""
        return self.read(0, self.bytes_count)

    def write_to(self, path: Path, *, piece_bytes: int = 1 << 18) -> None:
        """Write the whole file, a piece at a time."""
        with path.open("wb") as file:
            for start in range(0, self.bytes_count, piece_bytes):
                file.write(self.read(start, start + piece_bytes))


def open_folder(folder: Path, call_id: str, keys: SealingKeys) -> RecordingReader:
    """Open the recording of a call in the folder of all recordings. Blocks.

    Raises:
        FileNotFoundError: there is no recording of this call.
        ValueError: the id is none.
        SealingError: its key cannot be opened; the message has the cure.
    """
    call_folder = find_folder(folder, call_id)
    segments = list_segments(call_folder)
    if not segments:
        raise FileNotFoundError(f"There is no recording of the call {call_id}.")
    seal, by_index = find_seal(call_folder, keys), {segment.index: segment for segment in segments}
    return RecordingReader(segments, lambda index: read_samples(by_index[index], seal))
