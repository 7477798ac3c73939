"""A recording: aligned to the sample, whatever comes late, twice, ahead, or not at all."""

import asyncio
import io
import os
import subprocess
import sys
import time
import tracemalloc
import wave
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.sealing import KEYS
from transcripts.call import RecordingStatus, Speaker
from transcripts.recording_reader import WavFile, open_folder
from transcripts.recordings import RecordingWriter

RATE_HZ = 8000
ROOT = Path(__file__).parents[3]


def _tone(samples: int, value: int) -> bytes:
    return np.full(samples, value, dtype="<i2").tobytes()


def _ramp(start: int, samples: int) -> bytes:
    """Audio whose every sample tells its own position."""
    return ((np.arange(start, start + samples) % 30_000) + 1).astype("<i2").tobytes()


async def test_the_caller_is_left_and_the_agent_right(tmp_path: Path) -> None:
    writer = RecordingWriter(tmp_path, "c1", RATE_HZ, KEYS)
    writer.add(Speaker.CALLER, 0, _tone(RATE_HZ, 11))
    writer.add(Speaker.AGENT, 500, _tone(RATE_HZ, -22))
    result = await writer.close(2000)
    assert (result.status, result.error, result.duration_ms, result.segments) == ("complete", None, 2000, 1)
    pcm = open_folder(tmp_path, "c1", KEYS).read_pcm()
    assert pcm.shape == (16_000, 2)
    assert np.array_equal(np.flatnonzero(pcm[:, 0] == 11), np.arange(8000))
    assert np.array_equal(np.flatnonzero(pcm[:, 1] == -22), np.arange(4000, 12_000))
    assert np.count_nonzero(pcm) == 16_000


async def test_memory_holds_seconds_not_the_call(tmp_path: Path) -> None:
    writer = RecordingWriter(tmp_path, "c1", RATE_HZ, KEYS)
    peaks: list[int] = []
    tracemalloc.start()
    for frame in range(120 * 50):
        writer.add(Speaker.CALLER, frame * 20, _ramp(frame * 160, 160))
        writer.add(Speaker.AGENT, frame * 20 + 3000, _ramp(frame * 160, 160))
        if frame % 100 == 0:
            await asyncio.sleep(0.01)
        if frame % 3000 == 2999:
            peaks.append(tracemalloc.get_traced_memory()[1])
            tracemalloc.reset_peak()
    tracemalloc.stop()
    await writer.close()
    assert max(peaks) < 3_000_000
    assert peaks[1] < 1.5 * peaks[0]


async def test_ten_minutes_stay_aligned_to_the_sample(tmp_path: Path) -> None:
    writer = RecordingWriter(tmp_path, "c1", RATE_HZ, KEYS)
    for frame in range(600 * 50):
        writer.add(Speaker.CALLER, frame * 20, _ramp(frame * 160, 160))
        # The agent's clock is its own: odd lengths at odd places, laid 130 ms ahead of the caller's audio.
        if frame % 7 == 0:
            writer.add(Speaker.AGENT, frame * 20 + 130.125, _ramp(frame * 160 + 1041, 1119))
        # 600 times as fast as a call: a loaded disk falls behind.
        while writer._given_count - writer._laid_count > 60:  # noqa: ASYNC110 - it has no event for that
            await asyncio.sleep(0.01)
    result = await writer.close(600_000)
    assert (result.status, result.segments, result.duration_ms) == ("complete", 300, 600_000)
    pcm = open_folder(tmp_path, "c1", KEYS).read_pcm()
    expected = ((np.arange(600 * RATE_HZ) % 30_000) + 1).astype(np.int16)
    assert np.array_equal(pcm[:, 0], expected)
    spoken = np.flatnonzero(pcm[:, 1])
    assert len(spoken) > 4_750_000
    assert np.array_equal(pcm[spoken, 1], expected[spoken])


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    steps=st.lists(
        st.tuples(
            st.sampled_from(list(Speaker)),
            st.integers(min_value=-3000, max_value=200_000),
            st.integers(min_value=0, max_value=40_000) | st.none(),
        ),
        max_size=30,
    ),
    end=st.integers(min_value=0, max_value=220_000),
)
def test_any_order_of_pieces_gives_what_a_plain_array_would(
    tmp_path_factory: pytest.TempPathFactory,
    steps: list[tuple[Speaker, int, int | None]],
    end: int,
) -> None:
    """Late, overlapping, ahead, before the start, taken back: the recording is as if there were one big array."""
    folder = tmp_path_factory.mktemp("recordings")
    model = np.zeros((300_000, 2), dtype=np.int16)

    async def record() -> None:
        writer = RecordingWriter(folder, "c1", RATE_HZ, KEYS)
        for number, (speaker, start, count) in enumerate(steps, start=1):
            side = 0 if speaker is Speaker.CALLER else 1
            if count is None:
                writer.retract(speaker, start / 8)
                model[max(start, 0) :, side] = 0
            else:
                writer.add(speaker, start / 8, _tone(count, number))
                model[max(start, 0) : max(start + count, 0), side] = number
        await writer.close(end / 8)

    asyncio.run(record())
    pcm = open_folder(folder, "c1", KEYS).read_pcm()
    assert pcm.shape == (end, 2)
    assert np.array_equal(pcm, model[:end])


