"""A call's slot and model from the webhook to the stream: kept, collected, given back, or found elsewhere."""

import asyncio
import base64
import contextlib
import json
from collections.abc import AsyncGenerator
from dataclasses import replace
from typing import Any, cast

import numpy as np
import pytest
from websockets.exceptions import InvalidStatus

from config.settings import Settings
from pipelines.sentences import SentenceKind, Spoken
from simulators.telephone_audio import decode_ulaw
from tests.unit.api.wire import (
    CALL_SID,
    CALLER,
    CONNECTED,
    NUMBER,
    STREAM_SID,
    Line,
    parameters,
    reachable,
    serve,
    start_message,
    tags,
)

OTHER_SID = "CA" + "9" * 32


@pytest.fixture
async def two(settings: Settings) -> AsyncGenerator[tuple[Line, Line]]:
    """Two server processes' worth of servers, on one database."""
    async with serve(reachable(settings)) as one, serve(reachable(settings)) as other:
        yield one, other


async def test_a_ringing_call_has_its_slot_and_its_model_is_connected(line: Line) -> None:
    live = line.server.services.live
    live.max_calls = 1
    given = await line.ring()
    ((call, agent),) = line.models.expected
    assert (call.call_id, call.call_sid, agent.name) == (given["call_id"], CALL_SID, "front-desk")
    assert (live.count, live.is_full, live.holds(call.call_id)) == (1, True, False)
    refused = await line.post("/twilio/voice", CallSid=OTHER_SID, To=NUMBER, From=CALLER)
    assert tags(refused) == ["Say", "Hangup"]
    assert len(line.models.expected) == 1, "for a call that is refused no model is connected"
    async with line.open_stream() as stream:
        await stream.send(start_message(given))
        await line.eventually(lambda: len(line.calls.given) == 1)
        assert (live.count, live.holds(call.call_id)) == (1, True)
    assert await line.ended() == "caller_hung_up"
    assert live.count == 0
    assert line.models.forgotten == []


async def test_a_repeated_webhook_takes_one_slot_and_one_model(line: Line) -> None:
    await asyncio.gather(*(line.ring() for _ in range(5)))
    assert line.server.services.live.count == 1
    assert len(line.models.expected) == 1


async def test_a_webhook_repeated_while_the_stream_is_live_takes_nothing(line: Line) -> None:
    given = await line.ring()
    async with line.open_stream() as stream:
        await stream.send(start_message(given))
        await line.eventually(lambda: len(line.calls.given) == 1)
        again = await line.ring()
        assert again["call_id"] == given["call_id"]
        assert line.server.services.live.count == 1
        assert len(line.models.expected) == 1
        assert (await line.row()).status == "live"


async def test_what_nobody_collects_is_given_up_and_a_late_stream_is_taken_afresh(line: Line) -> None:
    live = line.server.services.live
    live.collect_secs = 0.1
    given = await line.ring()
    await line.eventually(lambda: line.models.forgotten == [given["call_id"]])
    assert live.count == 0
    async with line.open_stream() as stream:
        await stream.send(start_message(given))
        await line.eventually(lambda: len(line.calls.given) == 1)


@pytest.mark.parametrize("over", ["next", "status"])
async def test_a_call_that_is_over_while_it_rings_gives_back_what_it_has(line: Line, over: str) -> None:
    given = await line.ring()
    if over == "next":
        await line.ask_next(StreamError="the socket was refused")
    else:
        await line.post("/twilio/status", CallSid=CALL_SID, CallStatus="canceled")
    assert line.server.services.live.count == 0
    assert line.models.forgotten == [given["call_id"]]


async def test_an_agent_removed_while_it_rings_gives_back_slot_and_model(line: Line) -> None:
    given = await line.ring()
    (line.server.settings.agents_dir / "front-desk.yaml").unlink()
    await line.server.services.current_agents()
    async with line.open_stream() as stream:
        await stream.send(start_message(given))
        await stream.wait_closed()
    assert line.server.services.live.count == 0
    assert line.models.forgotten == [given["call_id"]]


