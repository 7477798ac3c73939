"""Where a telephone number is, as far as the clock goes."""

from collections.abc import Sequence
from datetime import UTC, datetime, time, tzinfo
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import phonenumbers
from phonenumbers import timezone as number_zones

_NOWHERE = number_zones.UNKNOWN_TIMEZONE


def is_fictional(number: str) -> bool:
    """Tell whether nobody can have this number (E.164): North America keeps some for films, books and tests.

    The whole area code 555, and 555-0100 to 555-0199 in every area code.
    """
    return number.startswith("+1555") or (len(number) == 12 and number.startswith("+1") and number[5:10] == "55501")


def zones_of(number: str) -> Sequence[tzinfo] | None:
    """Return every zone that a number (E.164) may be in; None when that is not known.

    A mobile number may be anywhere in its country, and has all the country's zones. Area code 555 is nowhere and goes
    by UTC. Reads zone files for the first call of a zone: call it in a thread.
    """
    if number.startswith("+1555"):
        return (UTC,)
    names = [name for name in number_zones.time_zones_for_number(phonenumbers.parse(number)) if name != _NOWHERE]
    found: list[tzinfo] = []
    for name in names:
        try:
            found.append(ZoneInfo(name))
        except (ZoneInfoNotFoundError, ValueError):
            return None  # a zone that this machine does not know may be the one where it is night
    return found or None


def is_within(moment: datetime, window: tuple[time, time], zones: Sequence[tzinfo]) -> bool:
    """Tell whether it is within the window at that moment (aware) in each of the zones.

    A window that ends before it begins goes on past midnight.
    """
    begin, end = window

    def is_open(zone: tzinfo) -> bool:
        now = moment.astimezone(zone).time().replace(tzinfo=None)
        return begin <= now < end if begin < end else now >= begin or now < end

    return all(is_open(zone) for zone in zones)
