"""What Twilio is told after the stream, and what its status callbacks change."""

import asyncio
from dataclasses import replace
from datetime import UTC, datetime

import pytest

from api.phone_calls import PhoneCall
from telephony.next_step import NextStep, transfer_to
from tests.unit.api.wire import (
    CALL_SID,
    CALLER,
    NUMBER,
    PUBLIC_URL,
    STREAM_SID,
    Line,
    away,
    start_message,
    tags,
    verbs,
)
from transcripts.call import EndReason
from transcripts.models import call_of

ACTION = f"{PUBLIC_URL}/twilio/next?agent=front-desk&language=de-DE"
OTHER_STREAM = "MZ" + "7" * 32


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
    assert tags(await line.ask_next()) == expected


async def test_a_transfer_is_dialled_and_its_outcome_told(line: Line) -> None:
    given = await line.ring()
    step = transfer_to("+15551230199").as_json()
    await line.server.services.store.set_next_step(given["call_id"], step)
    await finish(line, EndReason.TRANSFERRED)
    (dial,) = verbs(await line.ask_next())
    assert (dial.tag, dial.get("action"), dial[0].text) == ("Dial", ACTION, "+15551230199")
    assert tags(await line.ask_next(DialCallStatus="completed")) == ["Hangup"]
    missed = await line.ask_next(DialCallStatus="no-answer")
    assert tags(missed) == ["Say", "Hangup"]
    assert "niemand" in missed.text


async def test_a_stored_step_that_makes_no_sense_is_apologised_for(line: Line) -> None:
    given = await line.ring()
    await line.server.services.store.set_next_step(given["call_id"], {"kind": "dance"})
    await finish(line, EndReason.BOT_ENDED)
    assert tags(await line.ask_next()) == ["Say", "Hangup"]


async def test_a_busy_step_is_told(line: Line) -> None:
    given = await line.ring()
    await line.server.services.store.set_next_step(given["call_id"], NextStep("busy").as_json())
    await finish(line, EndReason.REFUSED_BUSY)
    assert "belegt" in (await line.ask_next()).text


async def test_a_call_that_nobody_knows_is_hung_up(line: Line) -> None:
    assert tags(await line.post("/twilio/next", CallSid="CAnever")) == ["Hangup"]
    assert (await line.post("/twilio/status", CallSid="CAnever", CallStatus="completed")).status_code == 204


async def test_a_stream_that_never_came_is_apologised_for(line: Line) -> None:
    await line.ring()
    assert tags(await line.ask_next()) == ["Say", "Hangup"]
    assert (await line.row()).end_reason == "never_connected"


async def test_a_live_call_that_no_process_holds_is_apologised_for(line: Line) -> None:
    given = await line.ring()
    await line.server.services.store.go_live(given["call_id"])
    assert tags(await line.ask_next()) == ["Say", "Hangup"]
    assert (await line.row()).end_reason == "connection_lost"


async def test_a_call_whose_end_waits_for_the_database_has_ended_as_its_process_knows(line: Line) -> None:
    services = line.server.services
    given = await line.ring()
    await services.store.go_live(given["call_id"])
    row = await line.row()
    ended = PhoneCall(call_of(row), services.agents.catalog.agents[0], STREAM_SID, None)
    services.phone_calls.end(ended, EndReason.CALLER_HUNG_UP)
    assert (await line.post("/twilio/status", CallSid=CALL_SID, CallStatus="completed")).status_code == 204
    assert await services.log_writer.flush(5)
    assert (await line.row()).end_reason == "caller_hung_up"


async def test_a_call_that_winds_up_here_is_waited_for(line: Line) -> None:
    line.server.app.state.services = replace(line.server.services, end_grace_secs=5)
    given = await line.ring()
    async with line.open_stream() as stream:
        await stream.send(start_message(given))
        await line.eventually(lambda: len(line.calls.given) == 1)
        asking = asyncio.create_task(line.ask_next(StreamSid=STREAM_SID), name="Twilio asks")
        await asyncio.sleep(0.1)
        line.calls.is_told_to_end.set()
        assert tags(await asking) == ["Hangup"]
    assert await line.ended() == "bot_ended"


async def test_a_stream_that_twilio_says_is_over_ends_the_call_that_did_not_notice(line: Line) -> None:
    given = await line.ring()
    async with line.open_stream() as stream:
        await stream.send(start_message(given))
        await line.eventually(lambda: len(line.calls.given) == 1)
        slot = line.server.services.live.get(given["call_id"])
        assert slot is not None

        def end(reason: EndReason) -> None:
            line.calls.reason = reason
            line.calls.is_told_to_end.set()

        slot.on_end(end)
        answer = await line.ask_next(StreamSid=STREAM_SID)
        assert tags(answer) == ["Say", "Hangup"]
        assert "schiefgegangen" in answer.text
        assert await line.ended() == "connection_lost"


