"""Inbound calls at the stand-in Twilio: signed webhooks, TwiML carried out, callbacks, failures."""

import asyncio
from collections.abc import AsyncGenerator
from itertools import pairwise

import pytest
import pytest_asyncio

from simulators.call_setup import DialOutcome
from simulators.caller import CallOver
from simulators.simulated_call import APPLICATION_ERROR
from simulators.twilio import TwilioSimulator
from tests.unit.simulators.toy_server import AUTH_TOKEN, ToyServer, ToyStream, serve_toy

pytestmark = pytest.mark.asyncio(loop_scope="module")

DIAL = {"to": "+15551230100", "from_": "+15557654321"}


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def server() -> AsyncGenerator[ToyServer]:
    async with serve_toy() as toy:
        yield toy


@pytest.fixture
def toy(server: ToyServer) -> ToyServer:
    server.forget()
    return server


@pytest_asyncio.fixture(loop_scope="module")
async def twilio() -> AsyncGenerator[TwilioSimulator]:
    async with TwilioSimulator(auth_token=AUTH_TOKEN) as simulator:
        yield simulator


async def test_the_webhook_is_signed_and_complete(toy: ToyServer, twilio: TwilioSimulator) -> None:
    for method in ("POST", "GET"):
        call = await twilio.dial(voice_url=f"{toy.base_url}/voice?agent=a%20b", voice_method=method, **DIAL)
        await call.ended()
    posted, got = toy.webhooks
    for webhook, call in zip((posted, got), twilio.calls.values(), strict=True):
        assert webhook.is_genuine
        expected = {
            "CallSid": call.sid,
            "AccountSid": twilio.account_sid,
            "From": "+15557654321",
            "To": "+15551230100",
            "Caller": "+15557654321",
            "Called": "+15551230100",
            "CallStatus": "ringing",
            "Direction": "inbound",
            "ApiVersion": "2010-04-01",
            "FromCity": "",
            "agent": "a b",
        }
        assert expected.items() <= webhook.form.items()
        assert webhook.headers["user-agent"] == "TwilioProxy/1.1"
    tokens = [webhook.headers["i-twilio-idempotency-token"] for webhook in toy.webhooks]
    assert len(set(tokens)) == 2


async def test_a_server_with_another_public_name_gets_that_name_signed(twilio: TwilioSimulator) -> None:
    async with serve_toy(public_url="https://voice.example.com") as toy:
        toy.answers["/voice"] = "<Response><Redirect>https://voice.example.com/other</Redirect></Response>"
        call = await twilio.dial(voice_url=f"{toy.base_url}/voice", public_base_url="https://voice.example.com", **DIAL)
        await call.ended()
        toy.answers["/voice"] = "<Response/>"
        await (await twilio.dial(voice_url=f"{toy.base_url}/voice", **DIAL)).ended()
    assert [webhook.is_genuine for webhook in toy.webhooks[:3]] == [True, True, False]


async def test_the_action_of_connect_is_asked_when_the_server_closes(toy: ToyServer, twilio: TwilioSimulator) -> None:
    async def close_soon(stream: ToyStream) -> None:
        await stream.read("media")

    toy.on_stream = close_soon
    toy.answers["/voice"] = toy.connect(attributes='action="/next"')
    toy.answers["/next"] = "<Response><Say>Goodbye</Say><Hangup/><Say>never</Say></Response>"
    call = await twilio.dial(voice_url=f"{toy.base_url}/voice", status_callback=f"{toy.base_url}/status", **DIAL)
    outcome = await call.ended()
    assert (outcome.status, outcome.ended_by, outcome.errors) == ("completed", "server", [])
    assert [verb[1] for verb in outcome.verbs] == ["Connect", "Say", "Hangup"]
    assert all(earlier[0] <= later[0] for earlier, later in pairwise(outcome.verbs))
    after = toy.posted("/next")[0]
    assert (after["CallStatus"], after["StreamSid"]) == ("in-progress", toy.streams[0].stream_sid)
    assert toy.posted("/status")[0]["CallStatus"] == "completed"
    assert [(answer.status, answer.url) for answer in call.twiml_log] == [
        (200, f"{toy.base_url}/voice"),
        (200, f"{toy.base_url}/next"),
    ]


async def test_no_action_after_the_caller_hangs_up_but_a_completed_callback(
    toy: ToyServer, twilio: TwilioSimulator
) -> None:
    toy.answers["/voice"] = toy.connect(attributes='action="/next"')
    call = await twilio.dial(
        voice_url=f"{toy.base_url}/voice",
        status_callback=f"{toy.base_url}/status",
        status_events=("initiated", "ringing", "answered", "completed"),
        **DIAL,
    )
    await call.connected()
    await call.hang_up()
    outcome = await call.ended()
    assert (outcome.status, outcome.ended_by) == ("completed", "caller")
    assert toy.posted("/next") == []
    assert [form["CallStatus"] for form in toy.posted("/status")] == ["in-progress", "completed"]
    assert [form["SequenceNumber"] for form in toy.posted("/status")] == ["0", "1"]


@pytest.mark.parametrize(("status", "answered"), [("completed", True), ("busy", False), ("no-answer", False)])
async def test_dial_tells_its_action_how_it_went(
    toy: ToyServer, twilio: TwilioSimulator, status: str, answered: bool
) -> None:
    toy.answers["/voice"] = (
        '<Response><Dial callerId="+15551230100" action="/after"><Number>+15550001111</Number></Dial></Response>'
    )
    toy.answers["/after"] = "<Response><Hangup/></Response>"
    outcome = DialOutcome(status=status)  # type: ignore[arg-type]
    call = await twilio.dial(voice_url=f"{toy.base_url}/voice", dial_outcome=outcome, **DIAL)
    ended = await call.ended()
    assert [verb[1:] for verb in ended.verbs] == [("Dial", "+15550001111"), ("Hangup", "")]
    after = toy.posted("/after")[0]
    assert after["DialCallStatus"] == status
    assert ("DialCallDuration" in after) is answered


