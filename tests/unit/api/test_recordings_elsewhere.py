"""A server with a bucket: what a call has left is moved there, and heard from there."""

import asyncio
from pathlib import Path

import httpx
import pytest
from moto.server import ThreadedMotoServer

from config.settings import Settings
from storage.engine import Database
from storage.key_ring import KeyRing
from tests.unit.api.test_calls import key, problem
from tests.unit.api.test_recordings import RATE_HZ, ramp
from tests.unit.api.wire import reachable, serve
from tests.unit.transcripts.calls import make_call
from transcripts.call import EndReason, RecordingStatus, Speaker
from transcripts.recording_store import RecordingStore
from transcripts.store import CallStore


async def leave_a_call(settings: Settings) -> None:
    """What a server has left that ended before it could move anything."""
    keys = KeyRing.load(settings)
    database = Database(settings.database_url, keys)
    await database.connect(10)
    await database.migrate()
    store = CallStore(database)
    await store.open_call(make_call())
    await store.go_live("c1")
    recordings = RecordingStore.of(settings, keys)
    writer = recordings.writer("c1", RATE_HZ)
    writer.add(Speaker.CALLER, 0, ramp(1))
    await writer.close()
    await store.finish_call("c1", EndReason.CALLER_HUNG_UP, recording_status=RecordingStatus.COMPLETE)
    recordings.close()
    await database.close()


@pytest.mark.calls
async def test_a_recording_is_moved_by_the_server_and_heard_over_the_api(settings: Settings, tmp_path: Path) -> None:
    storage = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    await asyncio.to_thread(storage.start)
    host, port = storage.get_host_and_port()
    async with httpx.AsyncClient() as http:
        assert (await http.put(f"http://{host}:{port}/voices")).status_code == 200
    with_bucket = settings.model_copy(
        update={
            "recordings_url": "s3://voices/here",
            "recordings_endpoint": f"http://{host}:{port}",
            "aws_access_key_id": "test",
            "aws_secret_access_key": Settings.load(env_file=None, aws_secret_access_key="test").aws_secret_access_key,
        }
    )
    await leave_a_call(with_bucket)
    async with serve(reachable(with_bucket)) as line:
        reader, folder = await key(line, "recordings:read"), with_bucket.data_dir / "recordings" / "c1"
        async with asyncio.timeout(10):
            while folder.exists():  # noqa: ASYNC110 - a folder has no event to wait for
                await asyncio.sleep(0.02)
        path = "/v1/calls/c1/recording?channel=caller"
        whole = await line.http.get(path, headers=reader)
        assert (whole.status_code, whole.content[44:]) == (200, ramp(1))
        part = await line.http.get(path, headers={**reader, "Range": "bytes=100000-100099"})
        assert (part.status_code, part.content) == (206, whole.content[100_000:100_100])
        await asyncio.to_thread(storage.stop)
        away = await line.http.get(path, headers=reader)
        assert (problem(away, 503)["error"], away.headers["retry-after"]) == ("bucket_away", "30")
        assert (await line.http.get("/readyz")).status_code == 200
