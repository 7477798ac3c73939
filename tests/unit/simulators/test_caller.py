"""The caller on a media stream: what goes over the wire, what is heard, and what the stream does with nonsense."""

import asyncio
import base64
import io
import json
import ssl
from collections.abc import AsyncGenerator, Sequence
from pathlib import Path

import numpy as np
import pytest
import pytest_asyncio
import soundfile
import trustme
from websockets.exceptions import ConnectionClosed

from simulators.caller import CallOver
from simulators.media_socket import Line, open_stream
from simulators.noise import NoiseBed
from simulators.telephone_audio import decode_ulaw, find_audible
from simulators.twilio import TwilioSimulator
from tests.unit.simulators.toy_server import AUTH_TOKEN, ToyServer, ToyStream, make_tone, serve_toy

pytestmark = pytest.mark.asyncio(loop_scope="module")

DIAL = {"to": "+15551230100", "from_": "+15557654321"}


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def server() -> AsyncGenerator[ToyServer]:
    async with serve_toy() as toy:
        yield toy


@pytest.fixture
def toy(server: ToyServer) -> ToyServer:
    server.forget()
    server.answers["/voice"] = server.connect()
    return server


@pytest_asyncio.fixture(loop_scope="module")
async def twilio() -> AsyncGenerator[TwilioSimulator]:
    async with TwilioSimulator(auth_token=AUTH_TOKEN) as simulator:
        yield simulator


async def test_the_stream_is_signed_and_speaks_as_twilio_does(toy: ToyServer, twilio: TwilioSimulator) -> None:
    toy.answers["/voice"] = toy.connect('<Parameter name="token" value="t1"/><Parameter name="call" value="7"/>')
    call = await twilio.dial(voice_url=f"{toy.base_url}/voice", **DIAL)
    await call.connected()
    await call.silence(0.2)
    await call.press("5#")
    await call.hang_up()
    stream = toy.streams[0]
    assert stream.is_genuine
    assert stream.received[0] == {"event": "connected", "protocol": "Call", "version": "1.0.0"}
    start = stream.received[1]
    assert start["event"] == "start"
    assert start["sequenceNumber"] == "1"
    assert start["start"] == {
        "accountSid": twilio.account_sid,
        "streamSid": stream.stream_sid,
        "callSid": call.sid,
        "tracks": ["inbound"],
        "mediaFormat": {"encoding": "audio/x-mulaw", "sampleRate": 8000, "channels": 1},
        "customParameters": {"token": "t1", "call": "7"},
    }
    media = stream.events("media")
    assert media[0]["media"] == {
        "track": "inbound",
        "chunk": "1",
        "timestamp": "0",
        "payload": base64.b64encode(b"\xff" * 160).decode(),
    }
    assert [int(message["media"]["chunk"]) for message in media] == list(range(1, len(media) + 1))
    assert [int(message["media"]["timestamp"]) for message in media] == [20 * n for n in range(len(media))]
    assert [message["dtmf"] for message in stream.events("dtmf")] == [
        {"track": "inbound_track", "digit": "5"},
        {"track": "inbound_track", "digit": "#"},
    ]
    assert stream.received[-1]["event"] == "stop"
    assert stream.received[-1]["stop"] == {"accountSid": twilio.account_sid, "callSid": call.sid}
    numbers = [int(message["sequenceNumber"]) for message in stream.received[1:]]
    assert numbers == list(range(1, len(numbers) + 1))
    assert all(message["streamSid"] == stream.stream_sid for message in stream.received[1:])


async def test_frames_keep_to_the_clock_and_catch_up_after_a_stall(toy: ToyServer, twilio: TwilioSimulator) -> None:
    class Stall(Line):
        sent = 0

        async def to_server(self, message: str) -> Sequence[str]:
            self.sent += 1
            if self.sent == 10:
                await asyncio.sleep(0.3)
            return (message,)

    call = await twilio.dial(voice_url=f"{toy.base_url}/voice", line=Stall(), **DIAL)
    await call.connected()
    await call.silence(1.0)
    now_ms = call.caller.now_ms()
    await call.hang_up()
    frames = len(toy.streams[0].events("media"))
    assert abs(frames * 20 - now_ms) <= 60


async def test_what_is_said_arrives_as_it_was_said(toy: ToyServer, twilio: TwilioSimulator) -> None:
    call = await twilio.dial(voice_url=f"{toy.base_url}/voice", **DIAL)
    await call.connected()
    await call.silence(0.1)
    start_ms, end_ms = await call.say(make_tone(300, rate_hz=24000), 24000)
    await call.silence(0.1)
    await call.hang_up()
    assert end_ms - start_ms == 300
    arrived = b"".join(base64.b64decode(message["media"]["payload"]) for message in toy.streams[0].events("media"))
    pcm = decode_ulaw(arrived)
    assert np.array_equal(pcm, call.spoken_audio()[: pcm.size])
    assert find_audible(pcm) == [(start_ms, end_ms)]
    loudness = float(np.sqrt((pcm[start_ms * 8 : end_ms * 8].astype(float) ** 2).mean()))
    assert 8000 / 2**0.5 * 0.9 < loudness < 8000 / 2**0.5 * 1.1


