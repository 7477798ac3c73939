"""A person opens the playground, talks to the receptionist and finds the conversation kept."""

import asyncio
import os
from pathlib import Path

import numpy as np
import pytest
from playwright.async_api import expect

pytestmark = pytest.mark.browser

GREETING = "Good morning, Blue Door Dental. How can I help?"
PATIENT = {"silence_ask_secs": 90, "silence_hangup_secs": 120}  # a machine with much to do is not a silent caller
QUESTION = "Hi, what are your opening hours on Monday?"


async def ended_call(server):
    async with asyncio.timeout(10):
        while True:
            (row,) = await server.services.store.list_calls(10)
            if row.status == "ended":
                return row
            await asyncio.sleep(0.05)


WATCH_METERS = """() => {
  window.loudest = {};
  for (const id of ["you", "agent"]) {
    const note = () => {
      window.loudest[id] = Math.max(window.loudest[id] ?? 0, document.getElementById(id).ariaValueNow);
    };
    new MutationObserver(note).observe(document.getElementById(id), { attributeFilter: ["aria-valuenow"] });
  }
}"""


def assert_recorded(recordings, call_id, turns):
    """Each turn is on its own side of the recording, from its start to its end, and is not heard on the other."""
    recording = recordings.open(call_id)
    samples = recording.read_pcm().astype(np.float64)
    for turn in turns:
        start, end = (round(ms * recording.sample_rate_hz / 1000) for ms in (turn.start_ms, turn.end_ms))
        loudness = np.sqrt(np.mean(samples[start:end] ** 2, axis=0))
        own, other = (0, 1) if turn.speaker == "caller" else (1, 0)
        assert loudness[own] > 300, (turn.speaker, loudness)
        assert loudness[own] > 10 * loudness[other], (turn.speaker, loudness)


async def take_picture(page, name):
    """Keep a picture for a person to look at, where one was asked for."""
    folder = os.environ.get("TRUNKLINE_TEST_PICTURES")
    if folder:
        await page.screenshot(path=Path(folder) / f"{name}.png", full_page=True)


async def test_a_conversation_is_shown_as_it_goes_and_kept_afterwards(start_server, open_page):
    server = await start_server(front_desk={"limits": PATIENT})
    opened = await open_page(hears="ask-opening-hours", before_secs=10.0)
    page = opened.page

    await page.goto(f"{server.base_url}/playground")
    await expect(page.get_by_role("radio", name="front-desk")).to_be_visible()
    await take_picture(page, "before")
    await page.evaluate(WATCH_METERS)
    await page.get_by_role("radio", name="front-desk").check()
    await page.get_by_role("button", name="Talk").click()

    await expect(page.get_by_role("meter", name="Agent")).not_to_have_attribute("aria-valuenow", "0")
    await take_picture(page, "speaking")
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
    loudest = await page.evaluate("window.loudest")
    assert loudest["you"] > 20
    assert loudest["agent"] > 20
    row = await ended_call(server)
    turns = await server.services.store.list_turns(row.call_id)
    assert [(turn.speaker, turn.text) for turn in turns[:2]] == [("agent", GREETING), ("caller", QUESTION)]
    assert turns[2].text.startswith("On Monday we are open from nine to five.")
    assert (row.direction, row.end_reason, row.agent_name) == ("browser", "caller_hung_up", "front-desk")
    assert row.from_number is None
    assert row.recording_status == "complete"
    await asyncio.to_thread(assert_recorded, server.services.recordings, row.call_id, turns)
    assert server.services.live.count == 0
    assert opened.complaints == []


