"""The stand-in's REST API, driven by the unmodified Twilio SDK with only its host rewritten."""

import asyncio
from base64 import b64encode
from collections.abc import AsyncGenerator
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import httpx
import pytest
import pytest_asyncio
from twilio.base.exceptions import TwilioRestException
from twilio.http.async_http_client import AsyncTwilioHttpClient
from twilio.rest import Client

from simulators.call_setup import AnswerPolicy
from simulators.twilio import TwilioSimulator
from tests.unit.simulators.toy_server import AUTH_TOKEN, ToyServer, serve_toy

pytestmark = pytest.mark.asyncio(loop_scope="module")

PEOPLE = {"to": "+15557654321", "from_": "+15551230100"}


class LoopbackHttp(AsyncTwilioHttpClient):
    """The SDK's client, sending to the stand-in."""

    def __init__(self, base_url: str) -> None:
        super().__init__()
        self._base = urlsplit(base_url)

    async def request(self, method: str, url: str, *args: Any, auth: Any = None, **kwargs: Any) -> Any:
        asked = urlsplit(url)
        rewritten = urlunsplit((self._base.scheme, self._base.netloc, asked.path, asked.query, ""))
        # Handed on as a header: the SDK's own way of passing `auth` is deprecated by aiohttp.
        headers = dict(kwargs.pop("headers", None) or {})
        if auth is not None:
            headers["Authorization"] = "Basic " + b64encode(":".join(auth).encode()).decode()
        return await super().request(method, rewritten, *args, headers=headers, **kwargs)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def server() -> AsyncGenerator[ToyServer]:
    async with serve_toy() as toy:
        yield toy


@pytest.fixture
def toy(server: ToyServer) -> ToyServer:
    server.forget()
    server.answers["/voice"] = "<Response><Pause length='30'/></Response>"
    return server


@pytest_asyncio.fixture(loop_scope="module")
async def twilio() -> AsyncGenerator[TwilioSimulator]:
    async with TwilioSimulator(auth_token=AUTH_TOKEN, api_keys={"SKtest": "key-secret"}) as simulator:
        yield simulator


@pytest_asyncio.fixture(loop_scope="module")
async def client(twilio: TwilioSimulator) -> AsyncGenerator[Client]:
    http = LoopbackHttp(twilio.base_url)
    yield Client(twilio.account_sid, AUTH_TOKEN, http_client=http)
    await http.close()


CALLED = "+15551230177"


async def test_a_placed_call_rings_is_answered_and_asks_for_twiml(
    twilio: TwilioSimulator, client: Client, toy: ToyServer
) -> None:
    toy.answers["/voice"] = "<Response><Say>Hello there</Say></Response>"
    placed = await client.calls.create_async(
        url=f"{toy.base_url}/voice?call_id=7",
        status_callback=f"{toy.base_url}/status",
        status_callback_event=["initiated", "ringing", "answered", "completed"],
        **PEOPLE,
    )
    assert placed.status == "queued"
    assert placed.direction == "outbound-api"
    call = await twilio.next_placed()
    assert call.sid == placed.sid
    outcome = await call.ended()
    assert (outcome.status, outcome.ended_by) == ("completed", "server")
    assert [verb[1:] for verb in outcome.verbs] == [("Say", "Hello there")]
    asked = toy.posted("/voice")[0]
    assert (asked["CallStatus"], asked["Direction"], asked["call_id"]) == ("in-progress", "outbound-api", "7")
    told = toy.posted("/status")
    assert [form["CallStatus"] for form in told] == ["queued", "ringing", "in-progress", "completed"]
    assert [form["SequenceNumber"] for form in told] == ["0", "1", "2", "3"]
    assert int(told[-1]["CallDuration"]) >= 0
    fetched = await client.calls(placed.sid).fetch_async()
    assert fetched.status == "completed"
    assert fetched.start_time is not None
    assert fetched.duration == told[-1]["CallDuration"]


@pytest.mark.parametrize("outcome", ["busy", "no-answer", "failed"])
async def test_a_call_that_nobody_answers(
    twilio: TwilioSimulator, client: Client, toy: ToyServer, outcome: Any
) -> None:
    twilio.answer_policy = AnswerPolicy(outcome=outcome)
    await client.calls.create_async(url=f"{toy.base_url}/voice", status_callback=f"{toy.base_url}/status", **PEOPLE)
    ended = await (await twilio.next_placed()).ended()
    assert (ended.status, ended.duration_ms) == (outcome, 0)
    assert [form["CallStatus"] for form in toy.posted("/status")] == [outcome]
    assert toy.posted("/voice") == []