@pytest.fixture
def clip(tmp_path: Path) -> tuple[Path, bytes]:
    encoded = io.BytesIO()
    soundfile.write(encoded, make_tone(200, rate_hz=16000), 16000, format="WAV")
    path = tmp_path / "clip.wav"
    path.write_bytes(encoded.getvalue())
    return path, encoded.getvalue()


async def test_a_clip_may_be_a_file_or_its_bytes(
    toy: ToyServer, twilio: TwilioSimulator, clip: tuple[Path, bytes]
) -> None:
    path, encoded = clip
    call = await twilio.dial(voice_url=f"{toy.base_url}/voice", **DIAL)
    await call.connected()
    first, second = await asyncio.gather(call.say(path), call.say(encoded))
    spans = sorted([first, second])
    assert [end_ms - start_ms for start_ms, end_ms in spans] == [200, 200]
    assert spans[1][0] >= spans[0][1], "one after the other, never mixed"


async def test_the_caller_hears_marks_and_clears_as_twilio_plays_them(toy: ToyServer, twilio: TwilioSimulator) -> None:
    async def serve(stream: ToyStream) -> None:
        await stream.read("start")
        await stream.speak(400)
        await stream.mark("greeting")
        assert (await stream.read("mark"))["mark"] == {"name": "greeting"}
        await stream.read("dtmf")
        await stream.speak(5000)
        await stream.mark("long")
        await asyncio.sleep(0.3)
        await stream.send("clear")
        assert (await stream.read("mark"))["mark"] == {"name": "long"}
        await stream.read_to_end()

    toy.on_stream = serve
    call = await twilio.dial(voice_url=f"{toy.base_url}/voice", **DIAL)
    await call.connected()
    began_ms = await call.wait_heard()
    assert await call.wait_quiet(quiet_ms=200) - began_ms == pytest.approx(400, abs=100)
    await call.press("1")
    pressed_ms = await call.wait_heard()
    assert await call.wait_quiet(quiet_ms=200) - pressed_ms == pytest.approx(300, abs=120)
    await call.hang_up()
    greeting, long = call.marks
    assert greeting.returned_ms - greeting.received_ms == pytest.approx(400, abs=80)
    assert long.is_cleared
    assert call.clears[0].dropped_ms == pytest.approx(4700, abs=120)
    assert [heard.end_ms - heard.start_ms for heard in call.heard] == [pytest.approx(400), pytest.approx(300, abs=120)]
    assert len(call.heard_segments(min_gap_ms=100)) == 2
    assert call.heard_segments() == [(began_ms, pytest.approx(pressed_ms + 300, abs=120))], "a pause is not an end"


async def test_a_reply_is_timed_at_the_wire(toy: ToyServer, twilio: TwilioSimulator) -> None:
    async def serve(stream: ToyStream) -> None:
        await stream.read("start")
        quiet = 0
        has_spoken = False
        while quiet < 15:  # the caller's voice, then 300 ms of silence
            is_silence = base64.b64decode((await stream.read("media"))["media"]["payload"]) == b"\xff" * 160
            has_spoken = has_spoken or not is_silence
            quiet = quiet + 1 if has_spoken and is_silence else 0
        await stream.speak(200, level=0)
        await stream.speak(200)
        await stream.read_to_end()

    toy.on_stream = serve
    call = await twilio.dial(voice_url=f"{toy.base_url}/voice", **DIAL)
    await call.connected()
    await call.say(np.concatenate([make_tone(200), np.zeros(800, np.int16)]))
    assert call.reply_delays_ms == [None]
    await call.wait_heard()
    await call.hang_up()
    assert call.reply_delays_ms[0] == pytest.approx(300, abs=40)


async def test_hanging_up_mid_word_cuts_the_word(toy: ToyServer, twilio: TwilioSimulator) -> None:
    call = await twilio.dial(voice_url=f"{toy.base_url}/voice", **DIAL)
    await call.connected()
    saying = asyncio.create_task(call.say(make_tone(5000)))
    await call.silence(0.3)
    await call.hang_up()
    start_ms, end_ms = await saying
    assert 200 <= end_ms - start_ms <= 400
    outcome = await call.ended()
    assert (outcome.status, outcome.ended_by) == ("completed", "caller")
    with pytest.raises(CallOver):
        await call.say(make_tone(20))
    with pytest.raises(CallOver):
        await call.wait_heard()


async def test_a_noise_bed_is_under_everything_and_the_same_each_time(toy: ToyServer, twilio: TwilioSimulator) -> None:
    call = await twilio.dial(voice_url=f"{toy.base_url}/voice", noise=NoiseBed(-40), **DIAL)
    await call.connected()
    await call.silence(0.4)
    await call.hang_up()
    noise = call.spoken_audio()
    level_dbfs = 20 * np.log10(np.sqrt((noise.astype(float) ** 2).mean()) / 32768)
    assert level_dbfs == pytest.approx(-40, abs=1)
    again = NoiseBed(-40)
    assert np.corrcoef(noise[:160], again.next_frame())[0, 1] > 0.99


