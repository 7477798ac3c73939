"""The media socket: what is refused, with which code, and what becomes of the call."""

import asyncio
import json
from dataclasses import replace
from typing import Any

import pytest
from websockets.asyncio.client import ClientConnection
from websockets.exceptions import InvalidStatus

from tests.unit.api.wire import CALL_SID, CALLER, CONNECTED, NUMBER, STREAM_SID, Line, start_message, tags
from transcripts.call import EndReason

MEDIA = json.dumps(
    {"event": "media", "streamSid": STREAM_SID, "media": {"track": "inbound", "timestamp": "0", "payload": "/////w=="}}
)
STOP = json.dumps({"event": "stop", "streamSid": STREAM_SID, "stop": {"callSid": CALL_SID, "accountSid": "AC1"}})


async def closing(stream: ClientConnection) -> tuple[int | None, str | None]:
    """Wait for the server to close the socket; returns code and reason."""
    async with asyncio.timeout(8):
        await stream.wait_closed()
    return stream.close_code, stream.close_reason


async def begin(stream: ClientConnection, given: dict[str, str], call_sid: str = CALL_SID) -> None:
    await stream.send(CONNECTED)
    await stream.send(start_message(given, call_sid))


async def test_a_good_socket_becomes_a_live_call_that_runs_to_its_end(line: Line) -> None:
    given = await line.ring()
    async with line.open_stream() as stream:
        await begin(stream, given)
        await line.eventually(lambda: len(line.calls.given) == 1)
        assert (await line.row()).status == "live"
        assert line.server.services.live.holds(given["call_id"])
        line.calls.is_told_to_end.set()
        assert await closing(stream) == (1000, "")
    (start, call, agent) = line.calls.given[0]
    assert (start.stream_sid, start.parameters) == (STREAM_SID, given)
    assert (call.call_id, call.call_sid, call.from_number, call.to_number) == (
        given["call_id"],
        CALL_SID,
        CALLER,
        NUMBER,
    )
    assert agent.name == "front-desk"
    # The row is written before the socket is closed, so that Twilio's next question finds it.
    assert (await line.row()).end_reason == "bot_ended"
    assert not line.server.services.live.holds(given["call_id"])


@pytest.mark.parametrize("headers", [{}, {"X-Twilio-Signature": "AAAA"}], ids=["missing", "wrong"])
async def test_an_unsigned_upgrade_is_refused_before_it_is_accepted(line: Line, headers: dict[str, str]) -> None:
    with pytest.raises(InvalidStatus) as caught:
        async with line.open_stream(headers):
            pass
    assert caught.value.response.status_code == 403


@pytest.mark.parametrize("url", ["wss://voice.example.com:443/twilio/stream", "wss://voice.example.com/twilio/stream/"])
async def test_an_upgrade_signed_in_another_of_twilios_spellings_is_taken(line: Line, url: str) -> None:
    given = await line.ring()
    async with line.open_stream(line.sign(url, {})) as stream:
        await begin(stream, given)
        await line.eventually(lambda: len(line.calls.given) == 1)


async def test_an_upgrade_signed_for_the_host_header_is_refused(line: Line) -> None:
    headers = {
        **line.sign(f"{line.server.base_url}/twilio/stream".replace("http", "ws"), {}),
        "X-Forwarded-Proto": "wss",
    }
    with pytest.raises(InvalidStatus):
        async with line.open_stream(headers):
            pass


async def test_an_open_server_takes_the_socket_of_this_machine_unsigned(open_line: Line) -> None:
    given = await open_line.ring()
    async with open_line.open_stream({}) as stream:
        await begin(stream, given)
        await open_line.eventually(lambda: len(open_line.calls.given) == 1)


@pytest.mark.parametrize("header", [{"X-Forwarded-For": "203.0.113.7"}, {"Origin": "https://evil.example"}])
async def test_an_open_server_refuses_what_comes_from_elsewhere(open_line: Line, header: dict[str, str]) -> None:
    with pytest.raises(InvalidStatus) as caught:
        async with open_line.open_stream(header):
            pass
    assert caught.value.response.status_code == 403


TOKEN_IS_BAD = "The stream's token is missing or was not issued for this call."


async def test_a_missing_token_is_refused(line: Line) -> None:
    given = await line.ring()
    async with line.open_stream() as stream:
        await begin(stream, {"call_id": given["call_id"]})
        assert await closing(stream) == (1008, TOKEN_IS_BAD)
    assert (await line.row()).status == "ringing"
    assert line.calls.given == []


async def test_a_wrong_token_is_refused(line: Line) -> None:
    given = await line.ring()
    async with line.open_stream() as stream:
        await begin(stream, {**given, "token": given["token"][:-1] + "_"})
        assert await closing(stream) == (1008, TOKEN_IS_BAD)


async def test_a_token_of_another_call_is_refused(line: Line) -> None:
    other = await line.ring(call_sid="CA" + "9" * 32)
    given = await line.ring()
    async with line.open_stream() as stream:
        await begin(stream, other)  # the start names our call SID
        assert await closing(stream) == (1008, TOKEN_IS_BAD)
    async with line.open_stream() as stream:
        await begin(stream, {**given, "call_id": other["call_id"]})
        assert await closing(stream) == (1008, "the token was issued for another call")


async def test_an_expired_token_is_refused(line: Line) -> None:
    given = await line.ring()
    services = line.server.services
    later = services.now() + line.server.settings.stream_token_ttl_secs + 1
    line.server.app.state.services = replace(services, now=lambda: later)
    async with line.open_stream() as stream:
        await begin(stream, given)
        code, reason = await closing(stream)
    assert (code, reason) == (1008, "The stream's token was issued for this call, but too long ago.")


