"""What Twilio is told after the stream, and what its status callbacks change."""

from datetime import UTC, datetime

import pytest

from telephony.next_step import NextStep, transfer_to
from tests.unit.api.wire import CALL_SID, PUBLIC_URL, Line, start_message, tags, verbs
from transcripts.call import EndReason


async def finish(line: Line, reason: EndReason) -> None:
    await line.server.services.store.finish_call((await line.row()).call_id, reason, ended_at=datetime.now(UTC))


@pytest.mark.parametrize("path", ["/twilio/next", "/twilio/status"])
async def test_both_are_for_twilio_only(line: Line, path: str) -> None:
    assert (await line.post(path, {}, CallSid=CALL_SID, CallStatus="completed")).status_code == 403


@pytest.mark.parametrize(
    ("reason", "expected"),
    [
        (EndReason.BOT_ENDED, ["Hangup"]),
        (EndReason.SILENCE, ["Hangup"]),
        (EndReason.TIME_LIMIT, ["Hangup"]),
        (EndReason.DRAINED, ["Hangup"]),
        (EndReason.FAILED, ["Say", "Hangup"]),
        (EndReason.CONNECTION_LOST, ["Say", "Hangup"]),
        (EndReason.REFUSED_BUSY, ["Say", "Hangup"]),
    ],
)
async def test_what_comes_next_follows_from_why_the_call_ended(
    line: Line, reason: EndReason, expected: list[str]
) -> None:
    await line.ring()
    await finish(line, reason)
    assert tags(await line.post("/twilio/next", CallSid=CALL_SID)) == expected


async def test_a_transfer_is_dialled_and_its_outcome_told(line: Line) -> None:
    given = await line.ring()
    step = transfer_to("+15551230199").as_json()
    await line.server.services.store.set_next_step(given["call_id"], step)
    await finish(line, EndReason.TRANSFERRED)
    (dial,) = verbs(await line.post("/twilio/next", CallSid=CALL_SID))
    assert (dial.tag, dial.get("action"), dial[0].text) == ("Dial", f"{PUBLIC_URL}/twilio/next", "+15551230199")
    assert tags(await line.post("/twilio/next", CallSid=CALL_SID, DialCallStatus="completed")) == ["Hangup"]
    missed = await line.post("/twilio/next", CallSid=CALL_SID, DialCallStatus="no-answer")
    assert tags(missed) == ["Say", "Hangup"]
    assert "niemand" in missed.text


async def test_a_stored_step_that_makes_no_sense_is_apologised_for(line: Line) -> None:
    given = await line.ring()
    await line.server.services.store.set_next_step(given["call_id"], {"kind": "dance"})
    await finish(line, EndReason.BOT_ENDED)
    assert tags(await line.post("/twilio/next", CallSid=CALL_SID)) == ["Say", "Hangup"]


async def test_a_busy_step_is_told(line: Line) -> None:
    given = await line.ring()
    await line.server.services.store.set_next_step(given["call_id"], NextStep("busy").as_json())
    await finish(line, EndReason.REFUSED_BUSY)
    assert "belegt" in (await line.post("/twilio/next", CallSid=CALL_SID)).text


async def test_a_call_that_nobody_knows_is_hung_up(line: Line) -> None:
    assert tags(await line.post("/twilio/next", CallSid="CAnever")) == ["Hangup"]
    assert (await line.post("/twilio/status", CallSid="CAnever", CallStatus="completed")).status_code == 204


async def test_a_stream_that_never_came_is_apologised_for(line: Line) -> None:
    await line.ring()
    assert tags(await line.post("/twilio/next", CallSid=CALL_SID)) == ["Say", "Hangup"]
    assert (await line.row()).end_reason == "never_connected"


async def test_a_live_call_that_no_process_holds_is_apologised_for(line: Line) -> None:
    given = await line.ring()
    await line.server.services.store.go_live(given["call_id"])
    assert tags(await line.post("/twilio/next", CallSid=CALL_SID)) == ["Say", "Hangup"]
    assert (await line.row()).end_reason == "connection_lost"


async def test_a_live_call_that_still_winds_up_here_is_hung_up_and_left_alone(line: Line) -> None:
    given = await line.ring()
    async with line.open_stream() as stream:
        await stream.send(start_message(given))
        await line.eventually(lambda: len(line.calls.given) == 1)
        assert tags(await line.post("/twilio/next", CallSid=CALL_SID)) == ["Hangup"]
        await line.post("/twilio/status", CallSid=CALL_SID, CallStatus="completed")
        assert (await line.row()).status == "live"
        line.calls.is_told_to_end.set()
        assert await line.ended() == "bot_ended"


async def test_a_live_call_that_does_not_notice_its_end_is_told(line: Line) -> None:
    given = await line.ring()
    async with line.open_stream() as stream:
        await stream.send(start_message(given))
        await line.eventually(lambda: len(line.calls.given) == 1)
        slot = line.server.services.live.get(given["call_id"])
        assert slot is not None
        told: list[EndReason] = []
        slot.on_end(told.append)
        await line.post("/twilio/status", CallSid=CALL_SID, CallStatus="completed")
        assert told == [EndReason.CALLER_HUNG_UP]
        line.calls.is_told_to_end.set()


@pytest.mark.parametrize("status", ["completed", "busy", "failed", "no-answer", "canceled"])
async def test_a_call_that_ends_while_it_rings_never_connected(line: Line, status: str) -> None:
    await line.ring()
    assert (await line.post("/twilio/status", CallSid=CALL_SID, CallStatus=status)).status_code == 204
    assert (await line.row()).end_reason == "never_connected"


@pytest.mark.parametrize("status", ["queued", "initiated", "ringing", "in-progress", "answered"])
async def test_a_call_that_goes_on_is_left_alone(line: Line, status: str) -> None:
    await line.ring()
    assert (await line.post("/twilio/status", CallSid=CALL_SID, CallStatus=status)).status_code == 204
    assert (await line.row()).status == "ringing"


async def test_a_live_call_whose_process_died_lost_its_connection(line: Line) -> None:
    given = await line.ring()
    await line.server.services.store.go_live(given["call_id"])
    await line.post("/twilio/status", CallSid=CALL_SID, CallStatus="completed")
    assert (await line.row()).end_reason == "connection_lost"


async def test_the_first_reason_stands_whatever_twilio_says_later(line: Line) -> None:
    await line.ring()
    await finish(line, EndReason.BOT_ENDED)
    for _ in range(2):
        await line.post("/twilio/status", CallSid=CALL_SID, CallStatus="failed")
    assert (await line.row()).end_reason == "bot_ended"
