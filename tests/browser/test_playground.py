"""A person opens the playground, talks to the receptionist and finds the conversation kept."""

import asyncio
import os
from pathlib import Path

import pytest
from playwright.async_api import expect

pytestmark = pytest.mark.browser

GREETING = "Good morning, Blue Door Dental. How can I help?"
QUESTION = "Hi, what are your opening hours on Monday?"


async def ended_call(server):
    async with asyncio.timeout(10):
        while True:
            (row,) = await server.services.store.list_calls(10)
            if row.status == "ended":
                return row
            await asyncio.sleep(0.05)


async def take_picture(page, name):
    """Keep a picture for a person to look at, where one was asked for."""
    folder = os.environ.get("TRUNKLINE_TEST_PICTURES")
    if folder:
        await page.screenshot(path=Path(folder) / f"{name}.png", full_page=True)


async def test_a_conversation_is_shown_as_it_goes_and_kept_afterwards(start_server, open_page):
    server = await start_server()
    opened = await open_page(hears="ask-opening-hours")
    page = opened.page

    await page.goto(f"{server.base_url}/playground")
    await expect(page.get_by_role("radio", name="front-desk")).to_be_visible()
    await take_picture(page, "before")
    await page.get_by_role("radio", name="front-desk").check()
    await page.get_by_role("button", name="Talk").click()

    said = page.get_by_role("log").locator(".turn p")
    await expect(said.nth(0)).to_have_text(GREETING)
    await expect(said.nth(1)).to_have_text(QUESTION)
    await expect(said.nth(2)).to_contain_text("On Monday we are open from nine to five.")
    await expect(page.get_by_role("log")).to_contain_text("opening_hours")
    await expect(page.get_by_role("log")).to_contain_text("replied after")
    await take_picture(page, "live")
    await page.get_by_role("button", name="Hang up").click()

    await expect(page.get_by_text("You hung up.")).to_be_visible()
    await expect(page.get_by_text("Kept in the database: 3 turns")).to_be_visible()
    await take_picture(page, "after")
    row = await ended_call(server)
    turns = await server.services.store.list_turns(row.call_id)
    assert [(turn.speaker, turn.text) for turn in turns[:2]] == [("agent", GREETING), ("caller", QUESTION)]
    assert turns[2].text.startswith("On Monday we are open from nine to five.")
    assert (row.direction, row.end_reason, row.agent_name) == ("browser", "caller_hung_up", "front-desk")
    assert row.from_number is None
    assert row.recording_status == "complete"
    assert server.services.live.count == 0
    assert opened.complaints == []