async def test_machine_detection_tells_the_webhook_or_a_callback(
    twilio: TwilioSimulator, client: Client, toy: ToyServer
) -> None:
    twilio.answer_policy = AnswerPolicy(answered_by="machine_start")
    toy.answers["/voice"] = "<Response><Pause length='0.3'/></Response>"
    await client.calls.create_async(url=f"{toy.base_url}/voice", machine_detection="Enable", **PEOPLE)
    await (await twilio.next_placed()).ended()
    assert toy.posted("/voice")[0]["AnsweredBy"] == "machine_start"
    await client.calls.create_async(
        url=f"{toy.base_url}/voice",
        machine_detection="Enable",
        async_amd="true",
        async_amd_status_callback=f"{toy.base_url}/amd",
        **PEOPLE,
    )
    await (await twilio.next_placed()).ended()
    assert "AnsweredBy" not in toy.posted("/voice")[1]
    assert [form["AnsweredBy"] for form in toy.posted("/amd")] == ["machine_start"]


async def test_a_live_call_is_redirected_and_ended_by_update(
    twilio: TwilioSimulator, client: Client, toy: ToyServer
) -> None:
    toy.answers["/voice"] = toy.connect(attributes='action="/next"')
    toy.answers["/other"] = "<Response><Pause length='30'/></Response>"
    call = await twilio.dial(to="+15551230100", from_="+15557654321", voice_url=f"{toy.base_url}/voice")
    await call.connected()
    await client.calls(call.sid).update_async(
        twiml="<Response><Say>One moment</Say><Redirect>/other</Redirect></Response>"
    )
    await call.caller.over.wait()
    assert (await client.calls(call.sid).update_async(url=f"{toy.base_url}/other")).status == "in-progress"
    assert (await client.calls(call.sid).update_async(status="completed")).status == "completed"
    outcome = await call.ended()
    assert (outcome.status, outcome.ended_by) == ("completed", "server")
    assert toy.streams[0].received[-1]["event"] == "stop"
    assert toy.posted("/next") == [], "an interrupted <Connect> does not ask its action"
    assert ("Say", "One moment") in [verb[1:] for verb in outcome.verbs]
    with pytest.raises(TwilioRestException) as refused:
        await client.calls(call.sid).update_async(status="completed")
    assert (refused.value.status, refused.value.code) == (404, 20404)
    with pytest.raises(TwilioRestException) as refused:
        await client.calls(call.sid).update_async(twiml="<Response/>")
    assert (refused.value.status, refused.value.code) == (400, 21220)


async def test_a_ringing_call_can_be_canceled(twilio: TwilioSimulator, client: Client, toy: ToyServer) -> None:
    twilio.answer_policy = AnswerPolicy(after_ms=5000)
    placed = await client.calls.create_async(url=f"{toy.base_url}/voice", **PEOPLE)
    await client.calls(placed.sid).update_async(status="canceled")
    outcome = await twilio.calls[placed.sid].ended()
    assert (outcome.status, outcome.ended_by) == ("canceled", "server")
    assert toy.webhooks == []


async def test_calls_are_listed_newest_first_filtered_and_paged(
    twilio: TwilioSimulator, client: Client, toy: ToyServer
) -> None:
    for last in range(3):
        await client.calls.create_async(twiml="<Response/>", to=f"+1555000000{last}", from_=PEOPLE["from_"])
        await (await twilio.next_placed()).ended()
    live = await client.calls.create_async(url=f"{toy.base_url}/voice", to="+15550000009", from_="+15551230999")
    listed = await client.calls.list_async()
    assert [call.to for call in listed] == ["+15550000009", "+15550000002", "+15550000001", "+15550000000"]
    assert [call.to for call in await client.calls.list_async(to="+15550000001")] == ["+15550000001"]
    assert len(await client.calls.list_async(status="completed")) == 3
    assert [call.sid for call in await client.calls.list_async(from_="+15551230999")] == [live.sid]
    now = datetime.now(UTC)
    assert len(await client.calls.list_async(start_time_after=now - timedelta(minutes=1))) == 4
    assert await client.calls.list_async(start_time_after=now + timedelta(minutes=1)) == []
    assert await client.calls.list_async(start_time_before=now - timedelta(minutes=1)) == []
    assert len(await client.calls.list_async(page_size=2)) == 4


