"""Tools that an agent's YAML makes: web services, a question before they run, what is said meanwhile, an SMS."""

import asyncio
from typing import Any

from config.phrases import default_phrases
from simulators.script import parse_script
from tests.calls.conftest import CALLER
from tests.calls.shop import open_shop

PHRASES = default_phrases("en")
KEY = "a-secret-of-the-shop"


def asking(path: str, base: str, **changes: Any) -> dict[str, Any]:
    """An HTTP tool with an order's number, sent with a secret."""
    http = {"url": f"http://{base}{path}", "headers": {"Authorization": "Bearer {secret:SHOP_KEY}"}}
    number = {"type": "string", "pattern": "^[0-9]+$"}
    schema = {"type": "object", "properties": {"order_id": number}, "required": ["order_id"]}
    return {"describe": "Looks an order up.", "http": http, "parameters": schema, **changes}


async def happened(house: Any, call: Any, kind: str, count: int = 1) -> list[Any]:
    """Wait until the call's log has `count` events of that kind."""
    async with asyncio.timeout(20):
        while len(found := await house.events(call, kind)) < count:  # noqa: ASYNC110 - a database has no event to wait for
            await asyncio.sleep(0.05)
    return found


ONE_AFTER_THE_OTHER = """
name: shop
rules:
  - hear: hello
    call: {tool: check_order, args: {order_id: "seven"}}
    then:
      call: {tool: check_order, args: {order_id: "7"}}
      then:
        call: {tool: broken, args: {order_id: "7"}}
        then:
          if: result.error
          call: {tool: inward, args: {order_id: "7"}}
          then: {if: result.error, say: I am sorry.}
otherwise: I see.
"""


def told(house: Any) -> list[dict[str, Any]]:
    """What the model was answered, tool after tool."""
    return [result.response for result in house.gemini.conversations[0].tool_results]


async def test_a_web_service_is_asked_and_its_failures_are_told(make_house: Any, monkeypatch: Any, caplog: Any) -> None:
    async with open_shop() as shop:
        shop.answers = {
            "/orders/7": (200, {"order": {"status": "sent", "echo": f"Bearer {KEY}"}}, 0.0),
            "/broken": (500, {}, 0),
        }
        sent = asking("/orders/{order_id}", shop.host)
        sent["http"]["result"] = {"status": "$.order.status", "echo": "$.order.echo"}
        inward = asking("/orders/{order_id}", "localtest.example:81")
        inward["http"]["url"] = "https://shop.example.com/orders/{order_id}"
        tools = [
            {"check_order": sent},
            {"broken": asking("/broken/{order_id}", shop.host)},
            {"inward": inward},
            {"for_others": asking("/others/{order_id}", shop.host, only={"direction": "outbound"})},
        ]
        house = await make_house(
            agents={"front-desk": {"greeting": "", "tools": tools}},
            gemini={"scripts": [parse_script(ONE_AFTER_THE_OTHER)]},
            tool_secrets={"SHOP_KEY": KEY},
            tool_private_hosts=shop.host,
        )
        resolves_to(monkeypatch, "shop.example.com", "169.254.169.254")
        call = await house.dial_quietly()
        await house.say(call, "hello")
        await happened(house, call, "tool.failed", 2)
        await call.wait_heard()
        refused, sent_result, broken_result, inward_result = told(house)
        assert refused == {"refused": "bad_arguments", "reason": "order_id: 'seven' does not match '^[0-9]+$'"}
        assert sent_result == {"status": "sent", "echo": "Bearer [secret]"}
        assert (broken_result["kind"], inward_result["kind"]) == ("http_status", "not_allowed")
        assert PHRASES.tool_failed in broken_result["say"]
        assert [event.data["error"] for event in await house.events(call, "tool.failed")] == [
            "http_status: it answered with an error, status 500.",
            "not_allowed: its host has a private address.",
        ]
        declared = house.gemini.conversations[0].setup["tools"][0]["functionDeclarations"]
        assert "for_others" not in [function["name"] for function in declared]
        # What is not of the schema's form is not sent, and nothing where it must not go.
        assert [seen.target for seen in shop.seen] == ["/orders/7", "/broken/7"]
        assert {seen.headers["authorization"] for seen in shop.seen} == {f"Bearer {KEY}"}
        assert KEY not in str([event.data for event in await house.events(call)])
        assert KEY not in caplog.text


