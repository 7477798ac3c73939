"""What so much of something costs: the one arithmetic for plans, limits and the costs of calls. Pure.

Money is whole millionths of a US dollar. A price for a million tokens is as many millionths for one token.
"""

import math
from decimal import ROUND_HALF_UP, Decimal
from typing import Literal

from config.prices import PerCall, PerMillionTokens, PerSegment, PerStartedMinute, Prices

Priced = PerMillionTokens | PerStartedMinute | PerSegment | PerCall
"""What things that calls use are priced by."""

MICRO = 1_000_000


def micro_usd(quantity: int, price: Priced) -> int:
    """Return what `quantity` tokens, minutes, segments or calls cost, rounded once, half up."""
    each = _micro_usd_each(price)
    return int((Decimal(quantity) * each).to_integral_value(rounding=ROUND_HALF_UP))


def started_minutes(secs: float) -> int:
    """Return how many minutes are charged for so many seconds: each that was begun; none for none."""
    return max(0, math.ceil(secs / 60))


def per_call_minute(prices: Prices, direction: Literal["inbound", "outbound"]) -> int:
    """Return what a minute of a phone call costs at Twilio, its stream included, in millionths of a US dollar."""
    call = prices.twilio_outgoing_call if direction == "outbound" else prices.twilio_incoming_call
    return micro_usd(1, call) + micro_usd(1, prices.twilio_media_stream)


def most_minutes(prices: Prices, usd: float) -> int:
    """Return how many minutes of placed calls may be begun for so much money."""
    return int(Decimal(str(usd)) * MICRO // per_call_minute(prices, "outbound"))


def _micro_usd_each(price: Priced) -> Decimal:
    usd = Decimal(str(price.usd))
    return usd if isinstance(price, PerMillionTokens) else usd * MICRO