async def test_a_token_is_good_for_one_socket(line: Line) -> None:
    given = await line.ring()
    async with line.open_stream() as stream, line.open_stream() as replay:
        await begin(stream, given)
        await line.eventually(lambda: len(line.calls.given) == 1)
        await begin(replay, given)
        assert await closing(replay) == (1008, "the stream's token was used already, or its call is over")
        assert (await line.row()).status == "live"
        await stream.send(MEDIA)
    assert await line.ended() == "caller_hung_up"
    async with line.open_stream() as late:
        await begin(late, given)
        assert (await closing(late))[0] == 1008


async def test_of_many_sockets_with_one_token_exactly_one_is_the_call(line: Line) -> None:
    given = await line.ring()

    async def attempt() -> int | None:
        async with line.open_stream() as stream:
            await begin(stream, given)
            return (await closing(stream))[0]

    attempts = [asyncio.create_task(attempt()) for _ in range(8)]
    await line.eventually(lambda: sum(task.done() for task in attempts) == 7)
    line.calls.is_told_to_end.set()
    assert sorted(code or 0 for code in await asyncio.gather(*attempts)) == [1000] + [1008] * 7
    assert len(line.calls.given) == 1


@pytest.mark.parametrize(
    ("messages", "code", "reason"),
    [
        (["hello"], 1003, "malformed message: not JSON"),
        (["[]"], 1003, "malformed message: not a JSON object"),
        (
            [json.dumps({"event": "start", "streamSid": STREAM_SID})],
            1003,
            "malformed message: start: an object is missing",
        ),
        ([MEDIA.replace("/////w==", "****")], 1003, "malformed message: media.payload: not base64"),
        ([CONNECTED, MEDIA], 1008, "media came before start"),
        ([CONNECTED, STOP], 1008, "stop came before start"),
        ([b"\x00\x01"], 1003, "a binary message; a media stream speaks text"),
        ([], 1008, "no start within 0.5 s"),
        ([CONNECTED], 1008, "no start within 0.5 s"),
        ([json.dumps({"event": "weather"})] * 3, 1008, "no start within 0.5 s"),
    ],
)
async def test_what_is_no_beginning_of_a_stream_is_closed_with_a_reason(
    line: Line, messages: list[Any], code: int, reason: str
) -> None:
    await line.ring()
    async with line.open_stream() as stream:
        for message in messages:
            await stream.send(message)
        assert await closing(stream) == (code, reason)
    assert line.calls.given == []


async def test_a_message_of_a_megabyte_is_closed_as_too_big(line: Line) -> None:
    async with line.open_stream() as stream:
        await stream.send("x" * 1_000_000)
        assert (await closing(stream))[0] == 1009


async def test_unknown_events_before_start_are_passed_over(line: Line) -> None:
    given = await line.ring()
    async with line.open_stream() as stream:
        await stream.send(json.dumps({"event": "weather", "sky": "blue"}))
        await begin(stream, given)
        await line.eventually(lambda: len(line.calls.given) == 1)


async def test_a_socket_that_leaves_before_its_start_disturbs_nobody(line: Line) -> None:
    given = await line.ring()
    async with line.open_stream() as stream:
        await stream.send(CONNECTED)
    async with line.open_stream() as stream:
        await begin(stream, given)
        await line.eventually(lambda: len(line.calls.given) == 1)


async def test_a_caller_who_hangs_up_ends_the_call(line: Line) -> None:
    given = await line.ring()
    async with line.open_stream() as stream:
        await begin(stream, given)
        await line.eventually(lambda: len(line.calls.given) == 1)
    assert await line.ended() == "caller_hung_up"
    await line.eventually(lambda: line.server.services.live.count == 0)


async def test_a_server_that_filled_up_since_the_webhook_says_busy_after_all(line: Line) -> None:
    given = await line.ring()
    line.server.services.live.release(given["call_id"])  # its slot was not collected in time
    line.server.services.live.max_calls = 0
    async with line.open_stream() as stream:
        await begin(stream, given)
        assert await closing(stream) == (1013, "every slot is taken")
    assert (await line.row()).end_reason == "refused_busy"
    answer = await line.ask_next()
    assert tags(answer) == ["Say", "Hangup"]
    assert "belegt" in answer.text


async def test_a_fault_of_ours_ends_in_an_apology_and_a_free_slot(line: Line) -> None:
    line.calls.fault = RuntimeError("a fault made by this test")
    given = await line.ring()
    async with line.open_stream() as stream:
        await begin(stream, given)
        assert (await closing(stream))[0] == 1011
    assert (await line.row()).end_reason == "failed"
    assert line.server.services.live.count == 0
    answer = await line.ask_next()
    assert "schiefgegangen" in answer.text


async def test_an_agent_removed_since_the_webhook_is_a_fault_of_ours(line: Line) -> None:
    given = await line.ring()
    (line.server.settings.agents_dir / "front-desk.yaml").unlink()
    await line.server.services.current_agents()
    async with line.open_stream() as stream:
        await begin(stream, given)
        assert await closing(stream) == (1011, "the agent of this call was removed")
    assert (await line.row()).end_reason == "failed"


async def test_calls_are_ended_when_the_server_stops(line: Line) -> None:
    given = await line.ring()
    stream = await line.open_stream().__aenter__()
    await begin(stream, given)
    await line.eventually(lambda: len(line.calls.given) == 1)
    slot = line.server.services.live.get(given["call_id"])
    assert slot is not None
    asked: list[EndReason] = []

    def end(reason: EndReason) -> None:
        asked.append(reason)
        line.calls.reason = reason
        line.calls.is_told_to_end.set()

    slot.on_end(end)
    await line.server.__aexit__(None, None, None)
    assert asked == [EndReason.DRAINED]
    assert (await closing(stream))[0] == 1000
    await stream.close()
