"""The wire between supervisor and processes: whole, cut, garbled, or cut off."""

import random

import pytest

from switchboard.messages import MOST_BYTES, BadMessage, Begin, Decoder, Envelope, Order, Result, State, Wrote, encode

ORDER = Order(
    call_id="c1",
    call_sid="CA1",
    agent_name="front-desk",
    direction="inbound",
    from_number="+15557654321",
    variables={"name": "Zoë\n"},
    started_at="2026-01-01T00:00:00+00:00",
)


def test_every_message_comes_through_however_it_is_cut():
    sent = [
        Envelope(body=ORDER, ask=7),
        Envelope(body=Result(value={"twiml": "<Response/>"}), answers=7),
        Envelope(body=Result(), answers=8),
        Envelope(body=State(refusal="")),
        Envelope(body=Wrote(call_ids=["a", "b"])),
        Envelope(body=Begin(number=1, processes=2, settings={"twilio_auth_token": "secret", "redis_url": None})),
    ]
    line, rng = b"".join(encode(envelope) for envelope in sent), random.Random(3)
    for most in (1, 7, 100, len(line)):
        decoder, got, at = Decoder(), list[Envelope](), 0
        while at < len(line):
            size = rng.randint(1, most)
            got += decoder.feed(line[at : at + size])
            at += size
        assert got == sent
        assert not decoder.has_rest


@pytest.mark.parametrize(
    "line",
    [
        b"\n",
        b"garbage\n",
        b'{"body": {"kind": "dance"}}\n',
        b'{"body": {"kind": "state"}}\n',
        b'{"body": {"kind": "state", "refusal": "", "more": 1}}\n',
        b'{"body": {"kind": "wrote", "call_ids": "abc"}}\n',
        b"\xff\xfe\n",
        b"[1, 2]\n",
    ],
)
def test_what_is_no_message_is_refused(line: bytes):
    with pytest.raises(BadMessage):
        Decoder().feed(line)


def test_what_is_refused_is_not_repeated():
    with pytest.raises(BadMessage) as caught:
        Decoder().feed(b'{"body": {"kind": "begin", "settings": {"twilio_auth_token": "hunter2"}, "number": "x"}}\n')
    assert "hunter2" not in str(caught.value)
    assert caught.value.__cause__ is None


def test_a_line_without_an_end_is_given_up():
    decoder = Decoder()
    decoder.feed(b"x" * 1000)
    assert decoder.has_rest
    with pytest.raises(BadMessage):
        decoder.feed(b"x" * MOST_BYTES)
