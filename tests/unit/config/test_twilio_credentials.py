"""Which of Twilio's keys the REST API is asked with."""

from typing import Any

import pytest

from config.settings import Settings
from config.twilio_credentials import twilio_credentials

pytestmark = pytest.mark.unit
ACCOUNT, KEY = "AC" + "1" * 32, "SK" + "2" * 32


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({}, None),
        ({"twilio_account_sid": ACCOUNT}, None),
        ({"twilio_auth_token": "token"}, None),
        ({"twilio_account_sid": ACCOUNT, "twilio_auth_token": "token"}, (ACCOUNT, ACCOUNT, "token")),
        (
            {
                "twilio_account_sid": ACCOUNT,
                "twilio_auth_token": "token",
                "twilio_api_key_sid": KEY,
                "twilio_api_key_secret": "secret",
            },
            (ACCOUNT, KEY, "secret"),
        ),
    ],
)
def test_an_api_key_goes_before_the_auth_token(given: dict[str, Any], expected: tuple[str, str, str] | None) -> None:
    values = Settings.model_construct().model_dump(exclude={"database_url"}) | given
    assert twilio_credentials(Settings.model_validate(values)) == expected