async def test_what_was_never_heard_is_taken_back_and_new_words_follow(tmp_path: Path) -> None:
    writer = RecordingWriter(tmp_path, "c1", RATE_HZ, KEYS)
    writer.add(Speaker.AGENT, 0, _tone(20 * RATE_HZ, 5))
    writer.add(Speaker.CALLER, 0, _tone(3 * RATE_HZ, 7))
    writer.retract(Speaker.AGENT, 2500)
    writer.add(Speaker.AGENT, 3500, _tone(RATE_HZ, 6))
    result = await writer.close()
    pcm = open_folder(tmp_path, "c1", KEYS).read_pcm()
    assert result.duration_ms == 4500
    assert np.array_equal(np.flatnonzero(pcm[:, 1] == 5), np.arange(20_000))
    assert np.array_equal(np.flatnonzero(pcm[:, 1] == 6), np.arange(28_000, 36_000))
    assert np.count_nonzero(pcm[:, 1]) == 28_000


async def test_frames_of_odd_size_lose_their_half_sample(tmp_path: Path) -> None:
    writer = RecordingWriter(tmp_path, "c1", RATE_HZ, KEYS)
    writer.add(Speaker.CALLER, 0, _tone(10, 3) + b"\x01")
    writer.add(Speaker.CALLER, 10, b"")
    writer.add(Speaker.CALLER, 20, b"\x01")
    assert (await writer.close()).duration_ms == 10 / 8
    assert open_folder(tmp_path, "c1", KEYS).read_pcm()[:, 0].tolist() == [3] * 10


async def test_a_position_out_of_this_world_is_left_out(tmp_path: Path) -> None:
    writer = RecordingWriter(tmp_path, "c1", RATE_HZ, KEYS)
    writer.add(Speaker.CALLER, 0, _tone(10, 3))
    writer.add(Speaker.CALLER, 1e12, _tone(10, 3))
    assert (await writer.close()).duration_ms == 10 / 8


async def test_a_call_in_which_nothing_was_said(tmp_path: Path) -> None:
    result = await RecordingWriter(tmp_path, "c1", 16_000, KEYS).close(0)
    assert (result.status, result.duration_ms) == ("complete", 0)
    reader = open_folder(tmp_path, "c1", KEYS)
    assert (reader.duration_ms, reader.sample_rate_hz, reader.read_pcm().shape) == (0, 16_000, (0, 2))
    with wave.open(io.BytesIO(WavFile(reader).read_all())) as file:
        assert file.getnframes() == 0


async def test_silence_reaches_to_the_end(tmp_path: Path) -> None:
    writer = RecordingWriter(tmp_path, "c1", RATE_HZ, KEYS)
    writer.add(Speaker.CALLER, 0, _tone(10, 3))
    await writer.close(9000)
    reader = open_folder(tmp_path, "c1", KEYS)
    assert reader.duration_ms == 9000
    assert np.count_nonzero(reader.read_pcm()) == 10
    assert [len(samples) for samples in reader.iter_segments()] == [16_000] * 4 + [8000]


async def test_closing_twice_and_adding_after(tmp_path: Path) -> None:
    writer = RecordingWriter(tmp_path, "c1", RATE_HZ, KEYS)
    writer.add(Speaker.CALLER, 0, _tone(RATE_HZ, 3))
    first, second = await asyncio.gather(writer.close(1000), writer.close(5000))
    assert first == second
    writer.add(Speaker.CALLER, 1000, _tone(RATE_HZ, 4))
    writer.retract(Speaker.CALLER, 0)
    assert await writer.close(9000) == first
    assert open_folder(tmp_path, "c1", KEYS).duration_ms == 1000


