"""What nobody should send, sent in the middle of a real call: the call goes on, or ends with one clear answer."""

import asyncio
import base64
import json
from collections.abc import Generator, Sequence
from xml.etree.ElementTree import fromstring

import numpy as np
import pytest
from loguru import logger
from websockets.asyncio.client import connect
from websockets.exceptions import InvalidStatus

from simulators.media_socket import Line

HOURS = (
    "On Monday we are open from nine to five. You can reach us by phone all day, "
    "and we keep a few places free every morning for urgent cases."
)
SUNDAY = ["And are you open on Sunday?", "I am sorry, on Sunday we are closed."]
QUIET = base64.b64encode(b"\xff" * 160).decode()


@pytest.fixture
def log_messages() -> Generator[list[str]]:
    """Warnings and errors of the server, each with its fields."""
    lines: list[str] = []
    sink = logger.add(lines.append, level="WARNING", format="{message} {extra}")
    yield lines
    logger.remove(sink)


def bad_messages(stream_sid: str) -> list[str]:
    """Everything that is wrong in its own way, each once."""

    def message(event: str, **fields: object) -> str:
        return json.dumps({"event": event, "streamSid": stream_sid, **fields})

    return [
        "hello",
        "",
        "[]",
        "[" * 30_000,
        json.dumps({"streamSid": stream_sid}),
        message("media"),
        message("media", media={"payload": "****", "timestamp": "0"}),
        message("media", media={"payload": QUIET}),
        message("media", media={"payload": QUIET, "timestamp": "soon"}),
        message("media", streamSid="MZ" + "9" * 32, media={"payload": QUIET, "timestamp": "0"}),
        json.dumps({"event": "media", "media": {"payload": QUIET, "timestamp": "0"}}),
        message("dtmf", dtmf={"digit": "seven"}),
        message("mark"),
        message("stop", streamSid="MZ" + "9" * 32),
        json.dumps({"event": "connected", "protocol": "Call", "version": "1.0.0"}),
        message(
            "start",
            start={
                "callSid": "CA" + "9" * 32,
                "accountSid": "AC1",
                "mediaFormat": {"encoding": "audio/x-mulaw", "sampleRate": 8000, "channels": 1},
            },
        ),
    ]


async def test_a_socket_that_twilio_did_not_sign_is_refused_and_is_no_fault_of_ours(quiet_house, caplog):
    address = quiet_house.server.base_url.replace("http", "ws", 1) + "/twilio/stream"
    with pytest.raises(InvalidStatus) as refused:
        async with connect(address, additional_headers={"X-Twilio-Signature": "AAAA"}, proxy=None):
            pass
    assert refused.value.response.status_code == 403
    assert b"Twilio's signature" in refused.value.response.body
    assert [record.message for record in caplog.records if record.levelname == "ERROR"] == []


async def test_what_makes_no_sense_is_passed_over_and_counted_once(quiet_house):
    house = quiet_house
    call = await house.dial_quietly()
    socket = call.caller.socket
    bad = bad_messages(socket.stream_sid)
    for text in bad:
        await socket.send_text(text)
    await socket.send_bytes(b"\x00\xff")
    # What Twilio may add one day is no mistake, and a mark that was never asked for is harmless.
    await socket.send_json({"event": "weather", "streamSid": socket.stream_sid, "sky": "blue"})
    await socket.send_json({"event": "weather"})
    await socket.send_mark("never-sent")

    await house.say(call, "ask-sunday")
    await house.hear_out(call)
    await call.hang_up()
    row = await house.ended_row(call)

    assert [turn.text for turn in await house.turns(call)] == SUNDAY
    assert (row.end_reason, row.recording_status) == ("caller_hung_up", "complete")
    [event] = await house.events(call, "line.malformed")
    assert event.data == {"count": len(bad) + 1, "first": "not JSON"}
    assert not await house.events(call, "caller.digit")
    recorded = await asyncio.to_thread((await house.recording(call)).read_pcm)
    offset_ms, likeness = house.best_offset(call.spoken_audio(), recorded[:, 0])
    assert (abs(offset_ms) <= 1, likeness > 0.99) == (True, True), "bad frames moved the recording"


