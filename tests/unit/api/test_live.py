"""Events as they happen: stored ones first, live ones then, resumed without loss, ended in order."""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest

from api import event_stream
from config.settings import Settings
from tests.databases import IS_POSTGRES
from tests.unit.api.wire import Line, serve
from transcripts.call import Call, CallEvent, Direction, EndReason


class Reader:
    """Reads a stream as a browser's EventSource does."""

    def __init__(self, answer: httpx.Response) -> None:
        self.answer, self._lines = answer, answer.aiter_lines()
        self.last_id = ""
        self.comments: list[str] = []
        self.retry_ms = 0

    async def next(self) -> tuple[str, Any] | None:
        """The next event's type and data; None at the end."""
        kind, data = "message", ""
        async with asyncio.timeout(10):
            async for line in self._lines:
                name, _, value = line.partition(":")
                value = value.removeprefix(" ")
                match name:
                    case "" if line:
                        self.comments.append(value)
                    case "id":
                        self.last_id = value
                    case "retry":
                        self.retry_ms = int(value)
                    case "event":
                        kind = value
                    case "data":
                        data += value
                    case _ if data:
                        return kind, json.loads(data)
                    case _:
                        kind = "message"
        return None

    async def rest(self) -> list[tuple[str, Any]]:
        found: list[tuple[str, Any]] = []
        while (event := await self.next()) is not None:
            found.append(event)
        return found


@asynccontextmanager
async def reading(line: Line, path: str, last_id: str = "", **headers: str) -> AsyncIterator[Reader]:
    given = headers | ({"Last-Event-ID": last_id} if last_id else {})
    async with line.http.stream("GET", path, headers=given) as answer:
        assert answer.status_code == 200
        assert answer.headers["content-type"] == "text/event-stream; charset=utf-8"
        yield Reader(answer)


async def test_a_calls_events_come_stored_and_live_and_go_on_where_they_were_lost(open_line: Line) -> None:
    await open_line.ring()
    services = open_line.server.services
    call_id = (await open_line.row()).call_id
    await services.store.go_live(call_id)
    await services.store.add_events(call_id, 0, [CallEvent("stored", number) for number in range(120)])
    log = services.log_writer.open(call_id)
    path = f"/v1/calls/{call_id}/events"
    async with reading(open_line, path) as stream:
        seen = [await stream.next() for _ in range(120)]
        assert [event[1]["seq"] for event in seen if event] == list(range(120))
        began = asyncio.get_running_loop().time()
        log.event("told", 5, words="Zoë\n\ndata: x")
        event = await stream.next()
        assert event == ("message", {"seq": 120, "at_ms": 5, "kind": "told", "data": {"words": "Zoë\n\ndata: x"}})
        assert asyncio.get_running_loop().time() - began < 0.7, "no second is waited for what is written here"
        last_id = stream.last_id
    await open_line.eventually(lambda: services.news.streams == 0 and not services.log_writer.followed)
    log.event("meanwhile", 6)
    async with reading(open_line, path, last_id) as stream:
        event = await stream.next()
        assert event is not None
        assert event[1]["kind"] == "meanwhile"
        log.event("last", 7)
        log.finish(EndReason.CALLER_HUNG_UP)
        assert [(kind, data.get("kind")) for kind, data in await stream.rest()] == [("message", "last"), ("end", None)]
    async with reading(open_line, path, "121") as stream:
        assert [data.get("seq") for _kind, data in await stream.rest()] == [122, None]
    assert (await open_line.http.get("/v1/calls/none/events")).status_code == 404
    for odd in ("x", "-1", "1.5", "99999999999", "1;DROP"):
        assert (await open_line.http.get(path, headers={"Last-Event-ID": odd})).status_code == 422


