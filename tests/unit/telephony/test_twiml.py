"""TwiML is XML that Twilio can execute, whatever the words in it are."""

from collections.abc import Callable
from xml.etree.ElementTree import Element, fromstring

import pytest
from hypothesis import given
from hypothesis import strategies as st

from telephony import twiml

pytestmark = pytest.mark.unit


def verbs(text: str) -> list[Element]:
    assert text.startswith('<?xml version="1.0" encoding="UTF-8"?>')
    response = fromstring(text.encode())
    assert response.tag == "Response"
    return list(response)


def test_a_call_is_connected_to_the_stream() -> None:
    (connect,) = verbs(
        twiml.connect_stream(
            stream_url="wss://h/twilio/stream",
            action_url="https://h/twilio/next",
            parameters={"call_id": "c", "token": "t"},
        )
    )
    assert (connect.tag, connect.attrib) == ("Connect", {"action": "https://h/twilio/next", "method": "POST"})
    (stream,) = connect
    assert (stream.tag, stream.attrib) == ("Stream", {"url": "wss://h/twilio/stream"})
    assert [(p.tag, p.get("name"), p.get("value")) for p in stream] == [
        ("Parameter", "call_id", "c"),
        ("Parameter", "token", "t"),
    ]


@given(st.text())
def test_any_words_can_be_said(text: str) -> None:
    said, hang_up = verbs(twiml.say(text, "en-US"))
    assert (said.tag, said.get("language"), hang_up.tag) == ("Say", "en-US", "Hangup")
    assert len(said.text or "") <= len(text)


def test_say_may_leave_the_line_open() -> None:
    assert [verb.tag for verb in verbs(twiml.say("One moment.", "en-US", then_hang_up=False))] == ["Say"]


def test_markup_in_words_stays_words() -> None:
    said, _ = verbs(twiml.say("<Dial>+1900</Dial> & more", "en-US"))
    assert said.text == "<Dial>+1900</Dial> & more"
    assert list(said) == []


def test_a_transfer_dials_a_number() -> None:
    (dial,) = verbs(twiml.transfer("+15551230199"))
    assert (dial.tag, dial.attrib, dial[0].tag, dial[0].text) == ("Dial", {}, "Number", "+15551230199")
    (dial,) = verbs(twiml.transfer("+15551230199", "+15551230100", "https://h/next"))
    assert dial.attrib == {"callerId": "+15551230100", "action": "https://h/next", "method": "POST"}


def test_a_sentence_may_go_before_a_transfer() -> None:
    said, dial = verbs(twiml.transfer("+15551230199", text="Einen Moment.", language="de-DE"))
    assert (said.tag, said.get("language"), said.text) == ("Say", "de-DE", "Einen Moment.")
    assert (dial.tag, dial[0].text) == ("Dial", "+15551230199")


def test_what_callers_get_when_no_server_answers_asks_nobody() -> None:
    said, dial = verbs(twiml.fallback("Sorry, one moment.", "en-GB", "+15551230199", "+15551230100"))
    assert (said.tag, said.get("language"), said.text) == ("Say", "en-GB", "Sorry, one moment.")
    assert (dial.tag, dial.attrib, dial[0].text) == ("Dial", {"callerId": "+15551230100"}, "+15551230199")
    assert [verb.tag for verb in verbs(twiml.fallback("Sorry. Goodbye.", "en-GB"))] == ["Say", "Hangup"]


def test_a_call_is_held_and_asked_about_again() -> None:
    pause, redirect = verbs(twiml.hold("https://h/next?a=b&c=d", 5))
    assert (pause.tag, pause.get("length"), redirect.tag, redirect.text) == (
        "Pause",
        "5",
        "Redirect",
        "https://h/next?a=b&c=d",
    )


def test_hang_up_and_redirect() -> None:
    assert [verb.tag for verb in verbs(twiml.hang_up())] == ["Hangup"]
    (redirect,) = verbs(twiml.redirect("https://h/a?b=c&d=e"))
    assert (redirect.tag, redirect.text) == ("Redirect", "https://h/a?b=c&d=e")


@pytest.mark.parametrize("sentence", [twiml.busy, twiml.unknown_number, twiml.not_reached])
def test_polite_sentences_speak_the_agents_language_or_english(sentence: Callable[[str], str]) -> None:
    for language, expected in [("de-DE", "de-DE"), ("en-GB", "en-GB"), ("xx-YY", "en-US"), ("", "en-US")]:
        said, hang_up = verbs(sentence(language))
        assert (said.tag, said.get("language"), hang_up.tag) == ("Say", expected, "Hangup")
        assert said.text


def test_an_apology_may_have_its_own_words() -> None:
    assert verbs(twiml.apology("Sorry!", "fr-FR"))[0].text == "Sorry!"
    assert verbs(twiml.apology(language="fr-FR"))[0].get("language") == "fr-FR"
