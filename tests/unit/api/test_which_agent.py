"""Which agent answers: by rules, by the operator's webhook, and by the default when that is of no use."""

import asyncio
import base64
import hashlib
import hmac
import json
import time
from collections.abc import AsyncGenerator
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, RedirectResponse, Response
from starlette.routing import Route

from config.settings import Settings
from simulators.loopback import LoopbackServer
from tests.unit.api.wire import CALL_SID, CALLER, NUMBER, PUBLIC_URL, Line, reachable, serve, tags, verbs

KEY = b"0123456789abcdef01234567"
SECRET = f"whsec_{base64.b64encode(KEY).decode()}"
AGENT = """\
bot: quiet
variables: {customer: nobody}
greeting: Hello {customer}
pipeline: [transport.input, transport.output]
"""
NIGHT, NOON = "2026-11-30T23:00:00+01:00", "2026-11-30T12:00:00+01:00"
RULES = f"""\
hours: {{office: {{zone: Europe/Berlin, open: {{mon-fri: "08:00-18:00"}}}}}}
routes:
  - numbers: ["{NUMBER}", "+15551230101"]
    rules:
      - when: {{closed: office, caller: "+49"}}
        then: {{say: Geschlossen & zu., language: de-DE}}
      - when: {{closed: office, withheld: true}}
        then: {{busy: true}}
      - when: {{closed: office}}
        then: {{transfer: "+15551230199", say: One moment.}}
      - when: {{caller: "+49"}}
        then: {{agent: empfang, variables: {{customer: Frau Adam}}}}
      - when: {{caller: "+44"}}
        then: {{share: {{empfang: 50, night: 50}}}}
      - then:
          ask: {{url: "URL", secret: {SECRET}, timeout_secs: 1}}
    default: {{agent: night, variables: {{customer: friend}}}}
"""


@dataclass
class Webhook:
    """The operator's own software."""

    url: str
    answer: Any = field(default_factory=lambda: {"agent": "empfang", "variables": {"customer": "Ms Miller"}})
    status: int = 200
    wait_secs: float = 0.0
    asked: list[tuple[dict[str, str], bytes]] = field(default_factory=list[tuple[dict[str, str], bytes]])

    async def take(self, request: Request) -> Response:
        self.asked.append((dict(request.headers), await request.body()))
        await asyncio.sleep(self.wait_secs)
        if self.status == 302:
            return RedirectResponse("/route2", 302)
        if isinstance(self.answer, bytes):
            return Response(self.answer, self.status)
        return JSONResponse(self.answer, self.status)


@pytest.fixture
async def webhook() -> AsyncGenerator[Webhook]:
    webhook = Webhook("")
    app = Starlette(routes=[Route("/route", webhook.take, methods=["POST"])])
    async with LoopbackServer(app, name="an operator's webhook") as server:
        webhook.url = f"http://127.0.0.1:{server.port}/route"
        yield webhook


@pytest.fixture
async def line(settings: Settings, webhook: Webhook) -> AsyncGenerator[Line]:
    for name in ("night", "empfang"):
        (settings.agents_dir / f"{name}.yaml").write_text(AGENT)
    (settings.agents_dir / "routing.yaml").write_text(RULES.replace("URL", webhook.url))
    async with serve(reachable(settings)) as running:
        set_clock(running, NOON)
        yield running


def set_clock(line: Line, moment: str) -> None:
    services = replace(line.server.services, now=lambda: datetime.fromisoformat(moment).timestamp())
    line.server.services = line.server.app.state.services = services


async def ring(line: Line, call_sid: str = CALL_SID, **form: str) -> Any:
    return await line.post("/twilio/voice", CallSid=call_sid, **{"To": NUMBER, "From": CALLER, **form})


async def chosen(line: Line, call_sid: str = CALL_SID) -> tuple[str, dict[str, Any], list[tuple[str, dict[str, Any]]]]:
    """The agent, the variables, and the events of a call."""
    row = await line.row(call_sid)
    events = await line.server.services.store.list_events(row.call_id)
    return row.agent_name, row.variables, [(event.kind, event.data) for event in events]


async def test_a_rule_by_the_callers_country_brings_its_agent_and_variables(line: Line) -> None:
    assert tags(await ring(line, From="+4930123456")) == ["Connect"]
    agent, variables, events = await chosen(line)
    assert (agent, variables) == ("empfang", {"customer": "Frau Adam"})
    assert events == [("route.chosen", {"rule": "routes[0].rules[3]", "agent": "empfang"})]
    # The model is connected with them while it rings.
    [(call, expected)] = line.models.expected
    assert (call.variables, expected.name) == ({"customer": "Frau Adam"}, "empfang")


async def test_when_it_is_closed_twilio_answers_alone(line: Line) -> None:
    set_clock(line, NIGHT)
    say, hang_up = verbs(await ring(line, From="+4930123456"))
    assert (say.tag, say.text, say.get("language"), hang_up.tag) == ("Say", "Geschlossen & zu.", "de-DE", "Hangup")
    said, dial = verbs(await ring(line))
    assert (said.text, dial.tag, dial[0].text) == ("One moment.", "Dial", "+15551230199")
    assert dial.get("action") == f"{PUBLIC_URL}/twilio/next?language=en-US"
    (reject,) = verbs(await ring(line, From="anonymous"))
    assert (reject.tag, reject.get("reason")) == ("Reject", "busy")
    assert await line.server.services.store.find_call(CALL_SID) is None
    over = await line.post("/twilio/next?language=en-US", CallSid=CALL_SID, DialCallStatus="no-answer")
    assert tags(over) == ["Say", "Hangup"]


