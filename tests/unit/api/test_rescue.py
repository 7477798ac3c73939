"""Callers on a dead line: whom Twilio is told about by REST, how often it is tried, and what is written down."""

import asyncio
import contextlib
import json
import time
from collections.abc import AsyncGenerator
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import parse_qs
from xml.etree.ElementTree import fromstring

import pytest

from api.rescue import Rescue
from api.stranded import Stranded
from telemetry import metrics
from telephony.next_step import NextStep, transfer_to
from telephony.rest import TwilioRest
from tests.unit.api.wire import CALL_SID, PUBLIC_URL, Line, start_message
from transcripts.call import EndReason

ACCOUNT = "AC" + "1" * 32


@dataclass
class Twilio:
    """A REST API that gives one answer after the other, the last one for ever. 0: no answer at all; -1: breaks off."""

    answers: list[tuple[int, str]] = field(default_factory=lambda: [(200, "")])
    twiml: list[str] = field(default_factory=list[str])
    times: list[float] = field(default_factory=list[float])
    base_url: str = ""
    legs: list[dict[str, str]] = field(default_factory=list[dict[str, str]])

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            head = (await reader.readuntil(b"\r\n\r\n")).decode().lower()
            if head.startswith("get "):
                assert f"parentcallsid={CALL_SID}".lower() in head
                body = json.dumps({"calls": self.legs, "next_page_uri": None})
                writer.write(
                    f"HTTP/1.1 200 X\r\nContent-Length: {len(body)}\r\nConnection: close\r\n\r\n{body}".encode()
                )
                await writer.drain()
                return
            length = int(head.split("content-length: ")[1].split("\r\n")[0])
            self.twiml.append(parse_qs((await reader.readexactly(length)).decode())["Twiml"][0])
            self.times.append(time.monotonic())
            status, headers = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
            if status == 0:
                await reader.read()
            if status > 0:
                code = {404: 20404, 429: 20429}.get(status, 20001)
                body = f'{{"sid": "CA1", "code": {code}, "message": "x", "status": {status}}}'
                head = f"HTTP/1.1 {status} X\r\n{headers}Content-Length: {len(body)}\r\nConnection: close\r\n\r\n"
                writer.write((head + body).encode())
                await writer.drain()
        finally:
            writer.close()


@pytest.fixture
async def twilio() -> AsyncGenerator[Twilio]:
    api = Twilio()
    server = await asyncio.start_server(api.serve, "127.0.0.1", 0)
    async with server:
        api.base_url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        yield api


@contextlib.asynccontextmanager
async def rescue_of(line: Line, twilio: Twilio, **options: Any) -> AsyncGenerator[Rescue]:
    services = line.server.services
    async with TwilioRest(ACCOUNT, "SK1", "secret", api_base=twilio.base_url, timeout_secs=0.3) as rest:
        times = {"after_secs": 0.1, "after_lost_secs": options.get("after_secs", 0.1), "limit_secs": 3.0, **options}
        rescue = Rescue(rest, services.store, services.log_writer, services.agents, PUBLIC_URL, **times)
        try:
            yield rescue
        finally:
            await rescue.close()


async def strand(line: Line, reason: EndReason = EndReason.CONNECTION_LOST, step: NextStep | None = None) -> Stranded:
    """A call that ended for this reason, and whose caller Twilio did not ask about."""
    given = await line.ring()
    services = line.server.services
    services.live.release(given["call_id"])
    await services.store.go_live(given["call_id"])
    await services.store.finish_call(given["call_id"], reason)
    row = await line.row()
    return Stranded(row.call_id, CALL_SID, row.agent_name, reason, {}, row.live_at, step)


async def settled(rescue: Rescue) -> None:
    async with asyncio.timeout(8):
        while rescue.watched_count:  # noqa: ASYNC110 - a rescue tells nobody that it is done
            await asyncio.sleep(0.01)


def verbs(twiml: str) -> list[str]:
    return [verb.tag for verb in fromstring(twiml.encode())]


def count(outcome: str) -> float:
    return (
        metrics.REGISTRY.get_sample_value("trunkline_recoveries_total", {"kind": "rescue", "outcome": outcome}) or 0.0
    )


async def events(line: Line) -> list[tuple[str, dict[str, Any]]]:
    await line.server.services.log_writer.flush(5)
    row = await line.row()
    return [(event.kind, event.data) for event in await line.server.services.store.list_events(row.call_id)]


