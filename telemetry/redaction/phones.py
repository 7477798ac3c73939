"""Whether digits are a telephone number, by what is known of numbering plans."""

import phonenumbers
from phonenumbers import PhoneMetadata

_FIRST = {
    "US": "23456789",
    "GB": "0",
    "DE": "0",
    "FR": "0",
    "NL": "0",
    "AT": "0",
    "CH": "0",
    "BE": "0",
    "IT": "03",
    "ES": "6789",
    "PT": "92",
    "AU": "0",
}
"""Countries whose numbers are known without a code -> the digits that they begin with when they are written in full."""
_SHORTEST, _LONGEST = 9, 13
_GERMAN = frozenset({"DE", "AT"})

for _region in _FIRST:
    # Read now: the first use of a country reads a file, and a log line may come from anywhere.
    PhoneMetadata.metadata_for_region(_region)


def is_national(digits: str) -> bool:
    """Whether somebody would write a whole number so, without a country's code."""
    count = len(digits)
    if not _SHORTEST <= count <= _LONGEST:
        return False
    if count == 11 and digits[0] == "1":
        return is_national(digits[1:]) and digits[1] in _FIRST["US"]
    for region, first in _FIRST.items():
        if digits[0] in first and _fits(region, digits):
            return True
    return False


def is_abroad(digits: str) -> bool:
    """Whether it is a number with 00 and a country's code in front."""
    return digits.startswith("00") and digits[2:3] not in ("0", "") and 10 <= len(digits) <= 17


def _fits(region: str, digits: str) -> bool:
    if region == "US":
        # Any number of the right form: fictional and unassigned ones are said too.
        return len(digits) == 10 and digits[3] in _FIRST["US"]
    if region in _GERMAN and len(digits) < 10:
        return False
    try:
        number = phonenumbers.parse(digits, region)
    except phonenumbers.NumberParseException:
        return False
    return phonenumbers.is_valid_number_for_region(number, region)
