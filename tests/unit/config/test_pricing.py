"""Money in whole millionths, and minutes as they are begun."""

import pytest

from config.prices import load_prices
from config.pricing import micro_usd, most_minutes, per_call_minute, started_minutes

PRICES = load_prices().prices


@pytest.mark.parametrize(
    ("quantity", "price", "amount"),
    [
        (1, "gemini_audio_in", 3),
        (1, "gemini_text_in", 1),  # 0.75, rounded
        (2, "gemini_text_in", 2),  # 1.5: half goes up
        (1000, "gemini_text_in", 750),
        (0, "gemini_audio_out", 0),
        (3, "twilio_incoming_call", 25_500),
        (1, "twilio_media_stream", 4_400),
        (2, "twilio_message", 16_600),
        (1, "twilio_machine_detection", 7_500),
    ],
)
def test_what_so_much_costs(quantity: int, price: str, amount: int) -> None:
    assert micro_usd(quantity, getattr(PRICES, price)) == amount


@pytest.mark.parametrize(("secs", "minutes"), [(0, 0), (0.001, 1), (59.9, 1), (60, 1), (60.1, 2), (-3, 0)])
def test_each_minute_that_is_begun(secs: float, minutes: int) -> None:
    assert started_minutes(secs) == minutes


def test_a_limit_of_money_is_so_many_minutes() -> None:
    assert per_call_minute(PRICES, "outbound") == 18_400
    assert per_call_minute(PRICES, "inbound") == 12_900
    assert [most_minutes(PRICES, usd) for usd in (0, 0.0183, 0.0184, 0.184)] == [0, 0, 1, 10]