async def test_numbers_are_configured_and_then_serve_calls(
    twilio: TwilioSimulator, client: Client, toy: ToyServer
) -> None:
    toy.answers["/voice"] = "<Response><Say>Hi</Say></Response>"
    twilio.add_number("+15551230100", VoiceUrl="http://127.0.0.1:1/old")
    number = (await client.incoming_phone_numbers.list_async(phone_number="+15551230100"))[0]
    assert number.voice_url == "http://127.0.0.1:1/old"
    changed = await client.incoming_phone_numbers(number.sid).update_async(
        voice_url=f"{toy.base_url}/voice", status_callback=f"{toy.base_url}/status", status_callback_method="POST"
    )
    assert changed.voice_url == f"{toy.base_url}/voice"
    assert (await client.incoming_phone_numbers(number.sid).fetch_async()).voice_url == changed.voice_url
    call = await twilio.dial(to="+15551230100", from_="+15557654321")
    assert (await call.ended()).status == "completed"
    assert [form["CallStatus"] for form in toy.posted("/status")] == ["completed"]


async def test_recordings_and_messages(twilio: TwilioSimulator, client: Client, toy: ToyServer) -> None:
    call = await twilio.dial(to="+15551230100", from_="+15557654321", voice_url=f"{toy.base_url}/voice")
    with pytest.raises(TwilioRestException) as refused:
        await client.calls(call.sid).recordings.create_async(recording_channels="dual")
    assert refused.value.code == 21220
    async with asyncio.timeout(5):
        while call.status != "in-progress":  # noqa: ASYNC110 - a plain attribute, as REST shows it
            await asyncio.sleep(0.01)
    recording = await client.calls(call.sid).recordings.create_async(recording_channels="dual")
    assert recording.status == "in-progress"
    assert recording.channels == 2
    await call.hang_up()
    message = await client.messages.create_async(to="+15557654321", from_="+15551230100", body="See you on Tuesday.")
    assert message.status == "queued"
    assert twilio.account.messages[0]["body"] == "See you on Tuesday."


async def test_parameters_that_the_sdk_would_not_send_are_refused(twilio: TwilioSimulator, toy: ToyServer) -> None:
    root = f"{twilio.base_url}/2010-04-01/Accounts/{twilio.account_sid}"
    form = {"To": "+15557654321", "From": "+15551230100", "Twiml": "<Response/>"}
    async with httpx.AsyncClient(auth=(twilio.account_sid, AUTH_TOKEN), trust_env=False) as http:
        refused = await http.post(f"{root}/Calls.json", data={**form, "StatusCallBack": "http://127.0.0.1/"})
        assert refused.status_code == 400
        assert refused.json()["code"] == 20001
        assert "StatusCallBack" in refused.json()["message"]
        assert twilio.calls == {}
        refused = await http.get(f"{root}/Calls.json", params={"Staus": "completed"})
        assert (refused.status_code, "Staus" in refused.json()["message"]) == (400, True)
        repeated = await http.post(
            f"{root}/Calls.json", data={**form, "StatusCallbackEvent": ["answered", "completed"]}
        )
        assert repeated.status_code == 201
        call = await twilio.next_placed()
        assert call.setup.status_events == {"answered", "completed"}
        await call.ended()
        refused = await http.post(f"{root}/Calls/{call.sid}.json", data={"To": "+1"})
        assert (refused.status_code, "To" in refused.json()["message"]) == (400, True)


async def test_wrong_credentials_and_unknown_things_answer_as_twilio_does(twilio: TwilioSimulator) -> None:
    root = f"{twilio.base_url}/2010-04-01/Accounts/{twilio.account_sid}"
    async with httpx.AsyncClient(trust_env=False) as http:
        for auth in (None, (twilio.account_sid, "wrong"), ("SKtest", "wrong"), ("nobody", "")):
            answer = await http.get(f"{root}/Calls.json", auth=auth)
            assert answer.status_code == 401
            assert answer.json() == {
                "code": 20003,
                "message": "Authenticate",
                "more_info": "https://www.twilio.com/docs/errors/20003",
                "status": 401,
            }
        assert (await http.get(f"{root}/Calls.json", auth=("SKtest", "key-secret"))).status_code == 200
        for path in ("Calls/CA0.json", "IncomingPhoneNumbers/PN0.json", "Conferences.json"):
            answer = await http.get(f"{root}/{path}", auth=(twilio.account_sid, AUTH_TOKEN))
            assert (answer.status_code, answer.json()["code"]) == (404, 20404)
        for form, code in (
            ({}, 21201),
            ({"To": CALLED}, 21213),
            ({"To": "5551230100", "From": "+2"}, 21211),
            ({"To": CALLED, "From": "+2"}, 21205),
        ):
            answer = await http.post(f"{root}/Calls.json", data=form, auth=(twilio.account_sid, AUTH_TOKEN))
            assert (answer.status_code, answer.json()["code"]) == (400, code)