async def test_a_caller_whom_nobody_asks_about_hears_the_agents_apology(line: Line, twilio: Twilio) -> None:
    stranded, before = await strand(line), count("redirected")
    async with rescue_of(line, twilio) as rescue:
        rescue.watch(stranded)
        rescue.watch(stranded)
        await settled(rescue)
        rescue.heard_from(CALL_SID)
    (told,) = twilio.twiml
    assert verbs(told) == ["Say", "Hangup"]
    assert "schiefgegangen" in told
    assert await events(line) == [("rescue.redirected", {"attempts": 1, "step": "apology"})]
    row = await line.row()
    assert row.end_reason == "connection_lost"
    assert row.next_step is not None
    assert row.next_step["told_at"]
    assert count("redirected") == before + 1


@pytest.mark.parametrize(
    ("reason", "step", "expected"),
    [
        (EndReason.FAILED, transfer_to("+15551230199", text="Moment."), ["Say", "Dial"]),
        (EndReason.BOT_ENDED, None, ["Hangup"]),
        (EndReason.SERVER_CRASHED, None, ["Say", "Hangup"]),
    ],
)
async def test_what_he_hears_is_what_the_call_asked_for_or_its_reason_demands(
    line: Line, twilio: Twilio, reason: EndReason, step: NextStep | None, expected: list[str]
) -> None:
    async with rescue_of(line, twilio) as rescue:
        rescue.watch(await strand(line, reason, step))
        await settled(rescue)
    assert [verbs(told) for told in twilio.twiml] == [expected]
    if step is not None:
        action = fromstring(twilio.twiml[0].encode())[1].get("action")
        assert action == f"{PUBLIC_URL}/twilio/next?agent=front-desk&language=de-DE"


async def test_a_caller_whom_twilio_asks_about_is_left_alone(line: Line, twilio: Twilio) -> None:
    stranded = await strand(line)
    async with rescue_of(line, twilio, after_secs=0.5) as rescue:
        rescue.watch(stranded)
        await asyncio.sleep(0.05)
        rescue.heard_from(CALL_SID)
        await settled(rescue)
        rescue.watch(stranded)
        assert rescue.watched_count == 0, "asked about already"
    assert twilio.twiml == []


async def test_what_another_process_told_twilio_is_not_told_again(line: Line, twilio: Twilio) -> None:
    stranded = await strand(line)
    told = {**transfer_to("+15551230199").as_json(), "told_at": datetime.now(UTC).isoformat()}
    async with rescue_of(line, twilio) as rescue:
        rescue.watch(stranded)
        await line.server.services.store.set_next_step(stranded.call_id, told)
        await settled(rescue)
    assert twilio.twiml == []


@pytest.mark.parametrize(
    ("answers", "requests", "outcome"),
    [
        ([(429, "Retry-After: 1\r\n"), (200, "")], 2, "redirected"),
        ([(500, ""), (200, "")], 2, "redirected"),
        ([(0, ""), (200, "")], 2, "redirected"),
        ([(-1, ""), (200, "")], 2, "redirected"),
        ([(0, ""), (0, ""), (200, "")], 2, "failed"),
        ([(401, "")], 1, "failed"),
        ([(500, "")], 3, "failed"),
        ([(429, "Retry-After: 60\r\n")], 1, "failed"),
        ([(404, "")], 1, "over"),
    ],
)
async def test_how_often_it_is_tried_depends_on_what_twilio_says(
    line: Line, twilio: Twilio, answers: list[tuple[int, str]], requests: int, outcome: str
) -> None:
    twilio.answers, before = answers, count(outcome)
    async with rescue_of(line, twilio, limit_secs=2.5) as rescue:
        rescue.watch(await strand(line))
        await settled(rescue)
    assert len(twilio.twiml) == requests
    assert count(outcome) == before + 1
    if len(twilio.times) > 1:
        # Otherwise it is counted from when it was first looked at, which on a busy machine is well before.
        asked_to_wait_secs = 0.95 if answers[0][0] == 429 else 0.1
        assert twilio.times[1] - twilio.times[0] >= asked_to_wait_secs
    kinds = [kind for kind, _ in await events(line)]
    assert kinds == ([] if outcome == "over" else [f"rescue.{outcome}"])


