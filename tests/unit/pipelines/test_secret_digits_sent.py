"""Secret digits on their way to a web service: sent, and neither told to the model nor shown in what is refused."""

from types import SimpleNamespace
from typing import Any

import pytest

from config.tools import HttpTool
from net.tool_request import ToolAnswer, ToolRequest
from pipelines.http_tools import ask_service
from pipelines.secret_digits import SecretDigits
from pipelines.tool_failures import ToolRefused
from pipelines.tools import CallResources
from transcripts.call import Direction

PIN = "86420975"
TOOL = HttpTool.model_validate(
    {
        "describe": "Checks a PIN.",
        "parameters": {
            "type": "object",
            "properties": {"pin": {"type": "string", "pattern": "^[0-9]{8}$"}},
            "required": ["pin"],
        },
        "http": {"url": "https://bank.example/pins", "method": "POST", "body": {"pin": "{pin}"}},
    }
)


class Service:
    """Answers with what it was sent."""

    def __init__(self) -> None:
        self.sent: list[ToolRequest] = []

    async def send(self, request: ToolRequest) -> ToolAnswer:
        self.sent.append(request)
        return ToolAnswer(200, "application/json", f'{{"ok": true, "echo": "PIN {PIN}"}}'.encode())


async def ask(secrets: SecretDigits, pin: str) -> tuple[Service, list[Any]]:
    service, told = Service(), list[Any]()
    desk = CallResources.__new__(CallResources)
    desk.__dict__ |= {
        "call": SimpleNamespace(
            variables={}, call_id="c1", from_number=None, to_number=None, direction=Direction.INBOUND
        ),
        "agent": SimpleNamespace(variables={}, name="desk", language="en-US"),
        "keys": SimpleNamespace(secrets=secrets),
    }

    async def answer(result: Any) -> None:
        told.append(result)

    params: Any = SimpleNamespace(app_resources=desk, result_callback=answer)
    await ask_service(params, TOOL, {"pin": pin}, service, {})  # pyright: ignore[reportArgumentType]
    return service, told


async def test_what_was_entered_is_sent_and_masked_in_the_answer() -> None:
    secrets = SecretDigits()
    service, told = await ask(secrets, secrets.keep("pin", PIN))
    assert PIN in str(service.sent[0])
    assert told[0]["ok"] is True
    assert PIN not in str(told)


async def test_what_was_entered_is_not_shown_when_it_is_refused() -> None:
    secrets = SecretDigits()
    secrets.keep("pin", PIN + "1")
    with pytest.raises(ToolRefused) as refused:
        await ask(secrets, "{digits:pin}")
    assert PIN not in str(refused.value) + refused.value.reason


async def test_what_was_not_entered_is_asked_for() -> None:
    with pytest.raises(ToolRefused) as refused:
        await ask(SecretDigits(), "{digits:pin}")
    assert refused.value.reason == "the caller has not entered pin; have the caller enter it first."
