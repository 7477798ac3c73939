"""Conferences and `<Gather>` at the stand-in Twilio, as Twilio documents them."""

import asyncio
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest
import pytest_asyncio
from twilio.rest import Client

from simulators.call_setup import AnswerPolicy
from simulators.simulated_call import SimulatedCall
from simulators.twilio import TwilioSimulator
from simulators.twiml_player import TwimlError, parse_twiml
from tests.unit.simulators.test_twilio_rest import LoopbackHttp
from tests.unit.simulators.toy_server import AUTH_TOKEN, ToyServer, serve_toy

pytestmark = pytest.mark.asyncio(loop_scope="module")

HUMAN, OTHER = "+15550002222", "+15550003333"
ALL_EVENTS = 'statusCallback="/conference" statusCallbackEvent="start end join leave"'


def room(attributes: str = "", name: str = "room-1", dial: str = "") -> str:
    return f"<Response><Dial {dial}><Conference {attributes}>{name}</Conference></Dial></Response>"


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


@asynccontextmanager
async def sdk_client(twilio: TwilioSimulator) -> AsyncGenerator[Client]:
    http = LoopbackHttp(twilio.base_url)
    yield Client(twilio.account_sid, AUTH_TOKEN, http_client=http)
    await http.close()


async def until(is_so: Callable[[], Any]) -> None:
    async with asyncio.timeout(5):
        while not is_so():  # noqa: ASYNC110 - what Twilio does on its own has no event here
            await asyncio.sleep(0.01)


async def ring(toy: ToyServer, twilio: TwilioSimulator, from_: str = "+15557654321") -> SimulatedCall:
    return await twilio.dial(to="+15551230100", from_=from_, voice_url=f"{toy.base_url}/voice")


async def test_two_who_join_one_room_hear_each_other_and_the_server_is_told(
    toy: ToyServer, twilio: TwilioSimulator
) -> None:
    toy.answers["/voice"] = room(f'{ALL_EVENTS} beep="false" endConferenceOnExit="true"', dial='action="/after"')
    toy.answers["/after"] = "<Response/>"
    first = await ring(toy, twilio)
    await until(lambda: twilio.rooms.find("room-1"))
    conference = twilio.rooms.history[0]
    assert conference.status == "init", "one participant alone has no conference yet"
    second = await ring(toy, twilio, "+15557654322")
    await until(lambda: conference.status == "in-progress")
    one, two = conference.participants
    assert (one.heard, two.heard) == ({second.sid}, {first.sid})
    await second.hang_up()
    outcome = await first.ended()
    assert (outcome.status, outcome.ended_by) == ("completed", "server")
    assert conference.ended_because == "participant-with-end-conference-on-exit-left"
    await until(lambda: len(toy.posted("/conference")) == 6)
    told = [(form["StatusCallbackEvent"], form.get("CallSid")) for form in toy.posted("/conference")]
    assert told == [
        ("participant-join", first.sid),
        ("participant-join", second.sid),
        ("conference-start", None),
        ("participant-leave", second.sid),
        ("conference-end", None),
        ("participant-leave", first.sid),
    ]
    assert {form["ConferenceSid"] for form in toy.posted("/conference")} == {conference.sid}
    assert [form["SequenceNumber"] for form in toy.posted("/conference")] == list("123456")
    assert all(webhook.is_genuine for webhook in toy.webhooks)
    assert toy.posted("/after")[0]["DialCallStatus"] == "answered"


async def test_a_room_without_that_rule_ends_with_its_last_participant(toy: ToyServer, twilio: TwilioSimulator) -> None:
    toy.answers["/voice"] = room()
    first, second = await ring(toy, twilio), await ring(toy, twilio)
    await until(lambda: len(twilio.rooms.history) == 1 and len(twilio.rooms.history[0].present) == 2)
    await second.hang_up()
    conference = twilio.rooms.history[0]
    assert [one.call_sid for one in conference.present] == [first.sid]
    await first.hang_up()
    assert (conference.status, conference.ended_because) == ("completed", "last-participant-left")


