"""Recordings in a bucket: sealed, verified, read by ranges, and nothing lost or doubled by whatever goes wrong."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import obstore
import pytest

from config.settings import Settings
from doctor.bucket_checks import check_bucket
from telemetry import metrics
from tests.s3 import bucket_settings, serving_s3
from tests.sealing import BOTH_KEYS, KEYS, OTHER_KEYS
from transcripts import bucket as bucket_module
from transcripts import segments as segments_module
from transcripts.bucket import Bucket, BucketAway, NotAsSent
from transcripts.call import CallStatus, Speaker
from transcripts.recording_keeper import RecordingKeeper
from transcripts.recording_lock import held
from transcripts.recording_reader import WavFile
from transcripts.recording_rotation import rotate_recordings
from transcripts.recording_store import RecordingStore

RATE_HZ = 8000
VOICE = (np.sin(np.arange(41 * RATE_HZ) / 9) * 12_000).astype("<i2").tobytes()
WEEK_SECS = 7 * 86_400


@pytest.fixture(scope="module")
def s3() -> Iterator[str]:
    """An S3 over HTTP; returns its address."""
    with serving_s3() as address:
        yield address


@dataclass
class Shelf:
    """Recordings with a bucket, and what the database says of their calls."""

    recordings: RecordingStore
    statuses: dict[str, str]
    settings: Settings
    now: float = 1_800_000_000.0

    @property
    def bucket(self) -> Bucket:
        assert self.recordings.bucket is not None
        return self.recordings.bucket

    def keeper(self) -> RecordingKeeper:
        async def find(call_ids: Any) -> dict[str, str]:
            return {call_id: self.statuses[call_id] for call_id in call_ids if call_id in self.statuses}

        return RecordingKeeper(self.recordings, find, now=lambda: self.now)

    async def look(self) -> int:
        keeper = self.keeper()
        try:
            return await keeper.look()
        finally:
            keeper.let_go()

    async def record(self, call_id: str, secs: int = 5, status: CallStatus = CallStatus.ENDED) -> None:
        writer = self.recordings.writer(call_id, RATE_HZ)
        writer.add(Speaker.CALLER, 0, VOICE[: 2 * secs * RATE_HZ])
        assert (await writer.close()).status == "complete"
        self.statuses[call_id] = status

    def objects(self) -> dict[str, int]:
        found = [one for some in obstore.list(self.bucket._store) for one in some]
        return {one["path"]: one["size"] for one in found}

    def is_here(self, call_id: str) -> bool:
        return (self.recordings.folder / call_id).exists()

    def heard(self, call_id: str, recordings: RecordingStore | None = None) -> bytes:
        return WavFile((recordings or self.recordings).open(call_id), Speaker.CALLER).read_all()[44:]


@pytest.fixture
async def shelf(s3: str, tmp_path: Path) -> AsyncIterator[Shelf]:
    name = f"voices-{abs(hash(str(tmp_path))) % 10**12}"
    async with httpx.AsyncClient() as http:
        assert (await http.put(f"{s3}/{name}")).status_code == 200
    settings = bucket_settings(f"s3://{name}/trunkline/recordings", s3)
    bucket = Bucket.of(settings)
    recordings = RecordingStore(tmp_path / "recordings", KEYS, bucket)
    yield Shelf(recordings, {}, settings)
    recordings.close()


async def test_a_recording_is_moved_once_its_call_is_over_and_is_heard_from_there(shelf: Shelf) -> None:
    await shelf.record("c1", secs=41)
    await shelf.record("c2", status=CallStatus.LIVE)
    assert await shelf.look() == 1
    assert (shelf.is_here("c1"), shelf.is_here("c2")) == (False, True)
    assert set(shelf.objects()) == {"c1/key", "c1/sound"}
    assert await shelf.recordings.in_thread(shelf.heard, "c1") == VOICE
    reader = await shelf.recordings.in_thread(shelf.recordings.open, "c1")
    part = await shelf.recordings.in_thread(reader.read_samples, 100_000, 100_010)
    assert part[:, 0].tobytes() == VOICE[200_000:200_020]
    content = obstore.get(shelf.bucket._store, "c1/sound").bytes()
    assert VOICE[:64] not in bytes(content)
    assert await shelf.look() == 0


async def test_a_long_one_goes_in_parts(shelf: Shelf, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bucket_module, "_PART_BYTES", 5 * 1024 * 1024)
    monkeypatch.setattr(bucket_module, "_FIRST_LOOK_BYTES", 100)
    writer = shelf.recordings.writer("c1", RATE_HZ)
    for start in range(0, 5):
        writer.add(Speaker.CALLER, start * 41_000, VOICE)
        while writer._given_count > writer._laid_count:  # noqa: ASYNC110 - faster than a disk
            await asyncio.sleep(0.01)
    await writer.close()
    shelf.statuses["c1"] = CallStatus.ENDED
    assert await shelf.look() == 1
    assert shelf.objects()["c1/sound"] > 5 * 1024 * 1024
    assert await shelf.recordings.in_thread(shelf.heard, "c1") == 5 * VOICE


async def test_what_died_in_the_middle_is_sent_again_and_is_there_once(shelf: Shelf) -> None:
    await shelf.record("c1")
    folder = shelf.recordings.folder
    there = segments_module.list_segments(folder / "c1")
    # Dead after everything was sent and before anything was removed.
    shelf.bucket.send("c1", (folder / "c1" / "key").read_bytes(), there)
    # And another one while its files were removed.
    (folder / "removed.abc").mkdir()
    (folder / "removed.abc" / "000000.sealed").write_bytes(b"rest")
    assert await shelf.look() == 1
    assert set(shelf.objects()) == {"c1/key", "c1/sound"}
    assert not list(folder.iterdir())
    assert await shelf.recordings.in_thread(shelf.heard, "c1") == VOICE[: 10 * RATE_HZ]


async def test_a_bucket_that_is_away_costs_nothing_and_is_tried_again(shelf: Shelf, tmp_path: Path) -> None:
    await shelf.record("c1")
    await shelf.record("c2")
    gone = shelf.settings.model_copy(update={"recordings_endpoint": "http://127.0.0.1:9"})
    good, shelf.recordings.bucket = shelf.recordings.bucket, Bucket.of(gone)
    with pytest.raises(BucketAway, match="TRUNKLINE_RECORDINGS_URL"):
        await shelf.look()
    keeper = shelf.keeper()
    with pytest.raises(BucketAway):
        await keeper.look()
    assert metrics.RECORDINGS_WAITING._value.get() == 2
    keeper.let_go()
    assert await shelf.recordings.in_thread(shelf.heard, "c1") == VOICE[: 10 * RATE_HZ]
    with pytest.raises(BucketAway):
        await shelf.recordings.delete_recording("c2")
    assert not shelf.is_here("c2")
    shelf.recordings.bucket = good
    assert await shelf.look() == 1
    assert metrics.RECORDINGS_WAITING._value.get() == 0


async def test_a_bucket_that_is_not_there_is_said_so(shelf: Shelf) -> None:
    missing = shelf.settings.model_copy(update={"recordings_url": "s3://there-is-none/x"})
    await shelf.record("c1")
    shelf.recordings.bucket = Bucket.of(missing)
    with pytest.raises(BucketAway, match="TRUNKLINE_RECORDINGS_URL"):
        await shelf.look()
    assert shelf.is_here("c1")


async def test_the_doctor_asks_for_it(shelf: Shelf) -> None:
    (well,) = await check_bucket(shelf.settings)
    assert str(well).endswith("/trunkline/recordings answers")
    (away,) = await check_bucket(shelf.settings.model_copy(update={"recordings_endpoint": "http://127.0.0.1:9"}))
    (missing,) = await check_bucket(shelf.settings.model_copy(update={"recordings_url": "s3://there-is-none/x"}))
    for bad in (away, missing):
        assert str(bad).startswith("problem")
        assert "TRUNKLINE_RECORDINGS_URL" in str(bad)
    assert await check_bucket(shelf.settings.model_copy(update={"recordings_url": None})) == []


async def test_what_arrives_changed_stays_here(shelf: Shelf, monkeypatch: pytest.MonkeyPatch) -> None:
    await shelf.record("c1")
    real = obstore.put

    def damaging(store: Any, path: str, file: Any, **options: Any) -> Any:
        return real(store, path, bytes(file[:-1]) + b"x" if path.endswith("sound") else file, **options)

    monkeypatch.setattr(bucket_module.obstore, "put", damaging)
    there = segments_module.list_segments(shelf.recordings.folder / "c1")
    key_file = (shelf.recordings.folder / "c1" / "key").read_bytes()
    with pytest.raises(NotAsSent):
        shelf.bucket.send("c1", key_file, there)
    assert await shelf.look() == 0
    assert shelf.is_here("c1")
    monkeypatch.undo()
    assert await shelf.look() == 1


async def test_an_erased_call_leaves_nothing_in_the_bucket_whenever_it_was_erased(shelf: Shelf) -> None:
    for call_id in ("c1", "c2"):
        await shelf.record(call_id)
    assert await shelf.look() == 2
    await shelf.recordings.delete_recording("c1")
    await shelf.recordings.delete_recording("c1")
    assert set(shelf.objects()) == {"c2/key", "c2/sound"}
    with pytest.raises(FileNotFoundError):
        await shelf.recordings.in_thread(shelf.recordings.open, "c1")
    await shelf.record("c3")
    real = shelf.bucket.send

    def erase_meanwhile(*given: Any) -> None:
        real(*given)
        del shelf.statuses["c3"]

    shelf.bucket.send = erase_meanwhile  # type: ignore[method-assign]
    assert await shelf.look() == 0
    assert set(shelf.objects()) == {"c2/key", "c2/sound"}
    assert not shelf.is_here("c3")


async def test_another_sealing_key_reaches_the_bucket(shelf: Shelf) -> None:
    await shelf.record("c1")
    assert await shelf.look() == 1
    before = bytes(obstore.get(shelf.bucket._store, "c1/sound").bytes())
    both = RecordingStore(shelf.recordings.folder, BOTH_KEYS, shelf.bucket)
    assert (await both.in_thread(rotate_recordings, both)).rewrapped == 1
    assert (await both.in_thread(rotate_recordings, both)).rewrapped == 0
    assert bytes(obstore.get(shelf.bucket._store, "c1/sound").bytes()) == before
    other = RecordingStore(shelf.recordings.folder, OTHER_KEYS, shelf.bucket)
    assert await other.in_thread(shelf.heard, "c1", other) == VOICE[: 10 * RATE_HZ]
    both.close()
    other.close()


async def test_one_process_moves_them_and_nobody_touches_one_that_is_in_use(shelf: Shelf) -> None:
    await shelf.record("c1")
    first, second = shelf.keeper(), shelf.keeper()
    with held(shelf.recordings.folder / "c1"):
        assert await first.look() == 0
    assert await second.look() == 0
    assert shelf.objects() == {}
    first.let_go()
    assert await second.look() == 1
    second.let_go()


async def test_a_recording_whose_call_nobody_knows_is_kept_for_a_week(shelf: Shelf) -> None:
    await shelf.record("c1")
    known = dict(shelf.statuses)
    shelf.statuses.clear()
    assert await shelf.look() == 0
    shelf.now += WEEK_SECS - 10
    await shelf.look()
    shelf.statuses.update(known)
    shelf.now += 20
    shelf.recordings.bucket, bucket = None, shelf.recordings.bucket
    await shelf.look()  # it is known again
    shelf.statuses.clear()
    await shelf.look()
    assert shelf.is_here("c1")
    shelf.now += WEEK_SECS + 1
    await shelf.look()
    assert not shelf.is_here("c1")
    shelf.recordings.bucket = bucket
    assert shelf.objects() == {}
