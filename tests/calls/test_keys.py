"""Keys on live calls: a phone menu climbed, digits collected from callers, and secret ones that are kept nowhere."""

import asyncio
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import numpy as np
from loguru import logger

from simulators.phone_menu import MenuPlace, PhoneMenu
from simulators.script import parse_script
from simulators.simulated_call import SimulatedCall

MENU = MenuPlace(
    "main", "hello", {"1": MenuPlace("department", "tell-fact", {"4711#": MenuPlace("extension", "name-alex")})}
)
MODEL = parse_script("""
name: keys
rules:
  - hear: hello
    call: {tool: press_digits, args: {digits: "1"}}
  - hear: tell-fact
    call: {tool: press_digits, args: {digits: "4711#"}}
  - hear: name-alex
    say: Thank you, Alex. How can I help?
  - hear: book-tuesday
    call: {tool: collect_digits, args: {field: order, count: 3}}
    then: {if: result.error, say: "I am sorry, I did not catch that.", else: "You pressed {result.digits:key}."}
  - hear: yes-please
    call: {tool: collect_digits, args: {field: pin}}
    then:
      if: result.error
      say: "I am sorry, I did not catch that."
      else:
        call: {tool: check_pin, args: {pin: "{result.use}"}}
        then: {if: result.right, say: "Thank you. I will remember that.", else: "I am sorry, no."}
otherwise: "Sure. I am listening."
""")
PIN = "86420975"
BOT = f'''
"""A bot that sends on what was entered."""
from pipecat.services.llm_service import FunctionCallParams
from pipelines import Bot, end_call, resources


async def check_pin(params: FunctionCallParams, pin: str) -> None:
    """Check a PIN.

    Args:
        params: Given by the pipeline.
        pin: As the caller entered it.
    """
    sent = resources(params).keys.secrets.fill_in({{"pin": [pin]}})
    await params.result_callback({{"right": sent == {{"pin": ["{PIN}"]}}}})


bot = Bot(tools=[check_pin, end_call])
'''
FIELDS = {"order": {"count": 3, "first_key_secs": 1}, "pin": {"count": len(PIN), "secret": True}}


async def happened(house: Any, call: SimulatedCall, kind: str, count: int = 1) -> list[dict[str, Any]]:
    async with asyncio.timeout(20):
        while len(found := await house.events(call, kind)) < count:  # noqa: ASYNC110 - a database has no event to wait for
            await asyncio.sleep(0.05)
    return [event.data for event in found]


async def said(house: Any, call: SimulatedCall) -> list[str]:
    return [turn.text for turn in await house.turns(call)]


async def a_menu_is_climbed_on_a_placed_call(house: Any) -> None:
    async with httpx.AsyncClient(base_url=house.server.base_url, trust_env=False, timeout=40) as http:
        placed = await http.post("/v1/calls", json={"agent": "climber", "to": "+15551230177"})
    assert placed.status_code == 201, placed.text
    call = await house.twilio.next_placed()
    await call.connected()
    menu = PhoneMenu(call, MENU)
    assert await menu.run() == "extension"
    assert menu.path == ["main", "department", "extension"]
    await call.hang_up()
    await house.ended_row(call)
    assert call.keys_heard.all == "14711#"
    assert (await said(house, call))[0] == "I am a robot."
    assert [data["sent_by"] for data in await happened(house, call, "keys.pressing")] == ["twilio", "twilio"]
    assert len(await happened(house, call, "call.back")) == 2
    assert call.errors == []
    assert len(await house.events(call, "model.ready")) == 1


async def a_menu_is_climbed_by_tones(house: Any) -> None:
    call = await house.dial_quietly(to="+15551230121")
    menu = PhoneMenu(call, MENU.keys["1"])
    assert await menu.run() == "extension"
    await house.hear_out(call)
    await call.hang_up()
    await house.ended_row(call)
    assert (await said(house, call))[-1] == "Thank you, Alex. How can I help?"
    assert call.keys_heard.all == ""
    assert [verb for _, verb, _ in call.verbs] == ["Connect"]  # the stream was never left


