"""`tools:` of an agent: every form of it, and one clear error for whatever is wrong."""

# ruff: noqa: E501 - tables of cases

from pathlib import Path

import pytest

from config.agent_file import Checks, parse_agent
from config.settings import Settings
from config.tools import HttpTool, McpTools, NamedTool
from pipelines import Bot
from pipelines.toolbox import Toolbox

HEAD = "bot: assistant\ntools:\n"
ADDRESS = "{describe: x, http: {url: 'https://shop.example.com/%s'}}"


async def opening_hours(params: object) -> None:
    """Tell."""


def problems(text: str, **settings: object) -> list[str]:
    bots = {"assistant": Bot(tools=[opening_hours])}
    toolbox = Toolbox(bots, Settings.load(env_file=None, **settings))
    _, found = parse_agent(Path("x.yaml"), text.encode(), Checks({"assistant": None}, check_tools=toolbox.faults_of))
    return [str(problem).removeprefix("x.yaml: ") for problem in found]


def test_every_form_is_read() -> None:
    text = HEAD + (
        "  - end_call\n"
        "  - opening_hours: {timeout_secs: 3}\n"
        "  - order:\n"
        "      describe: Looks up.\n"
        "      parameters: {properties: {id: {type: string}}, required: [id]}\n"
        "      http: {url: 'https://shop.example.com/o/{id}', headers: {X-Key: '{secret:KEY}'}}\n"
        "  - desk: {mcp: {command: python, args: [x.py], env: {K: '{secret:KEY}'}}, rules: {add: {confirm: 'Sure?'}}}\n"
    )
    assert problems(text, tool_secrets={"KEY": "value"}) == []
    agent, _ = parse_agent(Path("x.yaml"), text.encode(), Checks())
    assert agent is not None
    assert [type(tool.settings) for tool in agent.tools] == [NamedTool, NamedTool, HttpTool, McpTools]


@pytest.mark.parametrize(
    ("entry", "expected"),
    [
        ("end_cal", "tools[0].end_cal: there is no tool 'end_cal'; did you mean 'end_call'? A new tool has http: or mcp: below its name"),
        ("{a: {}, b: {}}", "tools[0]: must be one tool; write '- name' or '- name: {setting: value}', one tool per dash"),
        ("end_call: {conferm: x}", "tools[0].end_call.conferm: unknown field; did you mean 'confirm'?"),
        ("x: " + ADDRESS.replace("'}}", "', urll: 1}}") % "", "tools[0].x.http.urll: unknown field; did you mean 'url'?"),
        ("opening_hours: " + ADDRESS % "", "tools[0].opening_hours: the bot 'assistant' has a tool of that name; give this one another name"),
        ("end_call: " + ADDRESS % "", "tools[0].end_call: end_call is a built-in tool; give this one another name"),
        ("x: " + ADDRESS % "{id}", "tools[0].x.http.url: {id} is neither a parameter nor a variable; remove it"),
        ("x: " + ADDRESS % "{secret:KEY}", "tools[0].x.http.url: there is no secret KEY; set TRUNKLINE_SECRET_KEY, or correct the name"),
        ("x: {describe: x, http: {url: 'https://10.0.0.1/'}}", "tools[0].x.http.url: 10.0.0.1 is a private address; name a public host, or allow it: TRUNKLINE_TOOL_PRIVATE_HOSTS=10.0.0.1:443"),
        ("x: {describe: x, http: {url: 'https://2130706433/'}}", "tools[0].x.http.url: 2130706433 is an address in an odd form; name a public host, or allow it: TRUNKLINE_TOOL_PRIVATE_HOSTS=2130706433:443"),
        ("x: {describe: x, http: {url: 'http://a.example.com/'}}", "tools[0].x.http.url: would be asked without encryption; begin it with https://, or allow it: TRUNKLINE_TOOL_PRIVATE_HOSTS=a.example.com:80"),
        ("x: {describe: x, http: {url: 'https://{secret:KEY}/'}}", "tools[0].x.http.url: must name its host outright; fill in the path and the query only"),
        ("x: {describe: x, http: {url: 'https://a.example.com/', result: {a: 'b c.'}}}", "tools[0].x.http.result.json-path: 'b c.' is not a path"),
        ("x: {mcp: {url: 'https://a.example.com/', command: y}}", "tools[0].x.mcp: needs url or command, and not both; url: for HTTP, command: for a process"),
        ("x: {mcp: {command: y, args: ['{secret:KEY}']}}", "tools[0].x.mcp.args[0]: {secret:KEY} cannot be filled in here; put secrets into env: or headers:"),
        ("end_call: {only: {direction: sideways}}", "tools[0].end_call.only.direction[0]: must be 'inbound', 'outbound' or 'browser' (got 'sideways')"),
        ("end_call: {only: {variables: {vip: 'yes'}}}", "tools[0].end_call.only.variables.vip: unknown variable 'vip'; add vip under variables:, with the value that a call has when nobody says otherwise"),
        ("end_call: {filler: 'Hello {who}'}", "tools[0].end_call.filler: unknown variable {who}; add who under variables:"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_said_with_its_place_and_its_cure(entry: str, expected: str) -> None:
    found = problems(f"{HEAD}  - {entry}\n")
    if "json-path" in expected:
        assert "is not a path into the answer" in found[0]
        return
    assert found == [expected]


def test_a_parameter_that_goes_nowhere_and_one_that_leaves_a_hole() -> None:
    text = HEAD + (
        "  - order:\n"
        "      describe: Looks up.\n"
        "      parameters: {properties: {id: {type: string}, note: {type: string}}}\n"
        "      http: {url: 'https://shop.example.com/o/{id}'}\n"
    )
    assert problems(text) == [
        "tools[0].order.http.url: {id} may be left out by the model, and then leaves a hole here; list it under required:, "
        "or give it a place of its own in query: or body:",
        "tools[0].order.parameters.properties.note: note is sent nowhere; use it in url, query, headers or body",
    ]
