"""A recording at rest: nothing of it in the clear, no part of it opens elsewhere, other keys and older files."""

import asyncio
import os
import shutil
import time
import wave
from pathlib import Path

import numpy as np
import pytest

from storage.envelope import SealBroken
from storage.key_ring import SealingKeyMissing
from tests.sealing import BOTH_KEYS, KEYS, OTHER_KEYS
from transcripts.call import Speaker
from transcripts.recording_reader import WavFile, open_folder
from transcripts.recording_rotation import rotate_folder, rotate_recordings
from transcripts.recording_seal import KEY_FILE, find_or_make_seal, rewrap_folder
from transcripts.recording_store import RecordingStore
from transcripts.recordings import RecordingWriter

RATE_HZ = 8000
VOICE = (np.sin(np.arange(5 * RATE_HZ) / 9) * 12_000).astype("<i2").tobytes()


async def record(folder: Path, call_id: str = "c1") -> None:
    writer = RecordingWriter(folder, call_id, RATE_HZ, KEYS)
    writer.add(Speaker.CALLER, 0, VOICE)
    writer.add(Speaker.AGENT, 100, VOICE[:16_000])
    assert (await writer.close()).status == "complete"


def write_old(folder: Path, call_id: str = "c1") -> None:
    """A recording as the versions before wrote them."""
    (folder / call_id).mkdir(parents=True)
    samples = np.frombuffer(VOICE, dtype="<i2")
    for number in range(3):
        piece = samples[number * 16_000 : (number + 1) * 16_000]
        with wave.open(str(folder / call_id / f"{number:06d}.wav"), "wb") as file:
            file.setnchannels(2)
            file.setsampwidth(2)
            file.setframerate(RATE_HZ)
            file.writeframes(np.repeat(piece, 2).astype("<i2").tobytes())


def bytes_below(folder: Path) -> bytes:
    return b"".join(path.read_bytes() for path in folder.rglob("*") if path.is_file())


async def test_no_sound_is_on_the_disk_in_the_clear(tmp_path: Path) -> None:
    await record(tmp_path)
    found = bytes_below(tmp_path)
    pairs = np.frombuffer(VOICE, dtype="<i2")
    stereo = np.stack([pairs, np.zeros_like(pairs)], axis=1).tobytes()
    for start in range(0, 40_000, 4000):
        assert VOICE[start : start + 32] not in found
        assert stereo[start : start + 32] not in found
    assert b"RIFF" not in found
    assert (tmp_path / "c1" / KEY_FILE).stat().st_mode & 0o077 == 0


async def test_segments_cannot_be_swapped_changed_or_taken_to_another_call(tmp_path: Path) -> None:
    await record(tmp_path)
    await record(tmp_path, "c2")
    first, second, third = (tmp_path / "c1" / f"00000{number}.sealed" for number in range(3))
    good = first.read_bytes()
    for wrong in (second.read_bytes(), good[:-1] + bytes([good[-1] ^ 1]), good[:4] + b"\x80\x3e" + good[6:]):
        first.write_bytes(wrong)
        with pytest.raises(SealBroken, match="recordings does not open"):
            open_folder(tmp_path, "c1", KEYS).read_samples(0, 10)
    first.write_bytes(good)
    shutil.copy(tmp_path / "c2" / "000002.sealed", third)
    reader = open_folder(tmp_path, "c1", KEYS)
    assert len(reader.read_samples(0, 16_000)) == 16_000  # what was left alone is still heard
    with pytest.raises(SealBroken):
        reader.read_pcm()
    shutil.copy(tmp_path / "c2" / KEY_FILE, tmp_path / "c1" / KEY_FILE)
    with pytest.raises(SealBroken):
        open_folder(tmp_path, "c1", KEYS)


async def test_without_its_sealing_key_it_is_not_opened_and_the_cure_is_named(tmp_path: Path) -> None:
    await record(tmp_path)
    with pytest.raises(SealingKeyMissing, match="the sealing key test is not in"):
        open_folder(tmp_path, "c1", OTHER_KEYS)


async def test_another_sealing_key_changes_the_header_and_nothing_else(tmp_path: Path) -> None:
    await record(tmp_path)
    before = {path.name: path.read_bytes() for path in (tmp_path / "c1").iterdir()}
    assert rewrap_folder(tmp_path / "c1", BOTH_KEYS)
    assert not rewrap_folder(tmp_path / "c1", BOTH_KEYS)
    after = {path.name: path.read_bytes() for path in (tmp_path / "c1").iterdir()}
    assert {name for name in before if before[name] != after[name]} == {KEY_FILE}
    assert WavFile(open_folder(tmp_path, "c1", OTHER_KEYS), Speaker.CALLER).read_all()[44:] == VOICE


async def test_a_call_that_is_recorded_goes_on_while_its_key_is_sealed_anew(tmp_path: Path) -> None:
    writer = RecordingWriter(tmp_path, "c1", RATE_HZ, KEYS)
    writer.add(Speaker.CALLER, 0, VOICE[:64_000])
    async with asyncio.timeout(10):
        while not (tmp_path / "c1" / "000000.sealed").exists():  # noqa: ASYNC110 - a disk has no event to wait for
            await asyncio.sleep(0.01)
    assert rotate_recordings(RecordingStore(tmp_path, BOTH_KEYS)).rewrapped == 1
    writer.add(Speaker.CALLER, 4000, VOICE[64_000:])
    await writer.close()
    assert WavFile(open_folder(tmp_path, "c1", OTHER_KEYS), Speaker.CALLER).read_all()[44:] == VOICE


def test_recordings_of_a_version_before_are_heard_and_sealed_later(tmp_path: Path) -> None:
    write_old(tmp_path)
    sound = open_folder(tmp_path, "c1", KEYS).read_pcm()
    assert sound[:, 1].tobytes() == VOICE
    # Interrupted after the first of three segments, before that one's clear file was gone.
    keep = (tmp_path / "c1" / "000000.wav").read_bytes()
    long_ago = time.time() - 3600
    for path in (tmp_path / "c1").glob("*.wav"):
        os.utime(path, (long_ago, long_ago))
    assert rotate_folder(tmp_path / "c1", KEYS, now=time.time(), most=1) == 1
    (tmp_path / "c1" / "000000.wav").write_bytes(keep)
    assert np.array_equal(open_folder(tmp_path, "c1", KEYS).read_pcm(), sound)
    os.utime(tmp_path / "c1" / "000000.wav", (long_ago, long_ago))
    report = rotate_recordings(RecordingStore(tmp_path, KEYS))
    assert (report.sealed, report.left) == (1, [])
    assert sorted(path.suffix for path in (tmp_path / "c1").iterdir()) == ["", ".sealed", ".sealed", ".sealed"]
    assert np.array_equal(open_folder(tmp_path, "c1", KEYS).read_pcm(), sound)


def test_what_a_version_before_may_still_be_writing_is_left_alone(tmp_path: Path) -> None:
    write_old(tmp_path)
    report = rotate_recordings(RecordingStore(tmp_path, KEYS))
    assert (report.sealed, report.left) == (0, ["c1"])
    assert len(list((tmp_path / "c1").glob("*.wav"))) == 3


def test_sealing_costs_a_fraction_of_a_millisecond_for_each_segment(tmp_path: Path) -> None:
    (tmp_path / "c1").mkdir()
    seal, pcm = find_or_make_seal(tmp_path / "c1", KEYS), os.urandom(64_000)
    began = time.thread_time()
    for number in range(100):
        seal.seal(number, RATE_HZ, pcm)
    assert (time.thread_time() - began) / 100 < 0.0005