async def digits_are_collected(house: Any) -> None:
    call = await house.dial_quietly(to="+15551230122")
    await house.say(call, "book-tuesday")
    await happened(house, call, "keys.collecting")
    await call.press("507")
    await house.hear_out(call)
    await call.hang_up()
    await house.ended_row(call)
    assert (await said(house, call))[1] == "You pressed five zero seven."
    assert [data["result"] for data in await happened(house, call, "tool.result")] == [{"digits": "507"}]
    assert [data["digit"] for data in await happened(house, call, "caller.digit")] == ["5", "0", "7"]


async def digits_that_nobody_presses_are_missed(house: Any) -> None:
    call = await house.dial_quietly(to="+15551230122")
    await house.say(call, "book-tuesday")
    await house.hear_out(call)
    await call.hang_up()
    await house.ended_row(call)
    assert (await said(house, call))[1] == "I am sorry, I did not catch that."
    missed = {"digits": "", "error": "The caller pressed no key."}
    assert [data["result"] for data in await happened(house, call, "tool.result")] == [missed]


async def secret_digits_are_used_and_kept_nowhere(house: Any) -> None:
    call = await house.dial_quietly(to="+15551230122")
    await house.say(call, "yes-please")
    await happened(house, call, "keys.collecting")
    # What is spoken meanwhile is as secret as the keys.
    await house.say(call, "ask-sunday")
    await call.press(PIN)
    await happened(house, call, "keys.collected")
    await house.hear_out(call)
    await call.hang_up()
    await house.ended_row(call)
    turns = await said(house, call)
    assert turns[1] == "Thank you. I will remember that."
    assert not any("Sunday" in turn for turn in turns)
    assert [data["digit"] for data in await happened(house, call, "caller.digit")] == ["?"] * len(PIN)
    told = json.dumps([event.data for event in await house.events(call)])
    assert PIN not in told
    assert "{digits:pin}" in told
    [began], [ended] = await house.events(call, "keys.collecting"), await house.events(call, "keys.collected")
    audio = await asyncio.to_thread((await house.recording(call)).read_pcm)
    entered = audio[(began.at_ms + 200) * 8 : (ended.at_ms - 100) * 8, 0]
    assert len(entered) > 8000
    assert not np.any(entered)


def files_with(folder: Path, text: bytes) -> list[Path]:
    return [path for path in folder.rglob("*") if path.is_file() and text in path.read_bytes()]


async def test_menus_are_climbed_and_digits_collected(make_house: Any, bots_with: Callable[[str, str], Path]) -> None:
    """All at once, because each of them is mostly waiting."""
    quiet: dict[str, Any] = {"greeting": "", "bot": "pins"}
    agents: dict[str, Any] = {
        "climber": quiet | {"numbers": ["+15551230120"], "digits": {}, "disclosure": "I am a robot."},
        "toner": quiet | {"numbers": ["+15551230121"], "digits": {"sent_by": "tones"}},
        "collector": quiet | {"numbers": ["+15551230122"], "digits": {"fields": FIELDS}},
    }
    house = await make_house(
        agents=agents, gemini={"scripts": [MODEL]}, bots_dir=await asyncio.to_thread(bots_with, "pins", BOT)
    )
    lines: list[str] = []
    sink = logger.add(lines.append, level="TRACE")
    try:
        async with asyncio.TaskGroup() as calls:
            calls.create_task(a_menu_is_climbed_on_a_placed_call(house))
            calls.create_task(a_menu_is_climbed_by_tones(house))
            calls.create_task(digits_are_collected(house))
            calls.create_task(digits_that_nobody_presses_are_missed(house))
            calls.create_task(secret_digits_are_used_and_kept_nowhere(house))
    finally:
        logger.remove(sink)
    assert house.server.services.live.count == 0
    assert PIN not in "".join(lines)
    told = [str(one.payload) for conversation in house.gemini.conversations for one in conversation.received]
    assert PIN not in "".join(told)
    assert await asyncio.to_thread(files_with, house.data_dir, PIN.encode()) == []
