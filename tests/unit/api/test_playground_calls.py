"""Calls of the playground, by a browser made of aiortc over real sockets."""

import asyncio
import json
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
from aiortc import RTCPeerConnection, RTCSessionDescription
from aiortc.mediastreams import AudioStreamTrack

from config.settings import Settings
from simulators.daily import DailySimulator
from storage.audit import AuditFilter
from tests.unit.api.test_calls import key
from tests.unit.api.wire import CALL_SID, Line, serve
from transcripts.models import CallRow

GUEST = "async def bot(runner_args):\n    return None\n"


@asynccontextmanager
async def browser() -> AsyncGenerator[RTCPeerConnection]:
    """A peer that sends silence and has made its offer."""
    peer = RTCPeerConnection()
    try:
        peer.addTrack(AudioStreamTrack())
        peer.createDataChannel("signals")
        await peer.setLocalDescription(await peer.createOffer())
        yield peer
    finally:
        await peer.close()


async def offer(line: Line, peer: RTCPeerConnection, agent: str = "front-desk") -> httpx.Response:
    """Send the peer's offer."""
    body = {"agent": agent, "sdp": peer.localDescription.sdp, "type": "offer"}
    return await line.http.post("/playground/offer", json=body, timeout=30)


async def call(line: Line, peer: RTCPeerConnection) -> str:
    """Have the peer call the agent and wait until the call is live; returns its id."""
    answer = (await offer(line, peer)).raise_for_status().json()
    await peer.setRemoteDescription(RTCSessionDescription(answer["sdp"], answer["type"]))
    await reached(line, answer["call_id"], "live")
    return str(answer["call_id"])


async def reached(line: Line, call_id: str, status: str) -> CallRow:
    """Wait until the call's row has that status."""
    async with asyncio.timeout(10):
        while True:
            row = await line.server.services.store.get_call(call_id)
            if row is not None and row.status == status:
                return row
            await asyncio.sleep(0.02)


async def read_events(line: Line, call_id: str, **headers: str) -> list[dict[str, Any]]:
    """Read the call's events up to their end."""
    events: list[dict[str, Any]] = []
    async with line.http.stream("GET", f"/playground/events/{call_id}", headers=headers, timeout=30) as answer:
        assert answer.headers["content-type"].startswith("text/event-stream")
        lines = [text async for text in answer.aiter_lines()]
    assert "event: end" in lines
    for text in lines:
        if text.startswith('data: {"kind"'):
            events.append(json.loads(text.removeprefix("data: ")))
    return events


async def test_closing_the_connection_is_hanging_up(open_line: Line) -> None:
    async with browser() as peer:
        call_id = await call(open_line, peer)
        assert open_line.server.services.live.count == 1
        await asyncio.sleep(0.3)
        following = asyncio.create_task(read_events(open_line, call_id), name="a page follows the call")
        await asyncio.sleep(0.1)
        await peer.close()
        told = await following

    assert [event["kind"] for event in told] == ["call.live", "call.ended"]
    row = await reached(open_line, call_id, "ended")
    assert (row.end_reason, row.direction) == ("caller_hung_up", "browser")
    kept = (await open_line.http.get(f"/playground/calls/{call_id}")).json()
    assert (kept["end_reason"], kept["is_over"], kept["turns"]) == ("caller_hung_up", True, [])
    await open_line.eventually(lambda: open_line.server.services.live.count == 0)
    # The same events, from the database, for a page that comes back; none of those that it has had.
    assert await read_events(open_line, call_id) == told
    assert await read_events(open_line, call_id, **{"Last-Event-ID": "0"}) == told[1:]


async def test_the_page_can_hang_up_by_itself(open_line: Line) -> None:
    async with browser() as peer:
        call_id = await call(open_line, peer)
        assert (await open_line.http.post(f"/playground/calls/{call_id}/hang-up")).status_code == 204
        assert (await reached(open_line, call_id, "ended")).end_reason == "caller_hung_up"
        async with asyncio.timeout(10):
            while peer.connectionState != "closed":  # noqa: ASYNC110 - aiortc forgets its listeners as it closes
                await asyncio.sleep(0.02)


async def test_hanging_up_before_the_connection_stands_ends_the_call_and_who_did_both_is_written_down(
    line: Line,
) -> None:
    visitor = await key(line, "playground:use")
    line.http.headers.update(visitor)
    async with browser() as peer:
        call_id = (await offer(line, peer)).json()["call_id"]
        for _ in range(2):  # the second one finds nothing to hang up
            assert (await line.http.post(f"/playground/calls/{call_id}/hang-up")).status_code == 204
            assert (await reached(line, call_id, "ended")).end_reason == "caller_hung_up"
            await line.eventually(lambda: line.server.services.talks.get(call_id) is None)
        assert [event["kind"] for event in await read_events(line, call_id)] == ["call.ended"]
        assert (await offer(line, peer, "nobody")).status_code == 404
    entries = await line.server.services.audit.entries(AuditFilter(subject_kind="call"), 10)
    assert [(entry.action, entry.subject_id) for entry in entries] == [
        ("calls.hang_up", call_id),
        ("calls.begin", call_id),
    ]
    assert {(entry.actor_kind, entry.actor_id) for entry in entries} == {
        ("key", visitor["Authorization"].split("_")[1])
    }
    assert entries[1].detail == {"agent": "front-desk", "where": "browser"}


