"""`cli.py erase` and `cli.py purge` while the bucket of recordings is away: both say so, and say what to do."""

import asyncio
from pathlib import Path

from config.settings import Settings
from tests.unit.aftercall.calls import CALLER, make_call
from tests.unit.api.test_cli import environment, invoke, own_logs
from transcripts.call import RecordingStatus
from transcripts.entries import RecordingEntry
from transcripts.errand import open_house

__all__ = ["environment", "own_logs"]


def test_an_erasure_and_a_purge_without_their_bucket_say_what_is_left(
    environment: dict[str, str], settings: Settings
) -> None:
    async def add_call() -> None:
        async with open_house(settings) as (database, _recordings):
            store = await make_call(database)
            await store.add_entries([RecordingEntry("c1", RecordingStatus.COMPLETE)])

    asyncio.run(add_call())
    bucket = {"TRUNKLINE_RECORDINGS_URL": "s3://voices/x", "TRUNKLINE_RECORDINGS_ENDPOINT": "http://127.0.0.1:9"}
    bucket |= {"AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test"}
    result = invoke(environment, "erase", "--phone", CALLER, **bucket)
    assert (result.exit_code, result.stdout) == (1, "")
    assert result.stderr.startswith("Not all is erased yet, and there is no receipt: The bucket of recordings does not")
    assert result.stderr.endswith("Erase again when that is mended.\n")
    agent = Path(environment["TRUNKLINE_AGENTS_DIR"]) / "front-desk.yaml"
    agent.write_text(agent.read_text() + "retention: {audio_days: 1}\n")
    result = invoke(environment, "purge", **bucket)
    assert (result.exit_code, result.stdout) == (1, "")
    assert result.stderr.endswith("Purge again when that is mended.\n")
    assert '"recordings": 1' in invoke(environment, "erase", "--phone", CALLER).stdout
