"""The messages of a media stream: every text is an event or a named complaint."""

import base64
import json
import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from telephony import media_stream
from telephony.media_stream import (
    Connected,
    Dtmf,
    MalformedMessage,
    Mark,
    Media,
    MediaStream,
    ProtocolViolation,
    Start,
    Stop,
    Unknown,
    parse,
)

pytestmark = pytest.mark.unit

STREAM_SID = "MZ" + "0" * 32
START: dict[str, Any] = {
    "event": "start",
    "sequenceNumber": "1",
    "streamSid": STREAM_SID,
    "start": {
        "streamSid": STREAM_SID,
        "accountSid": "AC1",
        "callSid": "CA1",
        "tracks": ["inbound"],
        "customParameters": {"token": "t", "call_id": "c"},
        "mediaFormat": {"encoding": "audio/x-mulaw", "sampleRate": 8000, "channels": 1},
    },
}
CONNECTED = {"event": "connected", "protocol": "Call", "version": "1.0.0"}
STOP = {"event": "stop", "streamSid": STREAM_SID, "stop": {"accountSid": "AC1", "callSid": "CA1"}}
MARK = {"event": "mark", "streamSid": STREAM_SID, "mark": {"name": "m1"}}
DTMF = {"event": "dtmf", "streamSid": STREAM_SID, "dtmf": {"track": "inbound_track", "digit": "5"}}


def media_message(payload: str, /, **changes: Any) -> dict[str, Any]:
    part = {"track": "inbound", "chunk": "2", "timestamp": "20", "payload": payload, **changes}
    return {"event": "media", "sequenceNumber": "3", "streamSid": STREAM_SID, "media": part}


MEDIA = media_message(base64.b64encode(b"\xff" * 160).decode())


def test_every_event_that_twilio_sends_is_read() -> None:
    assert parse(json.dumps(CONNECTED)) == Connected("Call", "1.0.0")
    assert parse(json.dumps(START)) == Start(STREAM_SID, "CA1", "AC1", {"token": "t", "call_id": "c"})
    assert parse(json.dumps(MEDIA)) == Media(STREAM_SID, 20, b"\xff" * 160, "inbound")
    assert parse(json.dumps(DTMF)) == Dtmf(STREAM_SID, "5")
    assert parse(json.dumps(MARK)) == Mark(STREAM_SID, "m1")
    assert parse(json.dumps(STOP)) == Stop(STREAM_SID, "CA1")
    assert parse('{"event":"weather","streamSid":"MZ1"}') == Unknown("MZ1", "weather")


def test_a_start_without_parameters_has_none() -> None:
    without = {**START, "start": {name: value for name, value in START["start"].items() if name != "customParameters"}}
    event = parse(json.dumps(without))
    assert isinstance(event, Start)
    assert event.parameters == {}


@pytest.mark.parametrize("size_bytes", [0, 1, 159, 161, 4000])
def test_frames_of_odd_size_are_let_through(size_bytes: int) -> None:
    event = parse(json.dumps(media_message(base64.b64encode(bytes(size_bytes)).decode())))
    assert isinstance(event, Media)
    assert len(event.payload) == size_bytes


@pytest.mark.parametrize("timestamp", ["20", 20])
def test_numbers_may_be_text(timestamp: str | int) -> None:
    event = parse(json.dumps(media_message("", timestamp=timestamp)))
    assert isinstance(event, Media)
    assert event.timestamp_ms == 20


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("", "not JSON"),
        ("hello", "not JSON"),
        ("[" * 50_000, "not JSON"),
        ("9" * 5000, "not JSON"),
        ("[]", "not a JSON object"),
        ("null", "not a JSON object"),
        ("{}", "event: text is missing"),
        ('{"event":7}', "event: text is missing"),
        ('{"event":"media"}', "media: an object is missing"),
        (json.dumps(media_message("****")), "media.payload: not base64"),
        (json.dumps(media_message("abc")), "media.payload: not base64"),
        (json.dumps(media_message("ÿÿÿÿ")), "media.payload: not base64"),
        (json.dumps(media_message("", payload=None)), "media.payload: text is missing"),
        (json.dumps(media_message("", timestamp="-1")), "media.timestamp: a number is missing"),
        (json.dumps(media_message("", timestamp="1_0")), "media.timestamp: a number is missing"),
        (json.dumps(media_message("", timestamp="٣")), "media.timestamp: a number is missing"),
        (json.dumps(media_message("", timestamp=True)), "media.timestamp: a number is missing"),
        (json.dumps(media_message("", timestamp=1.5)), "media.timestamp: a number is missing"),
        (json.dumps({**MARK, "streamSid": ""}), "streamSid: text is missing"),
        (json.dumps({**MARK, "streamSid": None}), "streamSid: text is missing"),
        (json.dumps({**MARK, "mark": {"name": "a\0"}}), "mark.name: not printable text"),
        (json.dumps({**MARK, "mark": {"name": "\ud800"}}), "mark.name: not printable text"),
        (json.dumps({**DTMF, "dtmf": {"digit": "12"}}), "dtmf.digit: not a key of a telephone"),
        (json.dumps({**DTMF, "dtmf": {}}), "dtmf.digit: text is missing"),
        (json.dumps({**START, "start": {}}), "start.mediaFormat: an object is missing"),
        (
            json.dumps({**START, "start": {**START["start"], "customParameters": {"token": 1}}}),
            "start.customParameters: text is missing",
        ),
        ('{"event":"stop"}', "streamSid: text is missing"),
        ('{"event":"connected"}', "protocol: text is missing"),
    ],
)
def test_what_is_no_message_is_named(text: str, complaint: str) -> None:
    with pytest.raises(MalformedMessage) as caught:
        parse(text)
    assert str(caught.value) == complaint


JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.sampled_from([STREAM_SID, "start", "20"]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["media", "start", "payload", "streamSid", "mediaFormat", "name"]), inner)
    ),
    max_leaves=12,
)
EVENTS = st.sampled_from(["connected", "start", "media", "dtmf", "mark", "stop", "else"])


def outcome(stream: MediaStream, text: str) -> str:
    """Return the event's name, or the complaint."""
    try:
        return type(stream.receive(text)).__name__
    except (MalformedMessage, ProtocolViolation) as complaint:
        return f"{type(complaint).__name__}: {complaint}"


@given(st.text() | JSON_VALUES.map(json.dumps))
def test_any_text_is_an_event_or_a_complaint(text: str) -> None:
    assert re.fullmatch(r"Connected|Unknown|(MalformedMessage|ProtocolViolation): .+", outcome(MediaStream(), text))


@given(event=EVENTS, rest=st.dictionaries(st.sampled_from(["streamSid", "start", "media", "mark"]), JSON_VALUES))
def test_any_fields_of_an_event_are_an_event_or_a_complaint(event: str, rest: dict[str, Any]) -> None:
    for stream in (MediaStream(), MediaStream(Start(STREAM_SID, "CA1", "AC1", {}))):
        before = stream.start
        got = outcome(stream, json.dumps({"event": event, **rest}))
        assert got.lower() in (event, "unknown") or re.match(r"(MalformedMessage|ProtocolViolation): .+", got)
        assert stream.start is before or got == "Start"


@given(st.binary(max_size=400))
def test_audio_comes_back_as_it_was_sent(mulaw: bytes) -> None:
    sent = json.loads(media_stream.media(STREAM_SID, mulaw))
    sent["media"]["timestamp"] = "0"
    event = parse(json.dumps(sent))
    assert isinstance(event, Media)
    assert event.payload == mulaw


def test_what_we_send_is_what_twilio_reads() -> None:
    assert json.loads(media_stream.media("MZ1", b"\xff")) == {
        "event": "media",
        "streamSid": "MZ1",
        "media": {"payload": "/w=="},
    }
    assert json.loads(media_stream.mark("MZ1", 'a"b')) == {
        "event": "mark",
        "streamSid": "MZ1",
        "mark": {"name": 'a"b'},
    }
    assert json.loads(media_stream.clear("MZ1")) == {"event": "clear", "streamSid": "MZ1"}


def test_a_whole_stream_is_followed() -> None:
    stream = MediaStream()
    for message in (CONNECTED, START, MEDIA, DTMF, MARK, {"event": "weather"}, STOP):
        stream.receive(json.dumps(message))
    assert stream.stream_sid == STREAM_SID
    assert stream.has_stopped


@pytest.mark.parametrize(
    ("before", "message", "complaint"),
    [
        ([], MEDIA, "media came before start"),
        ([CONNECTED], MARK, "mark came before start"),
        ([CONNECTED], STOP, "stop came before start"),
        ([START], START, "the stream started twice"),
        ([START], CONNECTED, "the stream started twice"),
        ([START], {**MEDIA, "streamSid": "MZ2"}, "a message names another stream"),
        ([START], {"event": "weather", "streamSid": "MZ2"}, "a message names another stream"),
        ([START, STOP], MEDIA, "a message came after stop"),
        ([START], media_message("A" * 70_000), "a message is longer than 64 KiB"),
        ([START], {"event": "ü" * 40_000}, "a message is longer than 64 KiB"),
    ],
)
def test_what_comes_out_of_turn_is_named(before: list[dict[str, Any]], message: dict[str, Any], complaint: str) -> None:
    stream = MediaStream()
    for earlier in before:
        stream.receive(json.dumps(earlier))
    with pytest.raises(ProtocolViolation) as caught:
        stream.receive(json.dumps(message, ensure_ascii=False))
    assert str(caught.value) == complaint


def test_a_stream_can_be_read_on_from_its_start() -> None:
    start = parse(json.dumps(START))
    assert isinstance(start, Start)
    assert isinstance(MediaStream.after(start).receive(json.dumps(MEDIA)), Media)


def test_a_stream_that_has_not_started_has_no_name() -> None:
    with pytest.raises(ProtocolViolation):
        _ = MediaStream().stream_sid
