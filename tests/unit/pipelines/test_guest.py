"""Bots written for Pipecat's own runner: whatever they do, the call ends and its row is written."""

import asyncio
import sys
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any

import pytest
from starlette.websockets import WebSocketState

import pipelines.guest as guest_module
from config.agent import AgentConfig
from pipelines.guest import GuestBot, run_guest
from pipelines.live import LiveCall
from telephony.media_stream import Start
from transcripts.call import Call, Direction, EndReason

CALL = Call(
    "c1", "CA1", "guest", Direction.INBOUND, "+15557654321", "+15551230100", {}, datetime(2026, 3, 1, tzinfo=UTC)
)
START = Start("MZ1", "CA1", "AC1", {}, "audio/x-mulaw", 8000, 1)


class Guests:
    """Runs a bot on a socket that nothing is read from."""

    def __init__(self) -> None:
        self.finished: list[EndReason] = []
        self.live = LiveCall("c1")
        self.websocket = SimpleNamespace(client_state=WebSocketState.CONNECTED)
        self.agent = AgentConfig(name="guest", bot="guest")

    def belong_to(self, agent_name: str, *, is_searched: bool, started_at: datetime) -> None:
        assert agent_name

    def event(self, kind: str, at_ms: int, /, **data: Any) -> None:
        assert kind in ("call.live", "call.ended")

    def finish(self, reason: EndReason, recording_status: None, recording_error: None) -> None:
        self.finished.append(reason)

    async def run(self, bot: Callable[[Any], Awaitable[None]]) -> EndReason:
        log: Any = self
        websocket: Any = self.websocket
        reason = await run_guest(GuestBot("guest", bot), CALL, self.agent, websocket, START, log, self.live)
        assert self.finished == [reason]
        return reason


@pytest.fixture
def guests() -> Guests:
    return Guests()


async def test_a_bot_that_returns_has_ended_the_call(guests):
    async def bot(arguments):
        assert arguments.body["from_number"] == "+15557654321"
        assert not arguments.handle_sigint

    assert await guests.run(bot) is EndReason.BOT_ENDED


async def test_a_bot_that_returns_because_the_caller_left_has_not(guests):
    async def bot(_arguments):
        guests.websocket.client_state = WebSocketState.DISCONNECTED

    assert await guests.run(bot) is EndReason.CALLER_HUNG_UP


async def test_a_bot_that_raises_has_failed(guests):
    async def bot(_arguments):
        raise ValueError("no model")

    assert await guests.run(bot) is EndReason.FAILED


async def test_a_bot_that_wants_the_process_to_exit_ends_its_own_call_only(guests):
    async def bot(_arguments):
        sys.exit("GOOGLE_API_KEY is missing")

    assert await guests.run(bot) is EndReason.FAILED


async def test_a_bot_that_cancels_itself_is_not_taken_for_the_end_of_the_server(guests):
    async def bot(_arguments):
        raise asyncio.CancelledError

    assert await guests.run(bot) is EndReason.FAILED


async def test_a_bot_is_stopped_when_the_call_is_to_end(guests):
    was_cancelled = asyncio.Event()

    async def bot(_arguments):
        guests.live.end(EndReason.DRAINED)
        try:
            await asyncio.sleep(60)
        finally:
            was_cancelled.set()

    assert await guests.run(bot) is EndReason.DRAINED
    assert was_cancelled.is_set()


async def test_a_bot_that_will_not_stop_holds_up_nothing(guests, monkeypatch):
    monkeypatch.setattr(guest_module, "_WIND_UP_SECS", 0.1)
    may_stop = asyncio.Event()

    async def bot(_arguments):
        guests.live.end(EndReason.TIME_LIMIT)
        while not may_stop.is_set():
            try:
                await may_stop.wait()
            except asyncio.CancelledError:
                continue

    async with asyncio.timeout(2):
        assert await guests.run(bot) is EndReason.TIME_LIMIT
    may_stop.set()
    await asyncio.sleep(0)


async def test_a_call_asked_to_end_before_its_bot_began_ends_at_once(guests):
    guests.live.end(EndReason.DRAINED)

    async def bot(_arguments):
        await asyncio.sleep(60)

    assert await guests.run(bot) is EndReason.DRAINED
