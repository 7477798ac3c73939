"""A backup made while somebody is talking, the data lost, and a server that goes on with what was copied."""

import asyncio
import shutil
from datetime import UTC, datetime
from pathlib import Path

import httpx
import numpy as np

from backup.making import make_backup
from backup.restoring import restore
from server import RunningServer
from simulators.clips import caller_clips
from tests.databases import IS_POSTGRES, database_of, postgres_tools, shared_postgres

HELLO = caller_clips()["hello"].text


async def test_a_server_is_made_again_of_a_copy_that_was_made_during_a_call(
    make_house, never_block_the_loop, tmp_path: Path
) -> None:
    house = await make_house(agents={"front-desk": {"greeting": ""}})
    call = await house.dial_quietly()
    await house.say(call, "hello")
    await house.hear_out(call)
    call_id = (await house.row(call)).call_id
    settings, copy = house.server.settings, tmp_path / "copy"
    tools = postgres_tools() if IS_POSTGRES else None
    await asyncio.to_thread(make_backup, settings, copy, now=datetime.now(UTC), with_keys=False, tools=tools)
    await call.hang_up()
    await call.ended()
    await house.ended_row(call)
    never_block_the_loop.deactivate()  # no voice is on the loop, and another server starts

    data_dir = tmp_path / "again"
    url = shared_postgres().create_database() if IS_POSTGRES else await asyncio.to_thread(database_of, data_dir)
    # An hour later, on another machine: a data folder with nothing in it but the keys.
    new = settings.model_copy(update={"data_dir": data_dir, "database_url": url, "port": 0})
    await asyncio.to_thread(data_dir.mkdir)
    await asyncio.to_thread(shutil.copy2, settings.data_dir / "sealing.keys", data_dir / "sealing.keys")
    await asyncio.to_thread(restore, new, copy, tools=tools)
    async with RunningServer(new) as server, httpx.AsyncClient(base_url=server.base_url, trust_env=False) as http:
        told = (await http.get(f"/v1/calls/{call_id}")).json()
        assert (told["call_id"], told["from"]) == (call_id, "+15557654321")
        assert (told["status"], told["end_reason"]) == ("ended", "server_crashed")
        turns = await server.services.store.list_turns(call_id)
        assert turns[0].text == HELLO
        recordings = server.services.recordings
        heard = (await recordings.in_thread(recordings.open, call_id)).read_pcm()
        first = heard[turns[0].start_ms * 8 : turns[0].end_ms * 8, 0]
        assert np.abs(first.astype(np.int32)).max() > 2000
