"""Liveness, readiness, and bodies that are too large."""

import asyncio
from collections.abc import AsyncGenerator
from dataclasses import replace

from tests.unit.api.wire import CALL_SID, NUMBER, Line, away


async def test_alive_and_ready(line: Line) -> None:
    assert (await line.http.get("/livez")).json() == {"status": "alive"}
    ready = await line.http.get("/readyz")
    assert (ready.status_code, ready.json()) == (200, {"status": "ready", "problems": {}})


async def test_what_is_in_the_way_is_named(line: Line) -> None:
    nowhere = await away()
    services = line.server.services
    line.server.app.state.services = replace(services, database=nowhere)
    services.live.is_draining = True
    (line.server.settings.agents_dir / "front-desk.yaml").unlink()
    await services.current_agents()
    answer = await line.http.get("/readyz")
    await nowhere.close()
    assert answer.status_code == 503
    assert set(answer.json()["problems"]) == {"database", "agents", "draining"}
    assert (await line.http.get("/livez")).status_code == 200


async def test_a_full_server_is_ready_to_say_busy(line: Line) -> None:
    line.server.services.live.max_calls = 0
    assert (await line.http.get("/readyz")).status_code == 200


async def test_a_body_that_is_too_large_reaches_no_route(line: Line) -> None:
    answer = await line.post("/twilio/voice", CallSid=CALL_SID, To=NUMBER, Junk="x" * 70_000)
    assert answer.status_code == 413


async def test_a_body_without_a_length_is_counted_while_it_comes(line: Line) -> None:
    async def endless() -> AsyncGenerator[bytes]:
        for _ in range(100):
            yield b"x" * 1000
            await asyncio.sleep(0)

    assert (await line.http.post("/twilio/voice", content=endless())).status_code == 413


async def test_nothing_tells_what_the_server_is_made_of(line: Line) -> None:
    answer = await line.http.get("/livez")
    assert "server" not in answer.headers
    for path in ("/docs", "/openapi.json", "/redoc"):
        assert (await line.http.get(path)).status_code == 404
