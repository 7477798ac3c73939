"""What the person who is rung hears, the room, and what Twilio tells of both."""

from datetime import UTC, datetime
from xml.etree.ElementTree import fromstring

import pytest

from simulators.twiml_player import Gather, Hangup, Redirect, Say, parse_twiml
from telephony import transfer_twiml
from telephony.transfer_twiml import TransferUrls
from telephony.transfer_webhooks import is_machine, parse_reply, parse_room_report
from telephony.webhooks import BadForm

pytestmark = pytest.mark.unit

URLS = TransferUrls("https://voice.example.com", "a1b2", "c1")
HERE = "https://voice.example.com/twilio/transfer/a1b2"
NOW = datetime(2026, 3, 1, tzinfo=UTC)


def test_the_briefing_says_the_summary_and_asks() -> None:
    twiml = transfer_twiml.briefing("Alex asks about <a bill> & \x00more.", "de-DE", URLS, asked=0)
    gather, redirect = parse_twiml(twiml)
    assert isinstance(gather, Gather)
    assert (gather.inputs, gather.num_digits, gather.language) == ({"dtmf", "speech"}, 1, "de-DE")
    assert {"ja", "nein"} <= set(gather.hints)
    assert gather.action == f"{HERE}/answer?call=c1"
    [said] = gather.prompts
    assert isinstance(said, Say)
    assert "Alex asks about <a bill> & more." in " ".join(said.text.split())
    assert redirect == Redirect(f"{HERE}/briefing?call=c1&asked=1", "POST")


def test_asked_again_it_only_asks_and_then_goes_on_without_an_answer() -> None:
    gather, redirect = parse_twiml(transfer_twiml.briefing("Alex asks.", "en-US", URLS, asked=1))
    assert isinstance(gather, Gather)
    assert "Alex" not in str(gather.prompts)
    assert gather.action == f"{HERE}/answer?call=c1&asked=1"
    assert redirect == Redirect(f"{HERE}/answer?call=c1&asked=2", "POST")


def test_a_language_without_sentences_is_spoken_to_in_english() -> None:
    assert 'language="en-US"' in transfer_twiml.sentence("gone", "tr-TR")
    assert 'language="fr-CA"' in transfer_twiml.sentence("gone", "fr-CA")
    for kind in ("refused", "gone", "taken", "failed", "deserted"):
        said, hang_up = parse_twiml(transfer_twiml.sentence(kind, "es-ES"))
        assert isinstance(said, Say)
        assert said.text
        assert hang_up == Hangup()


def test_the_room_ends_for_both_and_tells_of_itself() -> None:
    conference = fromstring(transfer_twiml.room(URLS, "person")).find("Dial/Conference")
    assert conference is not None
    assert conference.text == "a1b2"
    assert conference.attrib == {
        "beep": "false",
        "startConferenceOnEnter": "true",
        "endConferenceOnExit": "true",
        "waitUrl": "",
        "participantLabel": "person",
        "statusCallback": f"{HERE}/room?call=c1",
        "statusCallbackMethod": "POST",
        "statusCallbackEvent": "start end join leave",
    }


def test_replies_machines_and_rooms_are_read() -> None:
    reply = parse_reply({"CallSid": ["CA1"], "SpeechResult": ["Yes."], "Confidence": ["0.93"]})
    assert (reply.digits, reply.words, reply.confidence) == ("", "Yes.", 0.93)
    assert parse_reply({"CallSid": ["CA1"], "Digits": ["1"], "Confidence": ["much"]}).confidence is None
    with pytest.raises(BadForm):
        parse_reply({"Digits": ["1"]})
    assert is_machine({"AnsweredBy": ["machine_end_beep"]})
    assert is_machine({"AnsweredBy": ["fax"]})
    assert not is_machine({"AnsweredBy": ["human"]})
    assert not is_machine({})
    stamped = {"Timestamp": ["Sun, 01 Mar 2026 09:00:05 +0000"]}
    report = parse_room_report({"StatusCallbackEvent": ["participant-join"], "CallSid": ["CA1"], **stamped}, NOW)
    assert report is not None
    assert (report.kind, report.call_sid, report.at) == ("join", "CA1", datetime(2026, 3, 1, 9, 0, 5, tzinfo=UTC))
    over = parse_room_report({"StatusCallbackEvent": ["conference-end"], "Timestamp": ["soon"]}, NOW)
    assert over is not None
    assert (over.kind, over.call_sid, over.at) == ("end", None, NOW)
    assert parse_room_report({"StatusCallbackEvent": ["participant-mute"], "CallSid": ["CA1"]}, NOW) is None
    with pytest.raises(BadForm):
        parse_room_report({}, NOW)
