"""The step after the stream survives the database and comes out as TwiML."""

import json
from typing import Any
from xml.etree.ElementTree import fromstring

import pytest

from telephony.next_step import BadStep, NextStep, transfer_to
from telephony.numbers import BadNumber

pytestmark = pytest.mark.unit


@pytest.mark.parametrize(
    ("step", "verbs"),
    [
        (NextStep("hang_up"), ["Hangup"]),
        (NextStep("busy"), ["Say", "Hangup"]),
        (NextStep("apology"), ["Say", "Hangup"]),
        (NextStep("apology", text="Sorry!"), ["Say", "Hangup"]),
        (NextStep("busy", text="Try later.", language="en-GB"), ["Say", "Hangup"]),
        (NextStep("hang_up", told_at="2026-01-01T00:00:00+00:00"), ["Hangup"]),
        (transfer_to("+1 555 123 0199", "+15551230100"), ["Dial"]),
        (transfer_to("+1 555 123 0199", text="One moment.", language="fr-FR"), ["Say", "Dial"]),
    ],
)
def test_a_step_is_kept_and_told(step: NextStep, verbs: list[str]) -> None:
    kept = NextStep.from_json(json.loads(json.dumps(step.as_json())))
    assert kept == step
    told = fromstring(kept.as_twiml(language="en-US", action_url="https://h/twilio/next").encode())
    assert [verb.tag for verb in told] == verbs


def test_a_sentence_is_spoken_in_its_own_language_or_the_agents() -> None:
    for step, language in [
        (transfer_to("+15551230199", text="Moment.", language="de-DE"), "de-DE"),
        (NextStep("apology", text="Sorry."), "en-US"),
        (NextStep("apology"), "en-US"),
        (NextStep("busy", text="Occupé.", language="fr-FR"), "fr-FR"),
    ]:
        said = fromstring(step.as_twiml(language="en-US", action_url="https://h/twilio/next").encode())[0]
        assert said.get("language") == language
        assert said.text == (step.text or said.text)


@pytest.mark.parametrize(
    "stored", [{}, {"kind": "dance"}, {"kind": None}, {"kind": "transfer"}, {"kind": "transfer", "to": "sip:a@b"}]
)
def test_what_is_no_step_is_named(stored: dict[str, Any]) -> None:
    with pytest.raises(BadStep):
        NextStep.from_json(stored)


def test_a_transfer_needs_a_full_number() -> None:
    with pytest.raises(BadNumber):
        transfer_to("reception")