@pytest.mark.parametrize("call_id", ["", "../c1", "a/b", "a.b", "c1\n"])
def test_an_id_that_is_a_path_is_refused(tmp_path: Path, call_id: str) -> None:
    with pytest.raises(ValueError, match="call id"):
        RecordingWriter(tmp_path, call_id, RATE_HZ, KEYS)
    with pytest.raises(ValueError, match="call id"):
        open_folder(tmp_path, call_id, KEYS)


def test_there_is_no_recording(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        open_folder(tmp_path, "c1", KEYS)


async def test_segments_are_whole_files_of_two_seconds(tmp_path: Path) -> None:
    writer = RecordingWriter(tmp_path, "c1", RATE_HZ, KEYS)
    writer.add(Speaker.CALLER, 0, _ramp(0, 5 * RATE_HZ))
    await writer.close()
    files = sorted(path.name for path in (tmp_path / "c1").iterdir())
    assert files == ["000000.sealed", "000001.sealed", "000002.sealed", "key"]
    for number, count in enumerate((16_000, 16_000, 8000)):
        assert (tmp_path / "c1" / f"{number:06d}.sealed").stat().st_size == 12 + 12 + 4 * count + 16


async def test_every_byte_range_is_that_of_the_whole_file(tmp_path: Path) -> None:
    writer = RecordingWriter(tmp_path, "c1", RATE_HZ, KEYS)
    writer.add(Speaker.CALLER, 0, _ramp(0, 5 * RATE_HZ))
    writer.add(Speaker.AGENT, 100, _ramp(7, 3 * RATE_HZ))
    await writer.close()
    reader = open_folder(tmp_path, "c1", KEYS)
    whole = WavFile(reader).read_all()
    assert len(whole) == WavFile(reader).bytes_count == 44 + 5 * RATE_HZ * 4
    wav = WavFile(reader)
    wav.write_to(tmp_path / "whole.wav")
    assert (tmp_path / "whole.wav").read_bytes() == whole
    with wave.open(io.BytesIO(whole)) as file:
        assert file.readframes(file.getnframes()) == reader.read_pcm().tobytes()
    edges = [0, 1, 43, 44, 45, 64_043, 64_044, 64_045, 128_043, 128_044, len(whole) - 1, len(whole), len(whole) + 9]
    for start in edges:
        for stop in edges:
            assert wav.read(start, stop) == whole[start:stop]


async def test_a_missing_or_broken_segment_is_silence_and_moves_nothing(tmp_path: Path) -> None:
    writer = RecordingWriter(tmp_path, "c1", RATE_HZ, KEYS)
    writer.add(Speaker.CALLER, 0, _ramp(0, 8 * RATE_HZ))
    await writer.close()
    (tmp_path / "c1" / "000000.sealed").unlink()
    broken = tmp_path / "c1" / "000001.sealed"
    broken.write_bytes(broken.read_bytes()[:-100])
    (tmp_path / "c1" / "000002.sealed").write_bytes(b"")
    (tmp_path / "c1" / "notes.sealed").write_bytes(b"RIFF")
    reader = open_folder(tmp_path, "c1", KEYS)
    assert reader.duration_ms == 8000
    pcm = reader.read_pcm()[:, 0]
    assert np.count_nonzero(pcm[:48_000]) == 0
    assert pcm[48_000:].tobytes() == _ramp(48_000, 16_000)


def _run(program: str, folder: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", program, str(folder)],
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


_RECORD = """
import asyncio, os, resource, signal, sys
from pathlib import Path
from transcripts.call import Speaker
from tests.sealing import KEYS
from transcripts.recordings import RecordingWriter

async def record(seconds):
    writer = RecordingWriter(Path(sys.argv[1]), "c1", 8000, KEYS)
    for frame in range(seconds * 50):
        at(frame)
        writer.add(Speaker.CALLER, frame * 20, b"\\x01\\x00" * 160)
        writer.add(Speaker.AGENT, frame * 20, b"\\x02\\x00" * 160)
        await asyncio.sleep(0.001)
    return await writer.close()
"""


def test_a_killed_process_leaves_all_but_the_last_seconds(tmp_path: Path) -> None:
    program = _RECORD + (
        "def at(frame):\n"
        "    if frame == 499:\n"
        "        import time; time.sleep(0.3)\n"
        "        os.kill(os.getpid(), signal.SIGKILL)\n"
        "asyncio.run(record(11))\n"
    )
    assert _run(program, tmp_path).returncode == -9
    reader = open_folder(tmp_path, "c1", KEYS)
    pcm = reader.read_pcm()
    for channel in (0, 1):
        heard = np.flatnonzero(pcm[:, channel] == channel + 1)
        assert len(heard) == heard[-1] + 1
        assert len(heard) >= (9980 - 1500) * 8


def test_a_segment_that_was_being_written_takes_nothing_from_the_rest(tmp_path: Path) -> None:
    """The process is killed between the beginning of a file and its renaming, which is where a slow disk leaves it."""
    (tmp_path / "c1").mkdir()
    os.mkfifo(tmp_path / "c1" / "000002.part")  # whoever writes to it waits for ever
    program = _RECORD + (
        "def at(frame):\n"
        "    if frame == 399:\n"
        "        import time; time.sleep(0.3)\n"
        "        os.kill(os.getpid(), signal.SIGKILL)\n"
        "asyncio.run(record(11))\n"
    )
    assert _run(program, tmp_path).returncode == -9
    assert (tmp_path / "c1" / "000002.part").exists()
    reader = open_folder(tmp_path, "c1", KEYS)
    assert reader.duration_ms == 4000
    assert np.count_nonzero(reader.read_pcm()) == 2 * 32_000


def test_a_full_disk_fails_the_recording_and_nothing_else(tmp_path: Path) -> None:
    """From the sixth second on no file may be larger than 20 000 bytes, a real limit of the operating system."""
    program = _RECORD + (
        "def at(frame):\n"
        "    if frame == 300:\n"
        "        resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000))\n"
        "result = asyncio.run(record(11))\n"
        "print(result.status, result.error, result.duration_ms, sep='|')\n"
    )
    done = _run(program, tmp_path)
    assert done.stdout.strip() == "failed|File too large|11000.0", done.stderr
    assert done.stderr.count("could not be written") == 1
    assert [path.name for path in sorted((tmp_path / "c1").iterdir())] == [
        "000000.sealed",
        "000001.sealed",
        "000002.sealed",
        "key",
    ]
    assert len(open_folder(tmp_path, "c1", KEYS).read_pcm()) >= 40_000  # the third segment as it was before


async def test_a_disk_that_is_full_for_a_moment_costs_only_that(tmp_path: Path) -> None:
    (tmp_path / "c1").mkdir()
    # Writing to this device fails with ENOSPC, as a full disk does.
    (tmp_path / "c1" / "000001.part").symlink_to("/dev/full")
    writer = RecordingWriter(tmp_path, "c1", RATE_HZ, KEYS)
    writer.add(Speaker.CALLER, 0, _tone(10 * RATE_HZ, 9))
    result = await writer.close()
    assert (result.status, result.error) == (RecordingStatus.FAILED, "No space left on device")
    reader = open_folder(tmp_path, "c1", KEYS)
    assert reader.duration_ms == 10_000
    lost = np.flatnonzero(reader.read_pcm()[:, 0] == 0)
    assert np.array_equal(lost, np.arange(16_000, 32_000))


async def test_a_folder_that_cannot_be_made(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    writer = RecordingWriter(tmp_path / "file", "c1", RATE_HZ, KEYS)
    writer.add(Speaker.CALLER, 0, _tone(10 * RATE_HZ, 9))
    result = await writer.close()
    assert (result.status, result.error) == (RecordingStatus.FAILED, "Not a directory")


async def test_adding_costs_next_to_nothing_and_touches_no_disk_on_the_loop(tmp_path: Path) -> None:
    writer = RecordingWriter(tmp_path, "c1", RATE_HZ, KEYS)
    frame_pcm = _tone(160, 1)
    costs: list[float] = []
    for frame in range(5000):
        began = time.perf_counter()
        writer.add(Speaker.CALLER, frame * 20, frame_pcm)
        costs.append(time.perf_counter() - began)
    await writer.close()
    assert sorted(costs)[len(costs) // 2] < 50e-6