async def test_gather_collects_keys(toy: ToyServer, twilio: TwilioSimulator) -> None:
    toy.answers["/voice"] = (
        '<Response><Gather numDigits="3" action="/digits"><Say>Which one?</Say></Gather><Say>Nothing</Say></Response>'
    )
    call = await twilio.dial(voice_url=f"{toy.base_url}/voice", **DIAL)
    await call.press("42#")
    await call.ended()
    assert toy.posted("/digits")[0]["Digits"] == "42"
    toy.answers["/voice"] = '<Response><Gather timeout="0.1"/><Say>Nothing</Say></Response>'
    call = await twilio.dial(voice_url=f"{toy.base_url}/voice", **DIAL)
    assert (await call.ended()).verbs[-1][1:] == ("Say", "Nothing")


async def test_reject_pause_play_and_redirect(toy: ToyServer, twilio: TwilioSimulator) -> None:
    toy.answers["/voice"] = '<Response><Reject reason="busy"/></Response>'
    call = await twilio.dial(voice_url=f"{toy.base_url}/voice", status_callback=f"{toy.base_url}/status", **DIAL)
    outcome = await call.ended()
    assert (outcome.status, outcome.duration_ms) == ("busy", 0)
    assert toy.posted("/status")[0]["CallStatus"] == "busy"
    toy.answers["/voice"] = (
        '<Response><Pause length="0.2"/><Play>/beep.wav</Play><Play digits="1"/>'
        '<Redirect method="GET">/b?x=1</Redirect></Response>'
    )
    call = await twilio.dial(voice_url=f"{toy.base_url}/voice", **DIAL)
    outcome = await call.ended()
    assert [verb[1:] for verb in outcome.verbs] == [
        ("Pause", "0.2"),
        ("Play", "/beep.wav"),
        ("Play", "1"),
        ("Redirect", "/b?x=1"),
    ]
    assert 450 <= outcome.duration_ms < 1000
    assert toy.posted("/b")[0]["CallSid"] == call.sid


async def test_failures_turn_to_the_fallback_and_then_end_the_call(toy: ToyServer, twilio: TwilioSimulator) -> None:
    toy.answers |= {"/voice": 500, "/fallback": "<Response><Say>Call again later</Say></Response>"}
    call = await twilio.dial(voice_url=f"{toy.base_url}/voice", fallback_url=f"{toy.base_url}/fallback", **DIAL)
    outcome = await call.ended()
    assert (outcome.status, [error.code for error in outcome.errors]) == ("completed", [11200])
    assert outcome.verbs[-1][1:] == ("Say", "Call again later")
    fallback = toy.posted("/fallback")[0]
    assert (fallback["ErrorCode"], fallback["ErrorUrl"]) == ("11200", f"{toy.base_url}/voice")
    bad: dict[str | int, int] = {
        500: 11200,
        "<Response>": 12100,
        "<Reply/>": 12100,
        "<Response><Dance/></Response>": 12200,
        "<Response><Connect/></Response>": 12200,
        '<Response><Connect><Stream url="https://x.example/s"/></Connect></Response>': 31922,
        '<Response><Connect><Stream url="ws://x.example/s"/></Connect></Response>': 31922,
    }
    for answer, code in bad.items():
        toy.answers["/voice"] = answer
        call = await twilio.dial(voice_url=f"{toy.base_url}/voice", **DIAL)
        outcome = await call.ended()
        assert (outcome.status, outcome.ended_by) == ("failed", "error")
        assert [error.code for error in outcome.errors] == [code], answer
        assert outcome.verbs[-1][1:] == ("Say", APPLICATION_ERROR)


async def test_a_server_that_does_not_answer(twilio: TwilioSimulator) -> None:
    with pytest.raises(CallOver, match="11200"):
        await (await twilio.dial(voice_url="http://127.0.0.1:9/voice", **DIAL)).connected()

    async def wait_for_the_end(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()
        writer.close()

    silent = await asyncio.start_server(wait_for_the_end, "127.0.0.1", 0)
    port = silent.sockets[0].getsockname()[1]
    async with silent, TwilioSimulator(webhook_timeout_secs=0.2) as impatient:
        outcome = await (await impatient.dial(voice_url=f"http://127.0.0.1:{port}/voice", **DIAL)).ended()
    assert [error.code for error in outcome.errors] == [11205]


async def test_a_stream_closed_with_an_error_is_in_the_log(toy: ToyServer, twilio: TwilioSimulator) -> None:
    async def refuse(stream: ToyStream) -> None:
        await stream.read("start")
        await stream.websocket.close(1008, "wrong token")

    toy.on_stream = refuse
    toy.answers["/voice"] = toy.connect(attributes='action="/next"')
    call = await twilio.dial(voice_url=f"{toy.base_url}/voice", **DIAL)
    outcome = await call.ended()
    assert [(error.code, error.message) for error in outcome.errors] == [
        (31921, "the server closed with 1008 wrong token")
    ]
    assert toy.posted("/next")[0]["StreamErrorCode"] == "31921"


async def test_leaving_the_simulator_ends_its_calls(toy: ToyServer) -> None:
    toy.answers["/voice"] = toy.connect()
    async with TwilioSimulator(auth_token=AUTH_TOKEN) as twilio:
        call = await twilio.dial(voice_url=f"{toy.base_url}/voice", **DIAL)
        await call.connected()
    assert call.outcome is not None
    assert call.outcome.ended_by == "server"
    assert toy.streams[0].received[-1]["event"] == "stop"