class OddFrames(Line):
    """Carves the caller's 20 ms frames into pieces of odd size, an empty one among them."""

    async def to_server(self, message: str) -> Sequence[str]:
        if not message.startswith('{"event":"media"'):
            return (message,)
        whole = json.loads(message)
        mulaw = base64.b64decode(whole["media"]["payload"])
        at_ms = int(whole["media"]["timestamp"])
        cuts = [(0, 0), (0, 1), (1, 41), (41, 121), (121, 160)]
        return [
            json.dumps(
                whole
                | {
                    "media": {
                        "track": "inbound",
                        "timestamp": str(at_ms + first // 8),
                        "payload": base64.b64encode(mulaw[first:last]).decode(),
                    }
                }
            )
            for first, last in cuts
        ]


async def test_frames_of_odd_size_are_heard_like_any_other(quiet_house):
    house = quiet_house
    call = await house.dial_quietly(line=OddFrames())
    await house.say(call, "ask-sunday")
    await house.hear_out(call)
    await call.hang_up()
    await house.ended_row(call)
    assert [turn.text for turn in await house.turns(call)] == SUNDAY
    assert not await house.events(call, "line.malformed")
    recorded = await asyncio.to_thread((await house.recording(call)).read_pcm)
    offset_ms, likeness = house.best_offset(call.spoken_audio(), recorded[:, 0])
    assert abs(offset_ms) <= 1
    assert likeness > 0.95


async def test_a_message_of_a_megabyte_ends_the_call_with_an_apology_and_loses_nothing(quiet_house):
    house = quiet_house
    call = await house.dial_quietly()
    await house.say(call, "ask-sunday")
    await house.hear_out(call)
    payload = base64.b64encode(b"\xff" * 750_000).decode()
    socket = call.caller.socket
    await socket.send_json(
        {"event": "media", "streamSid": socket.stream_sid, "media": {"payload": payload, "timestamp": "0"}}
    )
    outcome = await call.ended()
    assert [verb for _, verb, _ in outcome.verbs] == ["Connect", "Say", "Hangup"]
    [error] = outcome.errors
    assert "closed with 1009" in error.message
    row = await house.ended_row(call)
    assert (row.end_reason, row.recording_status) == ("connection_lost", "complete")
    assert [turn.text for turn in await house.turns(call)] == SUNDAY
    recording = await house.recording(call)
    assert abs(recording.duration_ms - call.caller.now_ms()) < 500


async def test_a_stop_in_mid_word_ends_the_call_though_the_socket_stays_open(quiet_house):
    house = quiet_house
    call = await house.dial_quietly()
    await house.say(call, "ask-opening-hours")
    began_ms = await call.wait_heard()
    await call.silence(1.5)
    await call.caller.socket.send_stop()
    stopped_ms = call.caller.now_ms()
    outcome = await call.ended()
    assert outcome.ended_by == "server"
    row = await house.ended_row(call)
    assert (row.end_reason, row.recording_status) == ("caller_hung_up", "complete")
    cut = (await house.turns(call))[-1]
    assert cut.interrupted
    assert HOURS.startswith(cut.text)
    assert (abs(cut.start_ms - began_ms) <= 200, abs(cut.end_ms - stopped_ms) <= 400) == (True, True)
    assert not await house.events(call, "line.malformed"), "frames on their way at the stop are no mistakes"


async def test_a_caller_who_hangs_up_in_mid_word_is_recorded_to_the_last_frame(quiet_house):
    house = quiet_house
    call = await house.dial_quietly()
    talking = asyncio.create_task(house.say(call, "long-story"), name="caller talks")
    await call.silence(2.0)
    await call.hang_up()
    start_ms, end_ms = await talking
    assert end_ms - start_ms < 3000, "the word was not cut"
    row = await house.ended_row(call)
    assert (row.end_reason, row.recording_status) == ("caller_hung_up", "complete")
    assert [event.kind for event in await house.events(call)].count("caller.started") == 1
    recorded = await asyncio.to_thread((await house.recording(call)).read_pcm)
    spoken = call.spoken_audio()
    offset_ms, likeness = house.best_offset(spoken, recorded[:, 0])
    assert (abs(offset_ms) <= 1, likeness > 0.99) == (True, True)
    assert abs(len(recorded) - len(spoken)) < 8 * 300
    tail = slice(end_ms * 8 - 8000, end_ms * 8 - 800)
    assert np.abs(recorded[tail, 0].astype(int)).max() > 1000, "the last words are missing"


async def test_a_full_server_says_busy_and_an_unknown_number_is_told_so(make_house):
    house = await make_house(max_calls=1)
    first = await house.dial()
    await first.wait_heard()
    voice_url = f"{house.server.base_url}/twilio/voice"
    heard = []
    for to in ("+15551230100", "+15550000000"):
        refused = await house.twilio.dial(to=to, from_="+15550000003", voice_url=voice_url)
        outcome = await refused.ended()
        assert [verb for _, verb, _ in outcome.verbs] == ["Say", "Hangup"]
        assert outcome.errors == []
        heard.append(outcome.verbs[0][2])
        if to == "+15551230100":
            assert (await house.row(refused)).end_reason == "refused_busy"
        else:
            assert await house.store.find_call(refused.sid) is None
    assert "lines are busy" in heard[0]
    assert "not in service" in heard[1]
    # The one line is free again when its call is over.
    await first.hang_up()
    await house.ended_row(first)
    again = await house.dial()
    await again.hang_up()
    await again.ended()


async def test_a_webhook_repeated_while_the_call_is_live_disturbs_nobody(quiet_house):
    house = quiet_house
    call = await house.dial_quietly()
    form = {"CallSid": call.sid, "To": "+15551230100", "From": "+15557654321", "CallStatus": "ringing"}
    answer = await house.twilio.request(f"{house.server.base_url}/twilio/voice", form)
    assert answer.status == 200
    given = {str(one.get("name")): one.get("value") for one in fromstring(answer.body).iter("Parameter")}
    assert given["call_id"] == (await house.row(call)).call_id
    # Twilio does as it is told and opens a second stream of the same call: it is refused, the first one goes on.
    second = await house.twilio.dial(
        to="+15551230100",
        from_="+15557654321",
        voice_url=f"{house.server.base_url}/twilio/voice",
        call_sid=call.sid,
    )
    async with asyncio.timeout(5):
        while not second.errors:  # noqa: ASYNC110 - it tells nobody
            await asyncio.sleep(0.05)
    assert "closed with 1008" in second.errors[0].message
    await house.say(call, "ask-sunday")
    await house.hear_out(call)
    assert len(await house.store.list_calls(10)) == 1
    assert (await house.row(call)).status == "live"
    # Twilio asks what comes after the second one, and is made to wait until it knows that the call is over.
    assert {verb for _, verb, _ in second.verbs} <= {"Connect", "Pause", "Redirect"}
    await call.hang_up()
    assert (await house.ended_row(call)).end_reason == "caller_hung_up"
    assert [verb for _, verb, _ in (await second.ended()).verbs][-1] == "Hangup"
    assert [turn.text for turn in await house.turns(call)] == SUNDAY


async def test_an_agent_edited_while_the_server_runs_is_heard_on_the_next_call(house, log_messages):
    file = house.server.settings.agents_dir / "front-desk.yaml"
    good = await asyncio.to_thread(file.read_text)

    async def greeting_after(text: str) -> str:
        await asyncio.to_thread(file.write_text, text)
        call = await house.dial()
        await house.hear_out(call)
        await call.hang_up()
        await house.ended_row(call)
        return (await house.turns(call))[0].text

    edited = good.replace("Good morning, {business}. How can I help?", "Hello! How can I help?")
    assert edited != good
    assert await greeting_after(edited) == "Hello! How can I help?"
    broken = good.replace("max_call_secs: 600", "max_call_secs: 3")
    assert broken != good
    assert await greeting_after(broken) == "Hello! How can I help?"
    [complaint] = [record for record in log_messages if "file in the folder of agents cannot be used" in record]
    assert "front-desk.yaml: limits.max_call_secs: must be >= 10 (got 3)" in complaint
