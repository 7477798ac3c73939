"""Forgetting people whose recordings are in an S3 bucket, over HTTP: nothing stays there, or it is said."""

import asyncio
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import boto3
import numpy as np
import pytest

from config.privacy import Retention
from privacy import receipts
from privacy.erasure import Eraser
from privacy.purging import purge_once
from privacy.retention import Purge
from storage.engine import Database
from tests.s3 import bucket_settings, serving_s3
from tests.unit.privacy.conftest import ANN, BEN, NOW, ONE_KIND, House
from transcripts import bucket as bucket_module
from transcripts.bucket import Bucket, BucketAway
from transcripts.call import Speaker
from transcripts.recording_keeper import RecordingKeeper
from transcripts.recording_store import RecordingStore
from transcripts.segments import list_segments

pytestmark = ONE_KIND
NOWHERE = "http://127.0.0.1:9"


@pytest.fixture(scope="module")
def s3() -> Iterator[Any]:
    """An S3 over HTTP with a bucket; yields a client of its makers'."""
    keys = {"aws_access_key_id": "test", "aws_secret_access_key": "test", "region_name": "us-east-1"}
    with serving_s3() as address:
        client = boto3.client("s3", endpoint_url=address, **keys)
        client.create_bucket(Bucket="voices")
        yield client
        client.close()


class BucketHouse(House):
    """A house whose recordings go into a bucket."""

    def __init__(self, database: Database, folder: Path, s3: Any) -> None:
        super().__init__(database, folder)
        self.s3 = s3
        self.prefix = folder.name
        self.recordings = self.store_at(s3.meta.endpoint_url)
        self.eraser = Eraser(database, self.recordings, self.backlog)

    def store_at(self, endpoint: str, folder: str = "recordings") -> RecordingStore:
        settings = bucket_settings(f"s3://voices/{self.prefix}", endpoint)
        return RecordingStore(self.folder / folder, self.db.ring, Bucket.of(settings))

    async def move(self, recordings: RecordingStore | None = None) -> int:
        keeper = RecordingKeeper(recordings or self.recordings, self.store.find_statuses)
        try:
            return await keeper.look()
        finally:
            keeper.let_go()

    async def objects(self) -> set[str]:
        """What the bucket has, uploads that were begun included."""

        def look() -> set[str]:
            found = self.s3.list_objects_v2(Bucket="voices", Prefix=self.prefix).get("Contents", [])
            begun = self.s3.list_multipart_uploads(Bucket="voices", Prefix=self.prefix).get("Uploads", [])
            return {one["Key"].removeprefix(f"{self.prefix}/") for one in [*found, *begun]}

        return await asyncio.to_thread(look)

    def waiting(self) -> list[str]:
        return sorted(path.name for path in self.recordings.folder.iterdir() if path.is_dir())


@pytest.fixture
def bucket_house(database: Database, tmp_path: Path, s3: Any) -> Iterator[BucketHouse]:
    house = BucketHouse(database, tmp_path, s3)
    yield house
    house.recordings.close()


async def test_nothing_of_somebody_who_is_erased_stays_in_the_bucket_or_waits_for_it(
    bucket_house: BucketHouse, monkeypatch: pytest.MonkeyPatch
) -> None:
    house = bucket_house
    await house.add_call("in-1", ANN, word="larch")
    await house.add_call("in-2", BEN, word="birch")
    assert await house.move() == 2
    await house.add_call("out-3", ANN, word="rowan")  # waits here for its turn
    # One that is long is sent in parts; while that goes on, what is sent goes.
    await house.add_call("in-4", ANN, word="alder")
    monkeypatch.setattr(bucket_module, "_PART_BYTES", 5 * 1024 * 1024)
    folder = house.recordings.folder / "in-4"
    await record_long(house, "in-4b")
    segments = list_segments(house.recordings.folder / "in-4b")
    segments[-1].path.unlink()
    bucket = house.recordings.bucket
    assert bucket is not None
    key_file = (folder / "key").read_bytes()
    with pytest.raises(FileNotFoundError):
        await asyncio.to_thread(bucket.send, "in-4", key_file, segments)
    assert await house.objects() == {"in-1/key", "in-1/sound", "in-2/key", "in-2/sound", "in-4/key"}
    await asyncio.to_thread(house.recordings.delete, "in-4b")
    assert house.waiting() == ["in-4", "out-3"]

    receipt = await house.eraser.erase(ANN)
    assert receipt.content["erased"]["recordings"] == 3
    assert set(receipt.content["kept"]) == {"audit log", "costs", "receipt"}
    assert await house.objects() == {"in-2/key", "in-2/sound"}
    assert house.waiting() == []
    assert set(await house.calls()) == {"in-2"}
    assert await house.move() == 0


