"""What a run against Trunkline must leave behind: each sentence one start and stop of voice, all turns, both voices.

Looked up where it is kept, once the server has ended: the SQLite file of `transcripts/models.py`, by the bench's own
eyes, and the sealed recordings.
"""

import sqlite3
from collections.abc import Iterable, Sequence
from contextlib import closing, suppress
from pathlib import Path
from typing import cast

import numpy as np

from bench.caller import CallNotes, Spoken
from bench.loudness import LOUD_PEAK
from config.settings import Settings
from storage.key_ring import KeyRing
from transcripts.recording_store import RecordingStore

_EARLY_MS, _LATE_MS = 400.0, 900.0
"""A start or stop of voice that is further from its sentence's belongs to no sentence."""
_CHANNELS = ("the caller", "the agent")


def check_calls(data_dir: Path, notes: Iterable[CallNotes]) -> list[str]:
    """Find what is missing of the calls that did not fail. Blocks.

    Args:
        data_dir: The server's data folder, with `trunkline.db` and `recordings/`.
        notes: What the callers noted.

    Returns:
        One line for each fault, with the call's SID; empty when all is there.
    """
    file = data_dir / "trunkline.db"
    if not file.is_file():
        return [f"{file} does not exist"]
    faults: list[str] = []
    with closing(sqlite3.connect(f"file:{file}?mode=ro", uri=True)) as database:
        for call in notes:
            if not call.problem:
                found = _check_call(database, data_dir, call)
                faults.extend(f"{call.call_sid}: {fault}" for fault in found)
    return faults


def _check_call(database: sqlite3.Connection, data_dir: Path, call: CallNotes) -> list[str]:
    row = database.execute("SELECT call_id, status FROM calls WHERE call_sid = ?", (call.call_sid,)).fetchone()
    if row is None:
        return ["is not in the database"]
    call_id, status = cast(tuple[str, str], row)
    faults = [] if status == "ended" else [f"is {status}"]
    starts = _event_times(database, call_id, "caller.started")
    stops = _event_times(database, call_id, "caller.stopped")
    faults += voice_faults(call, starts, stops)
    for speaker, expected in (("caller", len(call.spoken)), ("agent", call.answers_heard)):
        query = "SELECT count(*) FROM turns WHERE call_id = ? AND speaker = ? AND text <> ''"
        count = database.execute(query, (call_id, speaker)).fetchone()[0]
        if count != expected:
            faults.append(f"{count} turns of the {speaker} instead of {expected}")
    has_spoken = (bool(call.spoken), bool(call.answers_heard))
    return faults + recording_faults(data_dir, call_id, has_spoken)


def _event_times(database: sqlite3.Connection, call_id: str, kind: str) -> list[int]:
    query = "SELECT at_ms FROM call_events WHERE call_id = ? AND kind = ? ORDER BY at_ms"
    return [int(at_ms) for (at_ms,) in database.execute(query, (call_id, kind))]


def voice_faults(call: CallNotes, starts: Sequence[float], stops: Sequence[float]) -> list[str]:
    """Compare the starts and stops of voice, in ms of call time, with the sentences that were said."""
    faults: list[str] = []
    if len(starts) != len(call.spoken) or len(stops) != len(call.spoken):
        faults.append(f"{len(starts)} starts and {len(stops)} stops of voice for {len(call.spoken)} sentences")
    zero = call.started_at or 0.0
    for number, spoken in enumerate(call.spoken, 1):
        began_ms, ended_ms = _place_ms(spoken, zero)
        for name, times, at_ms in (("starts", starts, began_ms), ("stops", stops, ended_ms)):
            count = sum(at_ms - _EARLY_MS <= time <= at_ms + _LATE_MS for time in times)
            if count != 1:
                faults.append(f"sentence {number} has {count} {name} of voice near {at_ms:.0f} ms")
    return faults


def _place_ms(spoken: Spoken, zero: float) -> tuple[float, float]:
    return (spoken.began_at - zero) * 1000, (spoken.last_loud_at - zero) * 1000


def recording_faults(data_dir: Path, call_id: str, has_spoken: tuple[bool, bool] = (True, True)) -> list[str]:
    """Whether each channel of a call's recording, caller and agent, has the voice in it of one who has spoken."""
    peaks = [0, 0]
    keys = KeyRing.load(Settings.load(env_file=None, data_dir=data_dir, sealing_keys=None))
    with suppress(FileNotFoundError):
        for samples in RecordingStore(data_dir / "recordings", keys).open(call_id).iter_segments():
            if len(samples):
                highest = np.abs(samples.astype(np.int32)).max(axis=0)
                peaks = [max(peak, int(high)) for peak, high in zip(peaks, highest, strict=True)]
    return [
        f"{name} is not in the recording"
        for name, peak, has in zip(_CHANNELS, peaks, has_spoken, strict=True)
        if has and peak <= LOUD_PEAK
    ]
