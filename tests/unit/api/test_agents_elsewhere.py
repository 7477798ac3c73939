"""Two servers on one database: what is published at one is in force at the other, and a call keeps its version."""

import base64
from contextlib import AsyncExitStack
from pathlib import Path

import httpx
import pytest
from pydantic import SecretStr

from config.settings import Settings
from storage.errors import DatabaseAway
from tests.databases import shared_postgres
from tests.unit.api.test_calls import key
from tests.unit.api.wire import CALL_SID, Line, reachable, serve, start_message

NUMBER = "+15551230177"


@pytest.mark.parametrize("kind", ["sqlite", "postgresql"])
async def test_what_one_server_publishes_the_other_answers_with(settings: Settings, tmp_path: Path, kind: str) -> None:
    url = shared_postgres().create_database() if kind == "postgresql" else settings.database_url
    async with AsyncExitStack() as closing:
        lines: list[Line] = []
        keys = {"sealing_keys": SecretStr(f"k1:{base64.b64encode(bytes(32)).decode()}")}
        for number in range(2):
            one = reachable(settings).model_copy(
                update={"database_url": url, "data_dir": tmp_path / f"data{number}"} | keys
            )
            lines.append(await closing.enter_async_context(serve(one)))
        here, there = lines
        services = here.server.services
        content = {
            "bot": "quiet",
            "numbers": [NUMBER],
            "greeting": "one",
            "pipeline": ["transport.input", "transport.output"],
        }
        headers = await key(here, "agents:write", "agents:read")
        body = {"name": "shop", "content": content, "publish": True}
        assert (await here.http.post("/v1/agents", json=body, headers=headers)).status_code == 201

        # The next call at the other server is answered by it, without a moment's wait.
        ringing = await there.ring(to=NUMBER)
        assert (await there.row()).agent_version == 1
        change = {"content": {"greeting": "two"}, "publish": True}
        changed = await here.http.patch("/v1/agents/shop", json=change, headers=headers | {"If-Match": '"1"'})
        assert changed.status_code == 200
        # Between the webhook and its stream another version was published: the call has the one that rang.
        async with there.open_stream() as stream:
            await stream.send(start_message(ringing, CALL_SID))
            await there.eventually(lambda: bool(there.calls.given))
            _, call, agent = there.calls.given[0]
            assert (agent.greeting, agent.origin.version, call.agent_version) == ("one", 1, 1)
            await there.eventually(lambda: _greeting(there) == "two")  # by itself, without a call
        other = "CA" + "7" * 32
        await there.ring(other, to=NUMBER)
        assert (await there.row(other)).agent_version == 2
        # A server that never knew version 1 finds it for a call that began with it.
        fresh = services.in_force
        assert (await fresh.of_call("shop", 1)) is not None
        assert (await here.http.delete("/v1/agents/shop", headers=headers)).status_code == 204
        await there.eventually(lambda: _greeting(there) is None)
        assert (await there.server.services.agent_of(await there.row(other))) is not None


def _greeting(line: Line) -> str | None:
    agent = line.server.services.agents.catalog.by_number(NUMBER)
    return None if agent is None else agent.greeting


async def test_while_the_database_is_away_the_last_known_agents_answer(
    open_line: Line, monkeypatch: pytest.MonkeyPatch
) -> None:
    content = {"bot": "quiet", "numbers": [NUMBER], "greeting": "one"}
    body = {"name": "shop", "content": content, "publish": True}
    assert (await open_line.http.post("/v1/agents", json=body)).status_code == 201

    async def away() -> int:
        raise DatabaseAway("gone")

    monkeypatch.setattr(open_line.server.services.in_force.store, "counter", away)
    catalog = await open_line.server.services.current_agents()
    assert catalog.by_number(NUMBER) is not None
    answer: httpx.Response = await open_line.http.get("/v1/agents/shop")
    assert answer.status_code == 200
    refused = await open_line.http.post("/v1/agents", json=body | {"name": "other"})
    assert (refused.status_code, refused.json()["error"]) == (503, "database_away")