async def test_a_browser_that_never_comes_gives_its_slot_back(open_line: Line, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("api.talks._CONNECT_SECS", 0.2)
    async with browser() as peer:
        call_id = (await offer(open_line, peer)).json()["call_id"]
        assert (await reached(open_line, call_id, "ended")).end_reason == "never_connected"
        await open_line.eventually(lambda: open_line.server.services.live.count == 0)


async def test_a_stopping_server_ends_the_call_and_says_why(settings: Settings) -> None:
    async with browser() as peer:
        async with serve(settings) as line:
            call_id = await call(line, peer)
        # Its database is closed by now; a new server on the same folder reads what was written.
        async with serve(settings) as line:
            assert (await reached(line, call_id, "ended")).end_reason == "drained"


async def test_a_full_server_says_so_and_writes_it_down(settings: Settings) -> None:
    async with serve(settings.model_copy(update={"max_calls": 1})) as line, browser() as first, browser() as second:
        await call(line, first)
        answer = await offer(line, second)
        assert answer.status_code == 503
        assert "taken" in answer.json()["error"]
        refused = [row for row in await line.server.services.store.list_calls(10) if row.status == "ended"]
        assert [row.end_reason for row in refused] == ["refused_busy"]
        assert line.server.services.live.count == 1


async def test_offers_that_cannot_be_answered(open_line: Line, settings: Settings) -> None:
    async with browser() as peer:
        unknown = await offer(open_line, peer, "nobody")
        assert (unknown.status_code, unknown.json()["error"]) == (404, "There is no agent of that name.")
        bodies = [
            "v=0",
            "",
            "nonsense",
            peer.localDescription.sdp.replace("m=audio", "m=video"),
            peer.localDescription.sdp[: len(peer.localDescription.sdp) // 2],
            peer.localDescription.sdp.replace("a=fingerprint", "a=nothing"),
            peer.localDescription.sdp.replace("a=ice-ufrag", "a=nothing"),
        ]
        for sdp in bodies:
            body = {"agent": "front-desk", "sdp": sdp, "type": "offer"}
            answer = await open_line.http.post("/playground/offer", json=body, timeout=30)
            assert answer.status_code == 400, (sdp[:40], answer.text)
            assert "session description" in answer.json()["error"]
    large = {"agent": "front-desk", "sdp": "v" * 70_000, "type": "offer"}
    assert (await open_line.http.post("/playground/offer", json=large)).status_code == 413
    assert (await open_line.http.post("/playground/offer", json={"agent": "front-desk"})).status_code == 422
    assert await open_line.server.services.store.list_calls(10) == []
    assert open_line.server.services.live.count == 0


async def test_a_phone_only_bot_is_not_for_browsers(settings: Settings) -> None:
    await asyncio.to_thread(_add_guest, settings.bots_dir, settings.agents_dir)
    async with serve(settings) as line, browser() as peer:
        answer = await offer(line, peer, "guest")
        assert answer.status_code == 409
        assert "telephones only" in answer.json()["error"]
        listed = {agent["name"]: agent for agent in (await line.http.get("/playground/agents")).json()["agents"]}
        assert listed["guest"]["is_phone_only"]


async def test_calls_of_the_telephone_are_not_shown(open_line: Line) -> None:
    await open_line.post("/twilio/voice", {}, CallSid=CALL_SID, To="+15551230100")
    row = await open_line.row()
    for path in (f"calls/{row.call_id}", f"events/{row.call_id}", "calls/none", "events/none"):
        answer = await open_line.http.get(f"/playground/{path}")
        assert answer.status_code == 404
        assert "no such call" in answer.json()["error"]


async def test_rooms_are_off_without_a_key(open_line: Line) -> None:
    answer = await open_line.http.post("/playground/room", json={"agent": "front-desk"})
    assert answer.status_code == 404
    assert "DAILY_API_KEY" in answer.json()["error"]


async def test_daily_that_gives_no_room_is_a_clear_answer_and_no_call(settings: Settings) -> None:
    async with DailySimulator(api_key="right") as daily:
        changes = {"daily_api_key": "wrong", "daily_api_base": daily.base_url}
        async with serve(Settings.model_validate({**settings.model_dump(), **changes})) as line:
            assert (await line.http.get("/playground/agents")).json()["has_rooms"] is True
            answer = await line.http.post("/playground/room", json={"agent": "front-desk"})
            assert (answer.status_code, answer.json()["error"]) == (502, "Daily does not accept DAILY_API_KEY")
            assert await line.server.services.store.list_calls(10) == []


def _add_guest(bots: Path, agents: Path) -> None:
    (bots / "guest.py").write_text(GUEST)
    (agents / "guest.yaml").write_text("bot: guest\nnumbers: []\n")
