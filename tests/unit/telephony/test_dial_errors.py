"""Why Twilio would not place a call, and every parameter that a call is placed with."""

import inspect
from typing import Any

import pytest
from twilio.rest.api.v2010.account.call import CallContext, CallList  # pyright: ignore[reportMissingTypeStubs]

from telephony.dial_errors import EXPLAINED, explain
from telephony.rest import TwilioFailed


@pytest.mark.parametrize(
    "code", [10004, 13223, 13224, 20003, 20429, 21210, 21211, 21212, 21214, 21215, 21216, 21217, 21219]
)
def test_the_codes_that_matter_have_a_sentence_of_their_own(code: int) -> None:
    told = explain(TwilioFailed("Twilio refused: HTTP 400", code=code))
    assert told == f"{EXPLAINED[code]} (Twilio's error {code})"


def test_every_sentence_is_one_that_ends() -> None:
    assert all(text[0].isupper() and text.endswith(".") and "  " not in text for text in EXPLAINED.values())


def test_an_unknown_code_leads_to_twilios_page_and_no_code_says_what_happened() -> None:
    assert explain(TwilioFailed("x", code=99999)).endswith("https://www.twilio.com/docs/api/errors/99999")
    assert explain(TwilioFailed("Twilio cannot be reached: TimeoutError")) == (
        "Twilio cannot be reached: TimeoutError; try again later"
    )


def test_the_sdk_knows_what_we_place_calls_with() -> None:
    create: Any = inspect.signature(CallList.create_async).parameters
    names = {"to", "from_", "url", "method", "status_callback", "status_callback_method", "status_callback_event"}
    assert names | {"timeout", "time_limit"} <= set(create)
    assert {"status", "twiml"} <= set(inspect.signature(CallContext.update_async).parameters)