async def test_the_webhook_is_asked_signed_and_says_who_answers(line: Line, webhook: Webhook) -> None:
    assert tags(await ring(line)) == ["Connect"]
    agent, variables, events = await chosen(line)
    assert (agent, variables) == ("empfang", {"customer": "Ms Miller"})
    [(kind, data)] = events
    assert (kind, data["rule"], data["agent"]) == ("route.chosen", "routes[0].rules[5]", "empfang")
    [(headers, body)] = webhook.asked
    signed = f"{headers['webhook-id']}.{headers['webhook-timestamp']}.".encode() + body
    signature = base64.b64encode(hmac.new(KEY, signed, hashlib.sha256).digest()).decode()
    assert headers["webhook-signature"] == f"v1,{signature}"
    assert int(headers["webhook-timestamp"]) == int(datetime.fromisoformat(NOON).timestamp())
    asked = json.loads(body)
    assert asked["type"] == "call.ringing"
    assert asked["data"] == {"call_sid": CALL_SID, "from": CALLER, "to": NUMBER, "default": "night"}


OF_NO_USE: list[tuple[dict[str, Any], str]] = [
    ({"status": 500}, "answered 500"),
    ({"status": 302}, "answered 302"),
    ({"answer": b"night"}, "the answer is no JSON"),
    ({"answer": b"x" * 70_000}, "the answer is larger than 65536 bytes"),
    ({"answer": ["empfang"]}, "the answer cannot be used: it must be a mapping"),
    ({"answer": {}}, "the answer cannot be used: agent is missing"),
    ({"answer": {"agent": "nobody"}}, "the answer cannot be used: there is no agent 'nobody'"),
    ({"answer": {"agent": "empfang", "hints": 1}}, "the answer cannot be used: hints"),
    ({"answer": {"agent": "empfang", "variables": {"customer": 7}}}, "variables.customer must be text"),
    ({"answer": {"agent": "empfang", "variables": {"a b": "x"}}}, "is not a usable name"),
    ({"wait_secs": 3.0}, "no answer within 1 s"),
]


async def test_a_webhook_that_is_of_no_use_leaves_the_call_to_the_default(line: Line, webhook: Webhook) -> None:
    for number, (change, problem) in enumerate(OF_NO_USE):
        webhook.answer, webhook.status, webhook.wait_secs = {"agent": "empfang"}, 200, 0.0
        for name, value in change.items():
            setattr(webhook, name, value)
        began, call_sid = time.monotonic(), f"CA{number}"
        assert tags(await ring(line, call_sid)) == ["Connect"], problem
        assert time.monotonic() - began < 2.5
        agent, variables, events = await chosen(line, call_sid)
        assert (agent, variables) == ("night", {"customer": "friend"}), problem
        failed, default = events
        assert (failed[0], failed[1]["rule"], default[0]) == ("route.ask_failed", "routes[0].rules[5]", "route.chosen")
        assert problem in failed[1]["problem"]
        assert default[1]["rule"] == "routes[0].default"
    assert len(webhook.asked) == len(OF_NO_USE)


async def test_nobody_listening_is_no_answer_either(settings: Settings, line: Line, webhook: Webhook) -> None:
    text = RULES.replace("URL", "http://127.0.0.1:1/route")
    (settings.agents_dir / "routing.yaml").write_text(text)
    assert tags(await ring(line)) == ["Connect"]
    assert (await chosen(line))[0] == "night"
    assert not webhook.asked


async def test_a_repeated_webhook_keeps_the_agent_of_the_first(line: Line, webhook: Webhook) -> None:
    await ring(line)
    webhook.answer = {"agent": "night"}
    set_clock(line, NIGHT)
    assert tags(await ring(line)) == ["Connect"]
    assert (await chosen(line))[:2] == ("empfang", {"customer": "Ms Miller"})
    assert len(webhook.asked) == 1


async def test_a_share_gives_each_caller_the_same_agent_with_every_call(line: Line) -> None:
    agents: dict[str, set[str]] = {}
    for number in range(32):
        caller, call_sid = f"+4420794600{number % 24:02}", f"CA{number}"
        assert tags(await ring(line, call_sid, From=caller)) == ["Connect"]
        agents.setdefault(caller, set()).add((await chosen(line, call_sid))[0])
    assert all(len(names) == 1 for names in agents.values())
    assert set.union(*agents.values()) == {"empfang", "night"}


async def test_two_webhooks_of_one_call_at_once_get_one_agent(line: Line, webhook: Webhook) -> None:
    webhook.wait_secs = 0.1
    answers = await asyncio.gather(ring(line), ring(line))
    actions = {verbs(answer)[0].get("action") for answer in answers}
    assert actions == {f"{PUBLIC_URL}/twilio/next?agent=empfang&language=en-US"}
    agent, _, events = await chosen(line)
    assert (agent, len(events)) == ("empfang", 1)
    assert {headers["webhook-id"] for headers, _ in webhook.asked} == {f"msg_{CALL_SID}"}


async def test_an_agent_that_was_removed_since_is_replaced_by_who_lists_the_number(
    settings: Settings, line: Line, webhook: Webhook
) -> None:
    (settings.agents_dir / "night.yaml").unlink()
    webhook.status = 500
    assert tags(await ring(line)) == ["Connect"]
    assert (await chosen(line))[0] == "front-desk"
    assert tags(await ring(line, "CA2", To="+15551230101")) == ["Say", "Hangup"]