def resolves_to(monkeypatch: Any, name: str, address: str) -> None:
    """Have one name mean this address, as a name server of somebody else's might say."""
    loop = asyncio.get_running_loop()
    real = loop.getaddrinfo

    async def getaddrinfo(host: Any, port: Any, **options: Any) -> Any:
        return await real(address if host == name else host, port, **options)

    monkeypatch.setattr(loop, "getaddrinfo", getaddrinfo)


SLOW_AND_ASKING = """
name: shop
rules:
  - hear: hello
    call: {tool: send_back, args: {order_id: "7"}}
    then: Shall I send it back?
  - hear: yes-please
    call: {tool: send_back, args: {order_id: "7"}}
    then: {if: result.done, say: It is on its way.}
  - hear: stop
    call: {tool: send_back, args: {order_id: "8"}}
    then:
      call: {tool: send_back, args: {order_id: "8"}}
      then: Shall I send this back?
  - hear: no-thanks
    call: {tool: send_back, args: {order_id: "8"}}
    then: I leave it.
otherwise: I see.
"""


async def test_a_tool_runs_when_the_caller_has_agreed_and_what_is_slow_has_its_own_filler(make_house: Any) -> None:
    async with open_shop() as shop:
        shop.answers = {"/back/7": (200, {"done": True}, 1.5)}
        rules = {"confirm": "Shall I send {order_id} back?", "filler": "I am sending it.", "filler_after_secs": 0.1}
        send_back = asking("/back/{order_id}", shop.host, **rules)
        send_back["http"] |= {"method": "POST", "body": {"order": "{order_id}"}}
        house = await make_house(
            agents={"front-desk": {"greeting": "", "tools": [{"send_back": send_back}]}},
            gemini={"scripts": [parse_script(SLOW_AND_ASKING)]},
            tool_secrets={"SHOP_KEY": KEY},
            tool_private_hosts=shop.host,
        )
        call = await house.dial_quietly()
        await house.say(call, "hello")
        await happened(house, call, "agent.began")
        await call.wait_quiet(quiet_ms=1000)
        [first] = told(house)
        assert (first["refused"], first["say"]) == (
            "not_confirmed",
            'Ask exactly this, then wait: "Shall I send 7 back?"',
        )
        assert not shop.seen
        await house.say(call, "yes-please")
        await happened(house, call, "tool.result")
        await happened(house, call, "agent.began", 2)
        await call.wait_quiet(quiet_ms=1000)
        [seen] = shop.seen
        assert (seen.method, seen.target, seen.body) == ("POST", "/back/7", '{"order": "7"}')
        [filler] = await house.events(call, "agent.announced")
        assert filler.data["kind"] == "tool_filler"
        # Another order: the model asks itself, and the caller says no.
        await house.say(call, "stop")
        await happened(house, call, "agent.began", 3)
        await call.wait_quiet(quiet_ms=1000)
        assert [answer["refused"] for answer in told(house)[2:]] == ["not_confirmed", "not_confirmed"]
        await house.say(call, "no-thanks")
        await happened(house, call, "tool.declined")
        await happened(house, call, "tool.refused", 4)
        assert [event.data["why"] for event in await house.events(call, "tool.refused")][-1] == "declined"
        assert len(shop.seen) == 1


TEXTING = """
name: messages
rules:
  - hear: hello
    call: {tool: send_sms, args: {text: "Our address is 1 Quay Street."}}
    then:
      if: result.sent
      call: {tool: take_message, args: {text: "Please call back.", name: "Alex"}}
      then: {if: result.kept, say: Done.}
otherwise: I see.
"""


async def test_a_text_message_goes_to_the_caller_and_one_that_he_leaves_is_kept(make_house: Any) -> None:
    house = await make_house(
        agents={
            "front-desk": {"bot": "assistant", "settings": {}, "greeting": "", "tools": ["send_sms", "take_message"]}
        },
        gemini={"scripts": [parse_script(TEXTING)]},
    )
    call = await house.dial_quietly()
    await house.say(call, "hello")
    await happened(house, call, "message.written")
    [sms] = house.twilio.account.messages
    assert (sms["to"], sms["from"], sms["body"]) == (CALLER, "+15551230100", "Our address is 1 Quay Street.")
    [kept] = await house.records("front-desk").list("message")
    assert kept.data == {"text": "Please call back.", "name": "Alex", "number": CALLER, "from_number": CALLER}
    assert kept.call_id == (await house.row(call)).call_id
