"""A recording in a browser's own player: it knows its length before it has it, and plays from any place."""

import asyncio

import numpy as np
import pytest

from tests.unit.transcripts.calls import make_call
from transcripts.call import EndReason, Speaker

pytestmark = pytest.mark.browser

CALL = make_call()
SECS = 90
PLAY = """async (source) => {
  const player = new Audio();
  player.preload = "metadata";
  player.muted = true;
  const once = (name) => new Promise((done, failed) => {
    player.addEventListener(name, done, { once: true });
    player.addEventListener("error", () => failed(new Error(player.error.message)), { once: true });
  });
  const known = once("loadedmetadata");
  player.src = source;
  await known;
  const sought = once("seeked");
  player.currentTime = 80;
  await sought;
  const heard = once("timeupdate");
  await player.play();
  await heard;
  return { duration: player.duration, at: player.currentTime, seekable: player.seekable.end(0) };
}"""


async def test_a_player_can_seek(start_server, open_page):
    server = await start_server()
    services = server.services
    await services.store.open_call(CALL)
    await services.store.go_live(CALL.call_id)
    writer = services.recordings.writer(CALL.call_id, 8000)
    voice = (np.sin(np.arange(SECS * 8000) / 9) * 9000).astype("<i2").tobytes()
    for start in range(0, SECS, 30):
        writer.add(Speaker.CALLER, start * 1000, voice[start * 16_000 : (start + 30) * 16_000])
    await writer.close()
    await services.store.finish_call(CALL.call_id, EndReason.CALLER_HUNG_UP)
    opened = await open_page()
    asked: list[str] = []
    opened.page.on("request", lambda request: asked.append(request.headers.get("range", "")))
    await opened.page.goto(f"{server.base_url}/playground")
    async with asyncio.timeout(30):
        played = await opened.page.evaluate(PLAY, f"/v1/calls/{CALL.call_id}/recording?channel=caller")
    assert (played["duration"], played["seekable"]) == (SECS, SECS)
    assert 80 <= played["at"] < 82
    # From the middle of the file on, and not from its beginning again.
    assert any(int(range_.removeprefix("bytes=").partition("-")[0] or 0) > 500_000 for range_ in asked if range_)
