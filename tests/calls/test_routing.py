"""A call that rules give to an agent: its words, with the variables that came back, are what the caller hears."""

import base64
from pathlib import Path
from typing import Any

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from simulators.loopback import LoopbackServer

SECRET = f"whsec_{base64.b64encode(b'k' * 24).decode()}"
RULES = """\
routes:
  - numbers: ["+15551230100"]
    rules: [{then: {ask: {url: "URL", secret: SECRET}}}]
"""


async def test_the_variables_that_a_webhook_returns_are_heard_in_the_greeting(make_house: Any, tmp_path: Path) -> None:
    async def route(request: Request) -> JSONResponse:
        asked = (await request.json())["data"]
        return JSONResponse({"agent": "desk", "variables": {"business": f"Red Door {asked['from'][-2:]}"}})

    app = Starlette(routes=[Route("/", route, methods=["POST"])])
    async with LoopbackServer(app, name="an operator's webhook") as webhook:
        house = await make_house(agents={"desk": {"numbers": [], "greeting": "{business}."}})
        text = RULES.replace("URL", f"http://127.0.0.1:{webhook.port}/").replace("SECRET", SECRET)
        (tmp_path / "agents" / "routing.yaml").write_text(text)
        call = await house.dial()
        await house.hear_out(call)
        await call.hang_up()
        row = await house.ended_row(call)
    assert (row.agent_name, row.variables) == ("desk", {"business": "Red Door 21"})
    [chosen] = await house.events(call, "route.chosen")
    assert chosen.data["agent"] == "desk"
    kinds = [event.kind for event in await house.events(call)]
    assert kinds.index("route.chosen") < kinds.index("call.live")
    assert [turn.text for turn in await house.turns(call)] == ["Red Door 21."]
    # Connected once, while the phone rang, with the words that were then heard.
    assert len(house.gemini.conversations) == 1
