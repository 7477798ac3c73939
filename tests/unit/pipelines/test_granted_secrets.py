"""A stored agent's tools send the secrets that it was granted, to the hosts that may get them, and no others."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr

from config.agent import AgentConfig
from config.origin import Origin
from config.settings import Settings
from config.tools_http import HttpRequest
from pipelines.tool_templates import Values, fill_request
from pipelines.toolbox import Toolbox
from pipelines.tools import Bot
from transcripts.call import Call, Direction

BOT = Bot()
TOOLS: list[Any] = [
    {"find": {"describe": "x", "http": {"url": "https://shop.example.com/o", "headers": {"X": "{secret:SHOP}"}}}},
    {"open": {"describe": "x", "http": {"url": "https://open.example.com/o"}}},
    {"crm": {"mcp": {"url": "https://crm.example.com/mcp", "headers": {"X": "{secret:CRM}"}}}},
]
CALL = Call("c1", "CA1", "shop", Direction.INBOUND, None, None, {}, datetime(2026, 3, 1, tzinfo=UTC))


@pytest.fixture
def toolbox(tmp_path: Path) -> Toolbox:
    secrets = {name: SecretStr("not-a-real-one") for name in ("SHOP", "CRM")}
    settings = Settings.model_construct(data_dir=tmp_path, tool_secrets=secrets, tool_private_hosts=())
    return Toolbox({"quiet": BOT}, settings)


def agent(secrets: dict[str, frozenset[str]] | None) -> AgentConfig:
    made = AgentConfig.model_validate({"name": "shop", "bot": "quiet", "tools": TOOLS})
    return made if secrets is None else made.coming_from(Origin(1, secrets))


CASES: list[Any] = [
    (None, {"find", "open"}, {"crm": "it is not connected yet"}),
    ({}, {"open"}, {"crm": "the secret CRM was withdrawn from the agent"}),
    ({"SHOP": frozenset()}, {"find", "open"}, {"crm": "the secret CRM was withdrawn from the agent"}),
    ({"SHOP": frozenset({"shop.example.com"})}, {"find", "open"}, None),
    ({"SHOP": frozenset({"other.example.com"})}, {"open"}, None),
    ({"CRM": frozenset({"crm.example.com"})}, {"open"}, {"crm": "it is not connected yet"}),
]


@pytest.mark.parametrize(("secrets", "offered", "missing"), CASES)
def test_a_tool_is_there_when_its_secret_may_be_sent(
    toolbox: Toolbox, secrets: Any, offered: set[str], missing: dict[str, str] | None
) -> None:
    made = agent(secrets)
    names = {getattr(tool, "name", "") for tool in toolbox.tools_for(BOT, made, CALL)}
    assert names & {"find", "open"} == offered
    assert missing is None or dict(toolbox.missing(made)) == missing


def test_no_secret_comes_in_by_a_variable() -> None:
    """What is filled in is not read once more, whoever gave it: the agent, whoever placed the call, or the model."""
    http = HttpRequest.model_validate(
        {
            "url": "https://a.example.com/{name}/{said}",
            "method": "POST",
            "query": {"q": "{said} {name}"},
            "headers": {"X": "{name}"},
            "body": {"is": "{name}", "said": ["{said}"]},
        }
    )
    values = Values({"said": "{secret:SHOP}"}, {"name": "{secret:SHOP}"}, {"SHOP": "not-a-real-one"}, {})
    request = fill_request(http, values, idempotency_key="k")
    assert request.headers["X"] == "{secret:SHOP}"
    assert request.body == b'{"is": "{secret:SHOP}", "said": ["{secret:SHOP}"]}'
    assert "not-a-real-one" not in str(request)