async def test_a_stream_that_was_refused_does_not_end_the_call_that_runs_in_another(line: Line) -> None:
    given = await line.ring()
    again = await line.ring()  # the webhook came twice, and both answers are carried out
    async with line.open_stream() as stream:
        await stream.send(start_message(given))
        await line.eventually(lambda: len(line.calls.given) == 1)
        async with line.open_stream() as second:
            await second.send(start_message(again).replace(STREAM_SID, OTHER_STREAM))
            await second.wait_closed()
            assert second.close_code == 1008
        pause, redirect = verbs(await line.ask_next(StreamSid=OTHER_STREAM))
        assert (pause.tag, pause.get("length"), redirect.tag) == ("Pause", "5", "Redirect")
        # A redirect tells no StreamSid: the address itself says which stream this is about.
        path = str(redirect.text).removeprefix(PUBLIC_URL)
        assert tags(await line.post(path, CallSid=CALL_SID)) == ["Pause", "Redirect"]
        assert (await line.row()).status == "live"
        line.calls.is_told_to_end.set()
        assert await line.ended() == "bot_ended"
        assert tags(await line.post(path, CallSid=CALL_SID)) == ["Hangup"]


async def test_what_the_call_asked_for_is_known_while_the_database_is_away(line: Line) -> None:
    given = await line.ring()
    async with line.open_stream() as stream:
        await stream.send(start_message(given))
        await line.eventually(lambda: len(line.calls.given) == 1)
        services = line.server.services
        step = transfer_to("+15551230199", text="Moment.", language="de-DE")
        services.log_writer.open(given["call_id"]).next_step(step.as_json())
        nowhere = await away()
        line.server.app.state.services = replace(services, store=type(services.store)(nowhere))
        line.calls.is_told_to_end.set()
        answer = await line.ask_next(StreamSid=STREAM_SID)
        await nowhere.close()
    assert tags(answer) == ["Say", "Dial"]
    assert "+15551230199" in answer.text


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


async def test_of_late_repeated_and_disordered_reports_the_first_end_is_kept(line: Line) -> None:
    given = await line.ring()
    async with line.open_stream() as stream:
        await stream.send(start_message(given))
        await line.eventually(lambda: len(line.calls.given) == 1)
        line.calls.is_told_to_end.set()
        assert await line.ended() == "bot_ended"
    ended_at = (await line.row()).ended_at
    for status in ("completed", "ringing", "in-progress", "completed", "initiated", "failed"):
        assert (await line.post("/twilio/status", CallSid=CALL_SID, CallStatus=status)).status_code == 204
    row = await line.row()
    assert (row.status, row.end_reason, row.ended_at) == ("ended", "bot_ended", ended_at)
    assert tags(await line.ask_next()) == tags(await line.ask_next()) == ["Hangup"]


async def test_a_report_that_overtakes_the_answer_ends_the_call_and_its_stream_is_refused(line: Line) -> None:
    given = await line.ring()
    await line.post("/twilio/status", CallSid=CALL_SID, CallStatus="no-answer")
    assert line.server.services.live.count == 0
    async with line.open_stream() as stream:
        await stream.send(start_message(given))
        await stream.wait_closed()
        assert stream.close_code == 1008


LADDER = """
on_failure:
  - model: another-live-model
  - say: Einen Moment, Frau {name} übernimmt.
  - transfer: "+15551230177"
variables: {name: Klee}
"""


def change_agent(line: Line, text: str) -> None:
    file = line.server.settings.agents_dir / "front-desk.yaml"
    file.write_text(file.read_text() + text)


@pytest.mark.parametrize("reason", [EndReason.FAILED, EndReason.CONNECTION_LOST, EndReason.SERVER_CRASHED])
async def test_after_a_failure_the_rest_of_the_ladder_is_twilios(line: Line, reason: EndReason) -> None:
    change_agent(line, LADDER)
    await line.ring()
    await finish(line, reason)
    said, dial = verbs(await line.ask_next())
    assert (said.get("language"), said.text) == ("de-DE", "Einen Moment, Frau Klee übernimmt.")
    assert (dial.tag, dial.get("action"), dial[0].text) == ("Dial", ACTION, "+15551230177")


async def test_while_the_database_is_away_the_ladder_is_known_from_the_address_that_twilio_asks(line: Line) -> None:
    change_agent(line, LADDER)
    await line.ring()
    services, nowhere = line.server.services, await away()
    line.server.app.state.services = replace(services, store=type(services.store)(nowhere))
    known, unknown = await line.ask_next(), await line.post("/twilio/next", CallSid=CALL_SID)
    gone = await line.post("/twilio/next?agent=gone&language=fr-FR", CallSid=CALL_SID)
    ringing = await line.post("/twilio/voice", CallSid="CA" + "3" * 32, To=NUMBER, From=CALLER)
    await nowhere.close()
    assert tags(known) == tags(ringing) == ["Say", "Dial"]
    assert tags(unknown) == tags(gone) == ["Say", "Hangup"]
    assert verbs(unknown)[0].get("language") == "en-US"
    assert verbs(gone)[0].get("language") == "fr-FR"


async def test_that_twilio_was_told_is_written_down_for_other_processes(line: Line) -> None:
    await line.ring()
    await finish(line, EndReason.FAILED)
    first = await line.ask_next()
    await line.server.services.log_writer.flush(5)
    stored = (await line.row()).next_step
    assert stored is not None
    assert stored["kind"] == "apology"
    assert stored["told_at"]
    assert (await line.ask_next()).text == first.text
    assert line.server.services.log_writer.backlog == 0
