"""The only writer of recordings; `transcripts.segments` knows the files.

It collects pieces of audio on the event loop, without mixing them, and hands them to its own thread
once a second. The thread lays them over what the files already hold, so audio that comes late, that is taken back after
it was written, or that fills only the beginning of a segment, is no special case. The thread seals them, too.
"""

import asyncio
import errno
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from loguru import logger

from storage.envelope import SealingKeys
from telemetry import metrics
from transcripts import recording_lock
from transcripts.call import RecordingStatus, Speaker
from transcripts.recording_reader import CHANNELS
from transcripts.recording_seal import RecordingSeal, find_or_make_seal
from transcripts.segments import (
    Samples,
    find_folder,
    find_path,
    list_segments,
    read_header,
    read_samples,
    segment_samples,
    write_segment,
)

# Audio beyond this is a mistake of its sender, and would make every reader lay out a day of silence.
_LONGEST_SECS = 24 * 3600
# How long audio is gathered, because each time costs a rewrite of its segment; so much of it a crash loses.
_GATHER_SECS = 1.0
# How far the agent may run ahead of the caller's audio before his own is the clock: a caller may be silent on the wire.
_AHEAD_SECS = 0.5
# A disk that falls this many writes behind (about a minute and a half) is given up, or memory would grow without end.
_MOST_WAITING = 120


@dataclass(frozen=True, slots=True)
class RecordingResult:
    """How a recording ended. `failed` names the first error; what could be written is still readable."""

    status: RecordingStatus
    error: str | None
    duration_ms: float
    segments: int


@dataclass(slots=True)
class _Piece:
    """Audio for a segment: `pcm` from sample `offset` of it on; None is silence up to the segment's end."""

    channel: int
    offset: int
    pcm: bytearray | None