async def test_whoever_comes_when_it_is_over_is_in_another_conference_of_that_name(
    toy: ToyServer, twilio: TwilioSimulator
) -> None:
    toy.answers["/voice"] = room('endConferenceOnExit="true"')
    first = await ring(toy, twilio)
    await until(lambda: twilio.rooms.find("room-1"))
    await first.hang_up()
    await ring(toy, twilio)
    await until(lambda: len(twilio.rooms.history) == 2)
    assert [one.status for one in twilio.rooms.history] == ["completed", "init"]


async def test_rest_takes_somebody_out_of_a_room(toy: ToyServer, twilio: TwilioSimulator) -> None:
    toy.answers["/voice"] = room()
    call = await ring(toy, twilio)
    await until(lambda: twilio.rooms.find("room-1"))
    async with sdk_client(twilio) as client:
        await client.calls(call.sid).update_async(twiml="<Response><Say>Goodbye</Say></Response>")
    assert (await call.ended()).verbs[-1][1:] == ("Say", "Goodbye")
    assert twilio.rooms.history[0].status == "completed"


@pytest.mark.parametrize(
    ("replies", "told"),
    [
        (("1",), {"Digits": "1"}),
        (("yes please",), {"SpeechResult": "yes please", "Confidence": "0.9"}),
        (("",), None),
    ],
)
async def test_gather_takes_keys_or_words_or_falls_through(
    toy: ToyServer, twilio: TwilioSimulator, replies: tuple[str, ...], told: dict[str, str] | None
) -> None:
    toy.answers["/voice"] = (
        '<Response><Gather input="dtmf speech" numDigits="1" timeout="0.2" action="/reply" hints="yes, no" '
        'language="en-US"><Say>Well?</Say></Gather><Say>Nothing</Say></Response>'
    )
    toy.answers["/reply"] = "<Response/>"
    twilio.answer_policy = AnswerPolicy(replies=replies, reply_after_ms=50)
    async with sdk_client(twilio) as client:
        await client.calls.create_async(to=HUMAN, from_="+15551230100", url=f"{toy.base_url}/voice")
    outcome = await (await twilio.next_placed()).ended()
    if told is None:
        assert toy.posted("/reply") == []
        assert outcome.verbs[-1][1:] == ("Say", "Nothing")
    else:
        form = toy.posted("/reply")[0]
        assert told.items() <= form.items()
        assert not ({"Digits", "SpeechResult"} - set(told)) & set(form)


async def test_words_say_nothing_to_a_gather_for_keys_and_an_empty_result_is_told_when_asked_for(
    toy: ToyServer, twilio: TwilioSimulator
) -> None:
    toy.answers["/voice"] = '<Response><Gather timeout="0.2" actionOnEmptyResult="true" action="/reply"/></Response>'
    toy.answers["/reply"] = "<Response/>"
    call = await ring(toy, twilio)
    call.speak_words("yes")
    await call.ended()
    assert toy.posted("/reply")[0]["Digits"] == ""


async def test_each_person_is_as_the_test_chose_for_his_number(toy: ToyServer, twilio: TwilioSimulator) -> None:
    toy.answers["/voice"] = '<Response><Gather numDigits="1" timeout="0.2" action="/reply"/></Response>'
    toy.answers["/reply"] = "<Response/>"
    people = {HUMAN: AnswerPolicy("busy"), OTHER: AnswerPolicy(replies=("2",), reply_after_ms=10)}
    twilio.answer_policy = lambda setup: people[setup.to]
    async with sdk_client(twilio) as client:
        for number in people:
            await client.calls.create_async(to=number, from_="+15551230100", url=f"{toy.base_url}/voice")
    assert (await (await twilio.next_placed()).ended()).status == "busy"
    assert (await (await twilio.next_placed()).ended()).status == "completed"
    assert toy.posted("/reply")[0]["Digits"] == "2"


@pytest.mark.parametrize(
    "twiml",
    [
        room(name=""),
        room('statusCallbackEvent="talk"'),
        room('beep="loud"'),
        "<Response><Dial><Conference>a</Conference><Number>+15550001111</Number></Dial></Response>",
        '<Response><Gather input="telepathy"/></Response>',
    ],
)
async def test_what_twilio_would_not_take(twiml: str) -> None:
    with pytest.raises(TwimlError) as caught:
        parse_twiml(twiml)
    assert caught.value.code == 12200
