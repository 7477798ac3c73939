"""Rooms and tokens from the stand-in Daily, over a real socket."""

import asyncio
import time
from collections.abc import AsyncGenerator

import pytest

from net.daily_rooms import DailyFailed, DailyRooms, Room
from net.outgoing import Outgoing, open_outgoing
from simulators.daily import DailySimulator


@pytest.fixture
async def outgoing() -> AsyncGenerator[Outgoing]:
    async with open_outgoing() as client:
        yield client


@pytest.fixture
async def daily() -> AsyncGenerator[DailySimulator]:
    async with DailySimulator(api_key="right") as simulator:
        yield simulator


async def test_a_private_room_and_a_token_for_each_who_comes(outgoing: Outgoing, daily: DailySimulator) -> None:
    rooms = DailyRooms(outgoing, api_base=daily.base_url, api_key="right")
    expires_at = int(time.time()) + 60
    room = await rooms.create_room(expires_at=expires_at)
    bot = await rooms.create_token(room, user_name="front-desk", is_owner=True)
    caller = await rooms.create_token(room, user_name="Caller")

    made = daily.rooms[room.name]
    assert made["privacy"] == "private"
    assert made["config"] == {
        "exp": expires_at,
        "eject_at_room_exp": True,
        "max_participants": 2,
        "start_video_off": True,
    }
    shared = {"room_name": room.name, "exp": expires_at}
    assert daily.tokens[bot] == {"user_name": "front-desk", "is_owner": True, **shared}
    assert daily.tokens[caller] == {"user_name": "Caller", "is_owner": False, **shared}
    assert room.url_for(caller) == f"{made['url']}?t={caller}"


async def test_a_wrong_key_is_named(outgoing: Outgoing, daily: DailySimulator) -> None:
    rooms = DailyRooms(outgoing, api_base=daily.base_url, api_key="wrong")
    with pytest.raises(DailyFailed, match="DAILY_API_KEY"):
        await rooms.create_room(expires_at=0)
    assert daily.rooms == {}


async def test_daily_s_own_words_are_passed_on(outgoing: Outgoing, daily: DailySimulator) -> None:
    rooms = DailyRooms(outgoing, api_base=daily.base_url, api_key="right")
    with pytest.raises(DailyFailed, match="400 room_name is not one of"):
        await rooms.create_token(Room("elsewhere", "https://x.daily.co/elsewhere", 0), user_name="Caller")


async def test_a_daily_that_is_away_is_told_without_the_key(outgoing: Outgoing) -> None:
    rooms = DailyRooms(outgoing, api_base="http://127.0.0.1:1", api_key="hush-hush")
    with pytest.raises(DailyFailed, match="ConnectError") as failure:
        await rooms.create_room(expires_at=0)
    assert "hush-hush" not in str(failure.value)


@pytest.mark.parametrize("answer", ["{}", "[]", '{"name": "a", "url": "javascript:alert(1)"}', '{"name": 1, "url": 2}'])
async def test_an_answer_that_is_no_room_is_no_room(outgoing: Outgoing, answer: str) -> None:
    async def reply(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(f"HTTP/1.1 200 OK\r\nContent-Length: {len(answer)}\r\nConnection: close\r\n\r\n{answer}".encode())
        await writer.drain()
        writer.close()

    async with await asyncio.start_server(reply, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        rooms = DailyRooms(outgoing, api_base=f"http://127.0.0.1:{port}", api_key="right")
        with pytest.raises(DailyFailed):
            await rooms.create_room(expires_at=0)