MALFORMED = {
    "hello": "not JSON",
    "[]": "not a JSON object",
    '{"event": "media", "media": {"payload": ""}}': "streamSid",
    '{"event": "media", "streamSid": "MZ0", "media": {"payload": ""}}': "streamSid",
    '{"event": "media", "streamSid": "SID", "media": {"payload": "%%%%"}}': "base64",
    '{"event": "media", "streamSid": "SID"}': "media.payload",
    '{"event": "mark", "streamSid": "SID", "mark": {}}': "mark.name",
    '{"event": "dance", "streamSid": "SID"}': "dance",
}


async def test_a_malformed_message_drops_the_stream(toy: ToyServer, twilio: TwilioSimulator) -> None:
    unsent = list(MALFORMED)

    async def serve(stream: ToyStream) -> None:
        await stream.read("start")
        await stream.websocket.send_text(unsent.pop(0).replace('"SID"', f'"{stream.stream_sid}"'))
        await stream.read_to_end()

    toy.on_stream = serve
    for text, problem in MALFORMED.items():
        call = await twilio.dial(voice_url=f"{toy.base_url}/voice", **DIAL)
        outcome = await call.ended()
        assert [error.code for error in outcome.errors] == [31924], text
        assert problem in outcome.errors[0].message
    assert len(toy.streams) == len(MALFORMED)


async def test_a_refused_upgrade_and_a_query_string_are_errors_31920(toy: ToyServer, twilio: TwilioSimulator) -> None:
    refused = toy.stream_url.replace("/media", "/nowhere")
    toy.answers["/voice"] = f'<Response><Connect><Stream url="{refused}"/></Connect></Response>'
    call = await twilio.dial(voice_url=f"{toy.base_url}/voice", **DIAL)
    with pytest.raises(CallOver, match="31920"):
        await call.connected()
    toy.answers["/voice"] = f'<Response><Connect><Stream url="{toy.stream_url}?token=1"/></Connect></Response>'
    call = await twilio.dial(voice_url=f"{toy.base_url}/voice", **DIAL)
    await call.connected()
    assert [error.code for error in call.errors] == [31920]
    assert str(toy.streams[0].websocket.url.query) == ""
    assert toy.streams[0].is_genuine, "the URL asked for is the one signed"
    await call.hang_up()


async def test_a_raw_stream_sends_what_a_test_wants(toy: ToyServer) -> None:
    async with open_stream(toy.stream_url, auth_token=AUTH_TOKEN, call_sid="CA1", parameters={"a": "b"}) as stream:
        await stream.send_media(b"\xff" * 7, 0)
        await stream.send_json({"event": "nonsense"})
        await stream.send_start()
        await stream.send_text("not json")
        with pytest.raises(ConnectionClosed):
            await stream.recv()
    assert toy.streams[0].is_genuine
    assert [message["event"] for message in toy.streams[0].received] == ["media", "nonsense", "start"]
    assert toy.streams[0].received[2]["start"]["customParameters"] == {"a": "b"}
    assert stream.close_code is not None
    async with open_stream(toy.stream_url, sign=False) as stream:
        await stream.send_connected()
        await stream.close(1001)
    assert stream.close_code == 1001
    assert not toy.streams[1].is_genuine


@pytest.fixture
def tls_and_trust() -> tuple[ssl.SSLContext, ssl.SSLContext]:
    """A server's context, and a client's that trusts its authority only."""
    authority = trustme.CA()
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(tls)
    trust = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    authority.configure_trust(trust)
    return tls, trust


async def test_a_stream_over_tls_with_its_own_authority_behind_another_name(
    tls_and_trust: tuple[ssl.SSLContext, ssl.SSLContext],
) -> None:
    tls, trust = tls_and_trust

    async def serve(stream: ToyStream) -> None:
        await stream.read("start")
        await stream.speak(100)
        await stream.mark("done")
        await stream.read("mark")

    async with (
        serve_toy(public_url="https://voice.example.com", tls=tls) as toy,
        TwilioSimulator(auth_token=AUTH_TOKEN, trust=trust) as twilio,
    ):
        toy.on_stream = serve
        toy.answers["/voice"] = toy.connect(attributes='action="/next"')
        call = await twilio.dial(
            voice_url=f"{toy.base_url}/voice?x=1", public_base_url="https://voice.example.com", **DIAL
        )
        outcome = await call.ended()
    assert (outcome.status, outcome.errors) == ("completed", [])
    assert toy.streams[0].is_genuine
    assert toy.posted("/voice")[0]["x"] == "1"
    assert toy.posted("/next")[0]["StreamSid"] == toy.streams[0].stream_sid


async def test_messages_can_be_lost_on_the_line(toy: ToyServer, twilio: TwilioSimulator) -> None:
    class Deaf(Line):
        async def to_server(self, message: str) -> Sequence[str]:
            return () if json.loads(message)["event"] == "media" else (message,)

    call = await twilio.dial(voice_url=f"{toy.base_url}/voice", line=Deaf(), **DIAL)
    await call.connected()
    await call.silence(0.1)
    await call.hang_up()
    assert [message["event"] for message in toy.streams[0].received] == ["connected", "start", "stop"]
