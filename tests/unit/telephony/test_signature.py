"""Signatures: what Twilio's own SDK signs is genuine, anything else is not."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from twilio.request_validator import RequestValidator  # pyright: ignore[reportMissingTypeStubs]

from telephony.signature import candidates, is_genuine

pytestmark = pytest.mark.unit

AUTH_TOKEN = "0123456789abcdef0123456789abcdef"
URL = "https://voice.example.com/twilio/voice"


class MultiForm(dict[str, list[str]]):
    """A form as the SDK's validator reads repeated fields."""

    def getlist(self, name: str) -> list[str]:
        return self[name]


def sign(url: str, params: dict[str, list[str]], auth_token: str = AUTH_TOKEN) -> str:
    validator: Any = RequestValidator(auth_token)
    return str(validator.compute_signature(url, MultiForm(params)))


@given(params=st.dictionaries(st.text(max_size=5), st.lists(st.text(max_size=5), min_size=1, max_size=3), max_size=5))
def test_what_the_sdk_signs_is_genuine(params: dict[str, list[str]]) -> None:
    assert is_genuine(AUTH_TOKEN, URL, params, sign(URL, params))


@pytest.mark.parametrize(
    "signature", [None, "", "x", "ÿ", "\ud800", sign(URL, {}, "another token"), sign(URL, {"a": [""]})]
)
def test_anything_else_is_not(signature: str | None) -> None:
    assert not is_genuine(AUTH_TOKEN, URL, {}, signature)


def test_no_auth_token_makes_nothing_genuine() -> None:
    assert not is_genuine("", URL, {}, sign(URL, {}, ""))


@pytest.mark.parametrize(
    "changed",
    ["http://voice.example.com/twilio/voice", "https://evil.example.com/twilio/voice", URL + "?a=b", URL + "/next"],
)
def test_the_signature_of_another_address_is_not(changed: str) -> None:
    assert not is_genuine(AUTH_TOKEN, URL, {}, sign(changed, {}))


@pytest.mark.parametrize(
    "signed",
    [
        "wss://voice.example.com/twilio/stream",
        "wss://voice.example.com/twilio/stream/",
        "wss://voice.example.com:443/twilio/stream",
        "wss://voice.example.com:443/twilio/stream/",
    ],
)
def test_a_socket_is_genuine_in_each_of_twilios_spellings(signed: str) -> None:
    assert is_genuine(AUTH_TOKEN, "wss://voice.example.com/twilio/stream", {}, sign(signed, {}))


def test_candidates_of_a_webhook_differ_in_the_port_only() -> None:
    assert candidates(URL) == (URL, "https://voice.example.com:443/twilio/voice")
    assert candidates("http://h:8080/a?b=c") == ("http://h:8080/a?b=c",)
    assert candidates("https://h:443/a") == ("https://h:443/a", "https://h/a")