async def test_everything_works_by_keyboard_alone_in_a_narrow_dark_window(start_server, open_page):
    server = await start_server(front_desk={"limits": PATIENT})
    opened = await open_page(
        hears="goodbye", before_secs=9.0, viewport={"width": 380, "height": 760}, color_scheme="dark"
    )
    page = opened.page
    await page.goto(f"{server.base_url}/playground")
    chosen = page.get_by_role("radio", name="front-desk")
    await expect(chosen).to_be_checked()

    await page.keyboard.press("Tab")
    await expect(chosen).to_be_focused()
    await page.keyboard.press("ArrowDown")
    await expect(page.get_by_role("radio", name="survey")).to_be_checked()
    await expect(page.get_by_role("heading", name="survey")).to_be_visible()
    await page.keyboard.press("ArrowUp")
    await expect(chosen).to_be_checked()
    await page.keyboard.press("Tab")
    await expect(page.get_by_role("button", name="Talk")).to_be_focused()
    await page.keyboard.press("Enter")

    said = page.get_by_role("log").locator(".turn p")
    await expect(said.nth(0)).to_have_text(GREETING)
    # Another agent cannot be chosen in the middle of a call.
    await expect(chosen).to_be_disabled()
    await expect(page.get_by_role("button", name="Hang up")).to_be_focused()
    await take_picture(page, "narrow")
    await expect(page.get_by_text("The agent ended the call.")).to_be_visible()
    await expect(said.last).to_have_text("Thank you for calling. Goodbye!")
    await take_picture(page, "narrow-after")
    assert (await ended_call(server)).end_reason == "bot_ended"

    # The page is as before the call: the same key begins the next one, Escape ends it.
    await expect(page.get_by_role("button", name="Talk")).to_be_focused()
    await page.keyboard.press("Enter")
    await expect(said.nth(0)).to_have_text(GREETING)
    await page.keyboard.press("Escape")
    await expect(page.get_by_text("You hung up.")).to_be_visible()
    assert opened.complaints == []
    is_too_wide = await page.evaluate("document.documentElement.scrollWidth > document.documentElement.clientWidth")
    assert not is_too_wide


async def test_closing_the_page_is_hanging_up(start_server, open_page):
    server = await start_server()
    page = (await open_page(hears="goodbye", before_secs=60.0)).page
    await page.goto(f"{server.base_url}/playground")
    await page.get_by_role("button", name="Talk").click()
    await expect(page.get_by_role("log")).to_contain_text(GREETING)
    await page.close(run_before_unload=False)
    assert (await ended_call(server)).end_reason == "caller_hung_up"


async def test_the_door_refuses_a_wrong_secret_and_opens_for_the_right_one(start_server, open_page):
    # Others can reach an address like this one, so the page wants its secret even from this machine.
    server = await start_server(host="0.0.0.0", twilio_auth_token="0" * 32, playground_secret="open sesame")
    page = (await open_page()).page
    answer = await page.goto(f"{server.base_url}/playground")
    assert answer is not None
    assert answer.status == 401
    await expect(page.get_by_label("Secret")).to_be_focused()
    await take_picture(page, "door")

    await page.keyboard.type("wrong")
    await page.keyboard.press("Enter")
    await expect(page.get_by_role("alert")).to_have_text("That is not the secret. Try again.")
    await page.get_by_label("Secret").fill("open sesame")
    await page.get_by_role("button", name="Enter").click()

    await expect(page.get_by_role("radio", name="front-desk")).to_be_checked()
    await page.reload()
    await expect(page.get_by_role("button", name="Talk")).to_be_enabled()
    assert await page.evaluate("document.cookie") == ""  # no script may read it


async def test_a_full_server_is_told_in_one_sentence(start_server, open_page):
    server = await start_server(max_calls=1)
    assert server.services.live.admit("somebody else's call") is not None
    page = (await open_page()).page
    await page.goto(f"{server.base_url}/playground")
    await page.get_by_role("button", name="Talk").click()
    await expect(page.get_by_role("alert")).to_contain_text("Every line of this server is taken")
    await expect(page.get_by_role("button", name="Talk")).to_be_enabled()
    server.services.live.release("somebody else's call")


async def test_a_turn_that_was_interrupted_is_marked(start_server, open_page):
    server = await start_server(front_desk={"limits": PATIENT})
    # The caller asks again every few seconds, each time in the middle of the long answer.
    page = (await open_page(hears="ask-opening-hours", before_secs=4.0, again=True)).page
    await page.goto(f"{server.base_url}/playground")
    await page.get_by_role("button", name="Talk").click()
    cut_short = page.get_by_role("log").locator(".turn.is-interrupted")
    await expect(cut_short.first).to_contain_text("interrupted")
    await page.get_by_role("button", name="Hang up").click()
    await expect(page.get_by_text("You hung up.")).to_be_visible()
    shown = await cut_short.locator("p").all_inner_texts()
    row = await ended_call(server)
    turns = await server.services.store.list_turns(row.call_id)
    assert [turn.text for turn in turns if turn.interrupted] == shown