async def test_all_calls_of_every_process_are_followed(settings: Settings) -> None:
    async with serve(settings) as one, serve(settings) as other, reading(other, "/v1/events") as stream:
        await one.ring()
        event = await stream.next()
        assert event is not None
        assert (event[1]["kind"], event[1]["direction"], event[1]["agent"]) == ("call.ringing", "inbound", "front-desk")
        assert event[1]["at"].endswith("Z")
        call_id, place = event[1]["call_id"], stream.last_id
        async with reading(other, f"/v1/calls/{call_id}/events") as own:
            store = one.server.services.store
            await store.go_live(call_id)
            one.server.services.log_writer.open(call_id).event("elsewhere", 1)
            one.server.services.log_writer.open(call_id).finish(EndReason.SILENCE)
            assert [data.get("kind") for _kind, data in await own.rest()] == ["elsewhere", None]
        moved = [await stream.next(), await stream.next()]
        assert [(data["kind"], data["end_reason"]) for _kind, data in filter(None, moved)] == [
            ("call.live", None),
            ("call.ended", "silence"),
        ]
        async with reading(one, "/v1/events?follow=false", place) as again:
            assert [data.get("status") for _kind, data in await again.rest()] == ["live", "ended", None]
        async with reading(one, "/v1/events?follow=false") as late:
            assert await late.rest() == [("end", {})]
            place_now = late.last_id
        async with reading(one, "/v1/events?follow=false", place_now) as late:
            assert await late.rest() == [("end", {})]
        # On PostgreSQL any transaction that has been may have moved calls; SQLite counts none.
        for odd in ("1", "x-y", "99999999999-1", *(() if IS_POSTGRES else ("0-99999", "5-5"))):
            assert (await one.http.get("/v1/events", headers={"Last-Event-ID": odd})).status_code == 422


async def test_a_stream_ends_with_its_key_and_with_the_server(line: Line, monkeypatch: pytest.MonkeyPatch) -> None:
    services = line.server.services
    soon = datetime.now(UTC) + timedelta(seconds=1.2)
    short, long, revoked = [
        await services.keys.create("test", ["calls:read"], now=datetime.now(UTC), expires_at=at)
        for at in (soon, None, None)
    ]
    async with reading(line, "/v1/events", Authorization=f"Bearer {short.text}") as stream:
        assert await stream.next() is None
        assert stream.comments[-1] == "the key is good no more"
    assert event_stream.KEY_SECS <= 5, "a stream is promised to end within seconds of its key"
    for wait in ("HEARTBEAT_SECS", "KEY_SECS"):
        monkeypatch.setattr(event_stream, wait, 0.3)
    async with reading(line, "/v1/events", Authorization=f"Bearer {revoked.text}") as stream:
        reading_on = asyncio.create_task(stream.next(), name="reads on")
        await asyncio.sleep(1.2)
        assert "still here" in stream.comments
        await services.keys.revoke(revoked.key_id, now=datetime.now(UTC))
        assert await reading_on is None
        assert stream.comments[-1] == "the key is good no more"
    headers = {"Authorization": f"Bearer {long.text}"}
    async with reading(line, "/v1/events", **headers) as stream:
        services.live.is_draining = True
        assert await stream.next() is None
        assert (stream.comments[-1], stream.retry_ms) == ("the server ends", 3000)
    refused = await line.http.get("/v1/events", headers=headers)
    assert (refused.status_code, refused.headers["retry-after"]) == (503, "5")
    services.live.is_draining = False


async def test_a_reader_who_does_not_read_is_cut_off(open_line: Line, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(event_stream, "_SLOW_SECS", 0.3)
    await open_line.ring()
    services, call_id = open_line.server.services, (await open_line.row()).call_id
    big = [CallEvent("big", number, {"words": "x" * 50_000}) for number in range(200)]
    await services.store.add_events(call_id, 0, big)
    port = open_line.server.settings.port
    _reader, writer = await asyncio.open_connection("127.0.0.1", port, limit=1024)
    writer.write(f"GET /v1/calls/{call_id}/events HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\n\r\n".encode())
    try:
        await open_line.eventually(lambda: services.news.streams == 1)
        await open_line.eventually(lambda: services.news.streams == 0)
    finally:
        writer.close()
        with contextlib.suppress(ConnectionError):
            await writer.wait_closed()


async def test_a_key_bound_to_agents_is_told_of_their_calls_alone(line: Line) -> None:
    services = line.server.services
    now = datetime.now(UTC)
    bound = await services.keys.create("test", ["calls:read"], now=now, agents=["survey"])
    headers = {"Authorization": f"Bearer {bound.text}"}
    async with reading(line, "/v1/events", **headers) as stream:
        await services.store.open_call(Call("others", None, "front-desk", Direction.BROWSER, None, None, {}, now))
        before = stream.last_id
        await asyncio.sleep(0.7)
        await services.store.open_call(Call("own", None, "survey", Direction.BROWSER, None, None, {}, now))
        event = await stream.next()
        assert event is not None
        assert (event[1]["call_id"], event[1]["agent"]) == ("own", "survey")
        assert stream.last_id != before
    async with reading(line, "/v1/events?follow=false", stream.last_id, **headers) as stream:
        assert await stream.rest() == [("end", {})]