async def test_the_stream_names_the_process_that_waits_for_it_and_the_row_names_its_owner(line: Line) -> None:
    answer = await line.post("/twilio/voice", CallSid=CALL_SID, To=NUMBER, From=CALLER)
    instance = line.server.services.instance
    assert f'url="wss://voice.example.com/twilio/stream/{instance}"' in answer.text
    async with line.open_stream(path=f"/twilio/stream/{instance}") as stream:
        await stream.send(start_message(parameters(answer)))
        await line.eventually(lambda: len(line.calls.given) == 1)
        assert (await line.row()).owner == instance


async def test_the_signature_covers_the_name_in_the_path(line: Line) -> None:
    signed = line.sign("wss://voice.example.com/twilio/stream/another", {})
    with pytest.raises(InvalidStatus):
        async with line.open_stream(signed, path=f"/twilio/stream/{line.server.services.instance}"):
            pass


async def test_a_stream_that_lands_at_another_process_is_a_call_all_the_same(two: tuple[Line, Line]) -> None:
    one, other = two
    one.server.services.live.collect_secs = 0.2
    given = await one.ring()
    async with other.open_stream(path=f"/twilio/stream/{one.server.services.instance}") as stream:
        await stream.send(start_message(given))
        await other.eventually(lambda: len(other.calls.given) == 1)
        assert (await one.row()).owner == other.server.services.instance
        await one.eventually(lambda: one.models.forgotten == [given["call_id"]])
        assert (one.server.services.live.count, other.server.services.live.count) == (0, 1)
        other.calls.is_told_to_end.set()
        # Asked at the process that did not run the call, Twilio hears what the row says.
        assert await one.ended() == "bot_ended"
        assert tags(await one.ask_next()) == ["Hangup"]


async def test_a_call_whose_process_is_gone_is_apologised_for_at_another(two: tuple[Line, Line]) -> None:
    one, other = two
    given = await one.ring()
    await one.server.services.store.go_live(given["call_id"], owner="a-process-that-is-gone")
    answer = await other.ask_next(StreamSid=STREAM_SID)
    assert tags(answer) == ["Say", "Hangup"]
    assert (await one.row()).end_reason == "connection_lost"


class OneSentence:
    """Stands where sentences are kept as sound."""

    def __init__(self, spoken: Spoken) -> None:
        self.spoken = spoken

    def find(self, _agent: Any, kind: SentenceKind, _variables: Any) -> Spoken | None:
        return self.spoken if kind is SentenceKind.BUSY else None


@pytest.mark.parametrize("hears_it_all", [True, False])
async def test_a_caller_whom_there_is_no_room_for_hears_so_on_the_socket(line: Line, hears_it_all: bool) -> None:
    tone = (np.sin(np.arange(24000) * 2 * np.pi * 440 / 24000) * 8000).astype("<i2")
    spoken = Spoken("Alles belegt.", tone.tobytes(), 24000)
    services = replace(line.server.services, sentences=cast(Any, OneSentence(spoken)))
    line.server.app.state.services = services
    given = await line.ring()
    services.live.release(given["call_id"])
    services.live.max_calls = 0
    heard = b""
    async with line.open_stream() as stream:
        await stream.send(CONNECTED)
        await stream.send(start_message(given))
        async with asyncio.timeout(5):
            while (message := json.loads(await stream.recv()))["event"] == "media":
                assert message["streamSid"] == STREAM_SID
                heard += decode_ulaw(base64.b64decode(message["media"]["payload"])).tobytes()
        assert message["event"] == "mark"
        if hears_it_all:
            await stream.send(json.dumps({"event": "mark", "streamSid": STREAM_SID, "mark": message["mark"]}))
        else:
            await stream.send(json.dumps({"event": "stop", "streamSid": STREAM_SID, "stop": {"callSid": CALL_SID}}))
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(5):
                await stream.wait_closed()
        assert stream.close_code == 1013
    samples = np.frombuffer(heard, dtype="<i2").astype(float)
    assert abs(len(samples) - 8000) <= 24
    assert abs(np.argmax(np.abs(np.fft.rfft(samples))) * 8000 / len(samples) - 440) < 3
    assert (await line.row()).end_reason == "refused_busy"
    assert tags(await line.ask_next()) == (["Hangup"] if hears_it_all else ["Say", "Hangup"])
