"""TwiML documents read into verbs."""

import pytest

from simulators.dialling import Dial, DialTarget
from simulators.twiml_player import ConnectStream, Say, TwimlError, parse_twiml


def test_twiml_is_read_into_verbs() -> None:
    verbs = parse_twiml(
        '<?xml version="1.0"?><Response><!-- greeting --><Say voice="alice">Hello\n  you</Say>'
        '<Connect action="/n" method="get"><Stream url="wss://x.example/s">'
        '<Parameter name="a" value="b&amp;c"/></Stream></Connect><Dial>+15550001111</Dial></Response>'
    )
    assert verbs == (
        Say("Hello you"),
        ConnectStream("wss://x.example/s", "", {"a": "b&c"}, "", "/n", "GET"),
        Dial((DialTarget("Number", "+15550001111"),), "", "", "POST"),
    )
    with pytest.raises(TwimlError, match="500"):
        parse_twiml(
            '<Response><Connect><Stream url="wss://x.example/s">'
            f'<Parameter name="token" value="{"x" * 495}"/></Stream></Connect></Response>'
        )
