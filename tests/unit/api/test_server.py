"""Starting and stopping: what cannot start says why, once, with its exit code."""

import asyncio
import os
import signal
import socket
from pathlib import Path

import httpx
import pytest

from api.signals import run_until_told
from config.settings import Settings
from server import CannotStart, RunningServer
from tests.unit.api.wire import reachable


async def refusal(settings: Settings) -> CannotStart:
    """Return why the server does not start."""
    with pytest.raises(CannotStart) as caught:
        async with RunningServer(settings):
            pass
    return caught.value


async def test_a_port_that_is_taken(settings: Settings) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        problem = await refusal(settings.model_copy(update={"port": port}))
    assert str(problem) == f"port {port} of 127.0.0.1 is taken by another program; stop it, or set TRUNKLINE_PORT"
    assert problem.exit_code == 2


async def test_two_servers_on_one_port(settings: Settings) -> None:
    async with RunningServer(settings) as first:
        problem = await refusal(first.settings)
        async with httpx.AsyncClient(trust_env=False) as http:
            assert (await http.get(f"{first.base_url}/livez")).status_code == 200
    assert problem.exit_code == 2


async def test_an_address_that_is_not_ours(settings: Settings) -> None:
    problem = await refusal(reachable(settings, host="203.0.113.7"))
    assert "correct TRUNKLINE_HOST" in str(problem)
    assert problem.exit_code == 2


async def test_a_database_that_is_away(settings: Settings) -> None:
    url = "postgresql+psycopg://trunkline:hunter2@127.0.0.1:1/calls"
    problem = await refusal(settings.model_copy(update={"database_url": url, "database_wait_secs": 0.6}))
    assert problem.exit_code == 3
    assert "did not answer within 0.6 s" in str(problem)
    assert "hunter2" not in str(problem)


async def test_an_agent_that_cannot_be_used(settings: Settings) -> None:
    file = settings.agents_dir / "front-desk.yaml"
    file.write_text(file.read_text().replace("bot: quiet", "bot: quite"))
    problem = await refusal(settings)
    assert str(problem).startswith(f"{file}: bot: ")
    assert problem.exit_code == 2


async def test_a_bot_that_does_not_import(settings: Settings) -> None:
    (settings.bots_dir / "broken.py").write_text("import nothing_of_that_name\n")
    problem = await refusal(settings)
    assert f"{settings.bots_dir}/broken.py:1: does not import" in str(problem)
    assert problem.exit_code == 2


async def test_a_key_file_that_cannot_be_used(settings: Settings) -> None:
    settings.data_dir.mkdir()
    (settings.data_dir / "secret.key").write_text("short")
    problem = await refusal(settings)
    assert "delete it" in str(problem)
    assert problem.exit_code == 2


async def test_no_call_is_taken_without_the_key_of_what_is_sealed(settings: Settings) -> None:
    async with RunningServer(settings):
        pass
    file = settings.data_dir / "sealing.keys"
    key_id = file.read_text().splitlines()[-1].partition(":")[0]
    file.unlink()
    problem = await refusal(settings)
    assert f"sealed with the key {key_id}, which is not in {file}; put it back from your copy" in str(problem)
    assert problem.exit_code == 2
    assert not file.exists()


async def test_an_ipv6_address(settings: Settings) -> None:
    async with RunningServer(settings.model_copy(update={"host": "::1"})) as server, httpx.AsyncClient() as http:
        assert server.base_url.startswith("http://[::1]:")
        assert (await http.get(f"{server.base_url}/livez")).status_code == 200


async def test_a_started_server_leaves_nothing_behind(settings: Settings, tmp_path: Path) -> None:
    before = len(asyncio.all_tasks())
    for _ in range(2):  # the second start finds the key and the database of the first
        async with RunningServer(settings) as server:
            assert (server.settings.data_dir / "secret.key").exists()
    assert len(asyncio.all_tasks()) == before


async def test_sigterm_stops_a_running_server_in_order(settings: Settings) -> None:
    seen: list[str] = []

    def on_ready(server: RunningServer) -> None:
        seen.append(server.base_url)
        os.kill(os.getpid(), signal.SIGTERM)

    async with asyncio.timeout(10):
        await run_until_told(RunningServer(settings), on_ready)
    assert len(seen) == 1


async def test_sigint_stops_a_server_that_still_waits_for_its_database(settings: Settings) -> None:
    url = "postgresql+psycopg://trunkline@127.0.0.1:1/calls"
    waiting = RunningServer(settings.model_copy(update={"database_url": url, "database_wait_secs": 60}))
    asyncio.get_running_loop().call_later(1.0, os.kill, os.getpid(), signal.SIGINT)
    async with asyncio.timeout(10):
        await asyncio.create_task(run_until_told(waiting, lambda server: None))