class RecordingWriter:
    """Writes one call's recording as it happens.

    `add` and `retract` return at once, never touch a disk and never raise for one; when pieces overlap, the later call
    wins. A process that is killed loses the last 1.5 s at most. Memory holds no more, but for what was sent ahead.

    Args:
        folder: all recordings; the call gets its own folder in it.
        call_id: letters, digits, - and _; else ValueError.
        sample_rate_hz: of the audio given and of the files.
        keys: what the recording's own key is sealed with.
    """

    def __init__(self, folder: Path, call_id: str, sample_rate_hz: int, keys: SealingKeys) -> None:
        self.sample_rate_hz = sample_rate_hz
        self._call_id = call_id
        self._size = segment_samples(sample_rate_hz)
        self._open: dict[int, list[_Piece]] = {}
        self._due: dict[int, float] = {}
        self._next_due = float("inf")
        self._ends = [0, 0]
        # Each channel's last piece and the sample of the call that would continue it.
        self._tails: list[tuple[bytearray, int] | None] = [None, None]
        self._given_count = 0
        self._laid_count = 0
        self._error: str | None = None
        self._ending: asyncio.Future[RecordingResult] | None = None
        self._files = _SegmentFiles(find_folder(folder, call_id), sample_rate_hz, keys)
        # One thread keeps the order; its own, so that a slow disk holds up nothing else of the process.
        self._disk = ThreadPoolExecutor(max_workers=1, thread_name_prefix=f"recording-{call_id}")

    def add(self, channel: Speaker, start_ms: float, pcm: bytes) -> None:
        """Lay audio on a channel.

        Args:
            channel: whose.
            start_ms: call time of its first sample; rounded to the nearest sample. What lies before 0 or beyond 24 h is
                left out.
            pcm: PCM16 little-endian mono at `sample_rate_hz`. An odd last byte is left out.
        """
        if self._ending is not None:
            return
        start = round(start_ms * self.sample_rate_hz / 1000)
        if start < 0:
            pcm = pcm[-2 * start :]
            start = 0
        end = start + len(pcm) // 2
        if end <= start or end > _LONGEST_SECS * self.sample_rate_hz:
            return
        side, size = CHANNELS[channel], self._size
        tail = self._tails[side]
        if tail is not None and tail[1] == start and start % size and end <= start - start % size + size:
            tail[0].extend(pcm[: 2 * (end - start)])
            self._tails[side] = tail[0], end
            position = end
        else:
            position = start
        while position < end:
            index, offset = divmod(position, self._size)
            count = min(self._size - offset, end - position)
            first = 2 * (position - start)
            audio = bytearray(pcm[first : first + 2 * count])
            self._put(index, _Piece(side, offset, audio))
            position += count
            self._tails[side] = audio, position
        if end > self._ends[side]:
            self._ends[side] = end
            if self._now() >= self._next_due:
                self._hand_over_due()

    def retract(self, channel: Speaker, from_ms: float) -> None:
        """Silence all that was added to a channel from `from_ms` on: it was cleared before anyone heard it."""
        if self._ending is not None:
            return
        start = max(round(from_ms * self.sample_rate_hz / 1000), 0)
        side = CHANNELS[channel]
        self._tails[side] = None
        for index in range(start // self._size, -(-self._ends[side] // self._size)):
            self._put(index, _Piece(side, max(start - index * self._size, 0), None))
        self._ends[side] = min(self._ends[side], start)

    async def close(self, end_ms: float | None = None) -> RecordingResult:
        """Write the rest and end the recording. A second close returns the first one's result.

        Args:
            end_ms: the call's end. The recording gets exactly this length: what is missing is silence, what is beyond
                is cut off. Left out, it ends with the last audio.
        """
        if self._ending is None:
            end = max(self._ends) if end_ms is None else max(round(end_ms * self.sample_rate_hz / 1000), 0)
            for index in sorted(self._open):
                self._hand_over(index)
            self._ending = asyncio.get_running_loop().run_in_executor(self._disk, self._end_files, end)
            self._disk.shutdown(wait=False)
        # A caller that is cancelled takes the ending away from no other.
        return await asyncio.shield(self._ending)

    def _now(self) -> int:
        # The caller's audio never stops while the line is open, so it is the clock, unless the agent ran far ahead.
        return max(self._ends[0], self._ends[1] - round(_AHEAD_SECS * self.sample_rate_hz))

    def _put(self, index: int, piece: _Piece) -> None:
        pieces = self._open.get(index)
        if pieces is None:
            pieces = self._open[index] = []
            due = self._due[index] = self._now() + _GATHER_SECS * self.sample_rate_hz
            self._next_due = min(self._next_due, due)
        pieces.append(piece)

    def _hand_over_due(self) -> None:
        now = self._now()
        for index in sorted(index for index, due in self._due.items() if due <= now):
            self._hand_over(index)
        self._next_due = min(self._due.values(), default=float("inf"))

    def _hand_over(self, index: int) -> None:
        pieces = self._open.pop(index)
        del self._due[index]
        self._tails = [None, None]  # the pieces are the disk's from now on
        if self._given_count - self._laid_count >= _MOST_WAITING:
            self._fail(OSError(errno.EBUSY, "the disk is too slow"))
            return
        self._given_count += 1
        self._disk.submit(self._lay, index, pieces)

    # on the disk's thread

    def _lay(self, index: int, pieces: list[_Piece]) -> None:
        try:
            self._files.lay(index, pieces)
        except Exception as error:
            self._fail(error)
        finally:
            self._laid_count += 1

    def _end_files(self, end: int) -> RecordingResult:
        count = 0
        try:
            count = self._files.end(end)
        except Exception as error:
            self._fail(error)
        finally:
            self._files.let_go()
        status = RecordingStatus.COMPLETE if self._error is None else RecordingStatus.FAILED
        return RecordingResult(status, self._error, end * 1000 / self.sample_rate_hz, count)

    def _fail(self, error: Exception) -> None:
        # Nobody waits for this thread, so what goes wrong in it is kept here, whatever it is; the call goes on.
        is_disk = isinstance(error, OSError)
        problem = (error.strerror if is_disk else None) or type(error).__name__
        if self._error is None:
            self._error = problem
            metrics.RECORDINGS_FAILED_TOTAL.inc()
            logger.opt(exception=None if is_disk else error).bind(call_id=self._call_id, problem=problem).error(
                "a part of the recording could not be written"
            )


class _SegmentFiles:
    """The call's files, as the disk's thread sees them. Raises OSError, and `SealingError` when no key can be had."""

    def __init__(self, call_folder: Path, sample_rate_hz: int, keys: SealingKeys) -> None:
        self._folder = call_folder
        self._rate_hz = sample_rate_hz
        self._size = segment_samples(sample_rate_hz)
        self._keys = keys
        self._lock: int | None = None
        self._seal: RecordingSeal | None = None
        # The segment that was written last, because most often it is the next one too: its index, audio and length.
        self._latest: tuple[int, Samples, int] | None = None

    def lay(self, index: int, pieces: list[_Piece]) -> None:
        """Lay pieces, in their order, over what the segment holds so far."""
        samples, length = self._read(index)
        for piece in pieces:
            if piece.pcm is None:
                samples[piece.offset :, piece.channel] = 0
            else:
                audio = np.frombuffer(piece.pcm, dtype="<i2")
                end = piece.offset + len(audio)
                samples[piece.offset : end, piece.channel] = audio
                length = max(length, end)
        self._latest = None  # should the write fail, the file still holds what it held
        self._write(index, samples[:length])
        self._latest = index, samples, length

    def end(self, end: int) -> int:
        """Give the recording its length in samples and return how many segments it has."""
        last = max(end - 1, 0) // self._size
        segments = list_segments(self._folder)
        for segment in segments:
            if segment.index > last:
                segment.path.unlink()
        samples, _ = self._read(last)
        self._write(last, samples[: end - last * self._size])
        return len({segment.index for segment in segments if segment.index <= last} | {last})

    def _read(self, index: int) -> tuple[Samples, int]:
        """Return a whole segment, silent where nothing was written, and how much of it was."""
        if self._latest is not None and self._latest[0] == index:
            return self._latest[1], self._latest[2]
        samples, length = np.zeros((self._size, 2), dtype=np.int16), 0
        path = find_path(self._folder, index)
        segment = read_header(path) if path.exists() else None
        if segment is not None:
            written = read_samples(segment, self._opened())
            length = len(written)
            samples[:length] = written
        return samples, length

    def _write(self, index: int, samples: Samples) -> None:
        write_segment(find_path(self._folder, index), index, samples, self._rate_hz, self._opened())

    def _opened(self) -> RecordingSeal:
        if self._seal is None:
            # Once only: a folder that was removed during the call was removed on purpose.
            if self._lock is None:
                self._folder.mkdir(parents=True, exist_ok=True)
                self._lock = recording_lock.hold(self._folder, waits=True)
            self._seal = find_or_make_seal(self._folder, self._keys)
        return self._seal

    def let_go(self) -> None:
        """The recording is over: others may have its folder."""
        if self._lock is not None:
            recording_lock.release(self._lock)
            self._lock = None