async def record_long(house: BucketHouse, call_id: str) -> None:
    """Record four minutes: more than a part."""
    writer = house.recordings.writer(call_id, 8000)
    for minute in range(4):
        writer.add(Speaker.CALLER, minute * 60_000, np.full(60 * 8000, 1000, dtype="<i2").tobytes())
    await writer.close(240_000)


async def test_an_erasure_without_its_bucket_says_so_and_is_completed_later(bucket_house: BucketHouse) -> None:
    house = bucket_house
    await house.add_call("in-1", ANN, word="larch")
    await house.add_call("in-2", BEN, word="birch")
    await house.move()
    away = house.store_at(NOWHERE)
    try:
        with pytest.raises(BucketAway):
            await Eraser(house.db, away, house.backlog).erase(ANN, now=NOW)
    finally:
        away.close()
    # Nothing of it is half done: the call is found by its number, and heard, and there is no receipt.
    assert await receipts.list_signed(house.db) == []
    assert set(await house.calls()) == {"in-1", "in-2"}
    reader = await asyncio.to_thread(house.recordings.open, "in-1")
    assert len(await asyncio.to_thread(reader.read_samples, 0, 8000)) == 8000

    receipt = await house.eraser.erase(ANN, now=NOW + timedelta(hours=1))
    assert receipt.content["begun_at"] == "2026-03-01T09:00:00.000Z", "it is the one that was begun"
    assert (receipt.content["erased"]["calls"], receipt.content["erased"]["recordings"]) == (1, 1)
    assert "recordings elsewhere" not in receipt.content["kept"]
    assert await house.objects() == {"in-2/key", "in-2/sound"}
    assert len(await receipts.list_signed(house.db)) == 1


async def test_a_receipt_says_what_may_wait_on_another_machine(bucket_house: BucketHouse) -> None:
    house = bucket_house
    here, there = house.recordings, house.store_at(house.s3.meta.endpoint_url, "other-machine")
    house.recordings = there
    await house.add_call("in-1", ANN, word="larch")
    house.recordings = here
    receipt = await house.eraser.erase(ANN)
    assert receipt.content["kept"]["recordings elsewhere"].startswith("1 recordings that are neither on this machine")
    # That machine does not send it any more, and deletes it when it has been nobody's for a week.
    now = NOW.timestamp()
    for days, is_there in ((0, True), (8, False)):
        keeper = RecordingKeeper(there, house.store.find_statuses, now=lambda days=days: now + days * 86_400)
        assert await keeper.look() == 0
        keeper.let_go()
        assert (there.folder / "in-1").exists() == is_there
    assert await house.objects() == set()
    there.close()


async def test_a_purge_without_its_bucket_removes_all_else_and_the_sound_later(
    bucket_house: BucketHouse, tmp_path: Path
) -> None:
    house = bucket_house
    await house.add_call("in-1", ANN, word="larch")
    await house.add_call("in-2", BEN, word="birch", agent="other")
    await house.move()
    later = NOW + timedelta(days=8)

    async def said() -> dict[str, Retention]:
        return {"desk": Retention(audio_days=7, transcript_days=7), "other": Retention(numbers_days=7)}

    away = house.store_at(NOWHERE)
    with pytest.raises(BucketAway):
        await purge_once(Purge(house.db, away), said, tmp_path, now=later)
    away.close()
    calls = await house.calls()
    assert await house.store.list_turns("in-1") == []
    assert calls["in-1"].recording_status == "complete", "its row says what is true"
    assert calls["in-2"].from_number is None
    assert await house.objects() == {"in-1/key", "in-1/sound", "in-2/key", "in-2/sound"}

    counts = await purge_once(Purge(house.db, house.recordings), said, tmp_path, now=later)
    assert counts == {"call": 0, "audio": 1, "transcript": 0, "numbers": 0, "audit": 0}
    assert (await house.calls())["in-1"].recording_status == "none"
    assert await house.objects() == {"in-2/key", "in-2/sound"}
    # And the whole call, when that has expired: one of the bucket, one that has yet to go there.
    await house.add_call("in-3", ANN, word="rowan", agent="other")
    gone = {"other": Retention(call_days=7)}

    async def all_of_it() -> dict[str, Retention]:
        return gone

    assert (await purge_once(Purge(house.db, house.recordings), all_of_it, tmp_path, now=later) or {})["call"] == 2
    assert await house.objects() == set()
    assert house.waiting() == []
