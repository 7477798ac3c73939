"""Tools of real MCP servers on a call: a process of ours that crashes and comes back, and one over HTTP."""

import asyncio
import sys
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import uvicorn

from simulators.script import parse_script
from tests.calls.mcp_desk import desk
from tests.calls.test_yaml_tools import happened, told

HERE = Path(__file__).parent
SCRIPT = """
name: desk
rules:
  - hear: hello
    call: {tool: look_up, args: {name: "Ann"}}
    then:
      call: {tool: crm_look_up, args: {name: "Bo"}}
      then:
        call: {tool: crash}
        then: {if: result.error, say: I am sorry.}
otherwise: I see.
"""


@asynccontextmanager
async def desk_over_http() -> AsyncGenerator[int]:
    """The same server, listening on loopback; yields its port."""
    server = uvicorn.Server(uvicorn.Config(desk.streamable_http_app(), port=0, log_config=None))
    serving = asyncio.create_task(server.serve())
    while not server.started:  # noqa: ASYNC110 - uvicorn has no event for it
        await asyncio.sleep(0.01)
    try:
        yield server.servers[0].sockets[0].getsockname()[1]
    finally:
        server.should_exit = True
        await serving


async def test_tools_of_mcp_servers_are_called_and_a_server_that_crashes_comes_back(make_house: Any) -> None:
    async with desk_over_http() as port:
        process = {"command": sys.executable, "args": [str(HERE / "mcp_desk.py")], "env": {"DESK_KEY": "{secret:DESK}"}}
        tools = [
            {"desk": {"mcp": {**process, "allow": ["look_up", "crash", "gone"]}}},
            {"crm": {"mcp": {"url": f"http://127.0.0.1:{port}/mcp", "allow": ["look_up"]}}},
            {"away": {"mcp": {"command": "/no/such/program"}}},
        ]
        house = await make_house(
            agents={"front-desk": {"greeting": "", "tools": tools}},
            gemini={"scripts": [parse_script(SCRIPT)]},
            tool_secrets={"DESK": "a-desk-key"},
            tool_private_hosts=f"127.0.0.1:{port}",
        )
        call = await house.dial_quietly()
        declared = house.gemini.conversations[0].setup["tools"][0]["functionDeclarations"]
        names = [function["name"] for function in declared]
        assert {"look_up", "crm_look_up", "crash"} <= set(names)
        assert "forbidden" not in names
        missing = await happened(house, call, "tool.unavailable", 2)
        assert [(event.data["name"], event.data["reason"]) for event in missing] == [
            ("gone", "desk does not have it"),
            ("away", "its command cannot be found"),
        ]
        await house.say(call, "hello")
        [failed] = await happened(house, call, "tool.failed")
        assert failed.data == {"name": "crash", "error": "unavailable: its server is away: it broke off."}
        here, there, crashed = told(house)
        assert here == {"name": "Ann", "city": "Oslo", "key": "[secret]"}
        assert there == {"name": "Bo", "city": "Oslo", "key": ""}
        assert crashed["kind"] == "unavailable"
        # Another call finds the process there again, started anew.
        services = house.server.services
        toolbox, agent = services.answering.services.toolbox, services.agents.catalog.by_name("front-desk")
        without = {"gone", "away"}
        async with asyncio.timeout(15):
            while dict(toolbox.missing(agent)).keys() != without:  # noqa: ASYNC110 - a server has no event for it
                await asyncio.sleep(0.05)
