"""Every recording's key sealed with the current sealing key, and recordings of versions before sealed at all.

It may be interrupted at any place and begun again: what is done is found done. Blocks; meant for the command line.
"""

import contextlib
import time
from dataclasses import dataclass, field
from pathlib import Path

from storage.envelope import SealingKeys, key_id_of
from transcripts.recording_lock import RecordingBusy, held
from transcripts.recording_seal import KEY_FILE, find_or_make_seal, rewrap_folder
from transcripts.recording_store import RecordingStore
from transcripts.segments import Segment, find_path, list_segments, read_samples, write_segment

# A server of a version before may still be writing it, and takes no lock.
_QUIET_SECS = 300.0


@dataclass(slots=True)
class Rotation:
    """What was done: recordings whose key was sealed anew, those that were sealed at all, and calls that are left."""

    rewrapped: int = 0
    sealed: int = 0
    left: list[str] = field(default_factory=list[str])


def rotate_recordings(recordings: RecordingStore) -> Rotation:
    """Do it for all recordings. `left` are those in use at the moment: begin again in some minutes.

    Raises:
        OSError: a file cannot be read or written.
        SealingError: a key is missing; the message has the cure.
        BucketAway: the bucket does not answer.
    """
    done = Rotation()
    for call_id in recordings.list_call_ids():
        call_folder = recordings.folder / call_id
        try:
            done.rewrapped += rewrap_folder(call_folder, recordings.keys)
            if not _is_clear(call_folder):
                continue
            with held(call_folder):
                done.sealed += rotate_folder(call_folder, recordings.keys, now=time.time()) > 0
        except FileNotFoundError:
            continue  # it was deleted, or sent, meanwhile
        except RecordingBusy:
            pass
        if _is_clear(call_folder):
            done.left.append(call_id)
    # The bucket last: what is sent meanwhile has its new key already, or is found there.
    if recordings.bucket is not None:
        for call_id in recordings.bucket.iter_call_ids():
            done.rewrapped += recordings.bucket.rewrap(call_id, recordings.keys)
    return done


def count_keys(recordings: RecordingStore) -> dict[str, int]:
    """Count recordings by the id of the key behind them; empty: those that are not sealed yet. Raises as above."""
    counts: dict[str, int] = {}
    for call_id in recordings.list_call_ids():
        call_folder = recordings.folder / call_id
        if _is_clear(call_folder):
            counts[""] = counts.get("", 0) + 1
        with contextlib.suppress(FileNotFoundError):
            key_id = key_id_of((call_folder / KEY_FILE).read_bytes())
            counts[key_id] = counts.get(key_id, 0) + 1
    if recordings.bucket is not None:
        for call_id in recordings.bucket.iter_call_ids():
            if (found := recordings.bucket.find_key_id(call_id)) is not None:
                counts[found] = counts.get(found, 0) + 1
    return counts


def rotate_folder(call_folder: Path, keys: SealingKeys, *, now: float, most: int | None = None) -> int:
    """Seal the clear segments of one call, unless they are younger than five minutes; returns how many there were.

    Args:
        call_folder: of the call; nobody else seals it.
        keys: what its key is sealed with.
        now: Unix time in seconds.
        most: stop after so many.
    """
    clear = _clear_files(call_folder)
    if not clear or now - max(path.stat().st_mtime for path in clear) < _QUIET_SECS:
        return 0
    seal = find_or_make_seal(call_folder, keys)
    there = {segment.index: segment for segment in list_segments(call_folder)}
    for path in clear[:most]:
        segment: Segment | None = there.get(int(path.stem))
        if segment is not None and not segment.is_sealed:
            samples = read_samples(segment, None)
            write_segment(find_path(call_folder, segment.index), segment.index, samples, segment.sample_rate_hz, seal)
        path.unlink()
    return len(clear[:most])


def _clear_files(call_folder: Path) -> list[Path]:
    return sorted(path for path in call_folder.glob("*.wav") if path.stem.isdigit())


def _is_clear(call_folder: Path) -> bool:
    return bool(_clear_files(call_folder))