async def test_nobody_there_is_tried_again_until_somebody_is(line: Line, twilio: Twilio) -> None:
    port = int(twilio.base_url.rsplit(":", 1)[1])
    server = await asyncio.start_server(twilio.serve, "127.0.0.1", 0)
    spare = server.sockets[0].getsockname()[1]
    server.close()
    await server.wait_closed()
    assert port != spare
    twilio.base_url = f"http://127.0.0.1:{spare}"
    async with rescue_of(line, twilio) as rescue:
        rescue.watch(await strand(line))
        await asyncio.sleep(0.4)
        assert rescue.watched_count == 1
        async with await asyncio.start_server(twilio.serve, "127.0.0.1", spare):
            await settled(rescue)
    assert len(twilio.twiml) == 1


async def test_a_server_that_stops_tries_at_once(line: Line, twilio: Twilio) -> None:
    async with rescue_of(line, twilio, after_secs=60.0) as rescue:
        rescue.watch(await strand(line))
        began = time.monotonic()
    assert time.monotonic() - began < 3
    assert len(twilio.twiml) == 1


async def test_a_server_that_stops_does_not_wait_for_ever(line: Line, twilio: Twilio) -> None:
    twilio.answers = [(500, "")]
    async with rescue_of(line, twilio, limit_secs=60.0) as rescue:
        rescue.watch(await strand(line))
        await asyncio.sleep(0.4)
        began = time.monotonic()
    assert time.monotonic() - began < 4
    assert rescue.watched_count == 0


async def test_the_calls_of_a_process_that_died_are_watched(line: Line, twilio: Twilio) -> None:
    await strand(line, EndReason.SERVER_CRASHED)
    async with rescue_of(line, twilio) as rescue:
        await rescue.watch_rows([await line.row()])
        await settled(rescue)
    assert [verbs(told) for told in twilio.twiml] == [["Say", "Hangup"]]


async def test_a_caller_who_talks_with_a_person_is_not_cut_off(line: Line, twilio: Twilio) -> None:
    twilio.legs = [{"sid": "CA2", "parent_call_sid": CALL_SID, "status": "in-progress"}]
    before = count("elsewhere")
    async with rescue_of(line, twilio) as rescue:
        rescue.watch(await strand(line))
        await settled(rescue)
    assert twilio.twiml == []
    assert count("elsewhere") == before + 1


async def test_a_transfer_that_is_over_is_no_reason_to_leave_him_alone(line: Line, twilio: Twilio) -> None:
    twilio.legs = [{"sid": "CA2", "parent_call_sid": CALL_SID, "status": "no-answer"}]
    async with rescue_of(line, twilio) as rescue:
        rescue.watch(await strand(line))
        await settled(rescue)
    assert len(twilio.twiml) == 1


async def test_a_call_that_broke_off_long_ago_has_no_caller(line: Line, twilio: Twilio) -> None:
    await strand(line, EndReason.SERVER_CRASHED)
    row = await line.row()
    row.ended_at = datetime.now(UTC) - timedelta(minutes=3)
    async with rescue_of(line, twilio) as rescue:
        await rescue.watch_rows([row])
        assert rescue.watched_count == 0


async def test_without_credentials_nobody_is_watched(line: Line) -> None:
    rescue = line.server.services.rescue
    rescue.watch(await strand(line))
    assert rescue.watched_count == 0


@pytest.mark.parametrize(("leaves", "is_rescued"), [(True, False), (False, True)])
async def test_a_caller_who_hung_up_needs_no_rescue(line: Line, twilio: Twilio, leaves: bool, is_rescued: bool) -> None:
    async with rescue_of(line, twilio) as rescue:
        services = line.server.services
        line.server.app.state.services = replace(services, rescue=rescue)
        given = await line.ring()
        async with line.open_stream() as stream:
            await stream.send(start_message(given))
            await line.eventually(lambda: len(line.calls.given) == 1)
            if not leaves:
                line.calls.is_told_to_end.set()
                await stream.wait_closed()
        await line.ended()
        await asyncio.sleep(0.3)
        await settled(rescue)
    assert len(twilio.twiml) == is_rescued


@pytest.mark.parametrize(("reason", "is_early"), [(EndReason.CONNECTION_LOST, True), (EndReason.BOT_ENDED, False)])
async def test_after_a_lost_connection_nobody_waits_as_long(
    line: Line, twilio: Twilio, reason: EndReason, is_early: bool
) -> None:
    async with rescue_of(line, twilio, after_secs=0.6, after_lost_secs=0.1) as rescue:
        rescue.watch(await strand(line, reason))
        await asyncio.sleep(0.4)
        assert bool(twilio.twiml) == is_early
        await settled(rescue)
    assert len(twilio.twiml) == 1
