"""`media` as Twilio writes it is read by a pattern: whatever that takes, the long way takes, and as the same."""

import base64
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from telephony.media_stream import MalformedMessage, Media, MediaStream, ProtocolViolation, Start

pytestmark = pytest.mark.unit

SID = "MZ" + "0" * 32


def stream() -> MediaStream:
    return MediaStream.after(Start(SID, "CA1", "AC1", {}))


def message(payload: str, timestamp: object = "20", sid: object = SID, **part: object) -> dict[str, Any]:
    media = {"track": "inbound", "chunk": "2", "timestamp": timestamp, "payload": payload, **part}
    return {"event": "media", "sequenceNumber": "3", "media": media, "streamSid": sid}


def long_way(text: str) -> tuple[int, bytes] | None:
    """What `receive` makes of it on a fresh stream; None when it is no audio."""
    try:
        event = stream().receive(text)
    except (MalformedMessage, ProtocolViolation):
        return None
    return (event.timestamp_ms, event.payload) if isinstance(event, Media) else None


@given(st.binary(max_size=400), st.integers(0, 10**18 - 1), st.sampled_from([(",", ":"), (", ", ": ")]))
def test_what_twilio_sends_takes_the_short_way(payload, timestamp, separators):
    text = json.dumps(message(base64.b64encode(payload).decode(), str(timestamp)), separators=separators)
    assert stream().usual_media(text) == (timestamp, payload) == long_way(text)


ODD_PAYLOADS = st.one_of(
    st.text(alphabet="AQgw/+=", max_size=12),
    st.text(alphabet="AQgw/+=-_ \n\0é", max_size=12),
    st.binary(max_size=9).map(lambda data: base64.b64encode(data).decode()),
)
ODD_NUMBERS = st.one_of(st.sampled_from(["", "20", "-1", "1e3", "٣", "1" * 19, 20, 20.5, True, None]), st.integers())
ODD_SIDS = st.sampled_from([SID, SID + "0", SID.lower(), "", "MZ é", None, 5])


@given(
    ODD_PAYLOADS,
    ODD_NUMBERS,
    ODD_SIDS,
    st.dictionaries(st.sampled_from(["track", "chunk", "extra"]), st.sampled_from(["", "inbound", "a b", "\0", 7])),
    st.booleans(),
    st.sampled_from([(",", ":"), (", ", ": "), (" ,", " :"), (",\n", ":\t")]),
    st.sampled_from(["", " ", "\n", "x", "{"]),
)
def test_what_the_short_way_takes_the_long_way_takes_as_the_same(payload, stamp, sid, part, ascii_only, marks, tail):
    text = json.dumps(message(payload, stamp, sid, **part), separators=marks, ensure_ascii=ascii_only) + tail
    usual = stream().usual_media(text)
    assert usual is None or usual == long_way(text)


@given(st.permutations(["event", "sequenceNumber", "media", "streamSid"]))
def test_another_order_is_no_other_message(order):
    whole = message("/v8=")
    text = json.dumps({key: whole[key] for key in order})
    assert stream().usual_media(text) in (None, (20, b"\xfe\xff"))
    assert long_way(text) == (20, b"\xfe\xff")


@pytest.mark.parametrize(
    "text",
    [
        json.dumps(message("/v8=", sid="MZ1")),
        json.dumps(message("/v8")),
        json.dumps(message("/v9=" * 2)),
        json.dumps(message("====")),
        json.dumps(message("A" * 70_000)),
        json.dumps(message("", "1" * 19)),
        json.dumps({**message("/v8="), "event": "mark"}),
        json.dumps(message("/v8="))[:-1],
        "",
    ],
)
def test_what_is_wrong_is_left_to_the_long_way(text):
    assert stream().usual_media(text) is None


def test_a_stream_takes_none_before_its_start_nor_after_its_stop():
    text = json.dumps(message("/v8="))
    assert MediaStream().usual_media(text) is None
    stopped = stream()
    stopped.receive(json.dumps({"event": "stop", "streamSid": SID}))
    assert stopped.usual_media(text) is None
