"""A telephone number as agents' files hold it: E.164."""

import re
from typing import Annotated

import phonenumbers
from phonenumbers import PhoneNumberType
from pydantic import AfterValidator, Field

from config.wording import problem, shown

_E164 = re.compile(r"\+[1-9][0-9]{6,14}")  # ITU-T E.164: at most 15 digits, the country code first


def read_e164(number: str) -> str:
    """Return the number as it is. Raises the error that names its nearest right spelling."""
    if _E164.fullmatch(number):
        return number
    digits = "+" + re.sub(r"[^0-9]", "", number)
    # Without a plus sign nobody can know whether the country code is there.
    is_clear = number.strip().startswith("+") and _E164.fullmatch(digits)
    cure = f'write "{digits}"' if is_clear else 'begin with + and the country code, as in "+15551230100"'
    raise problem(f"must be a phone number in E.164 form (got {shown(number)})", cure)


_COSTLY_KINDS = frozenset({PhoneNumberType.PREMIUM_RATE, PhoneNumberType.SHARED_COST})
# Premium-rate ranges whose numbers the library knows only when they are assigned, and ranges without a country:
# satellites and international networks, whose minutes cost dollars.
_COSTLY_PREFIXES = ("+1900", "+870", "+878", "+881", "+882", "+883", "+979")


def is_costly(number: str) -> bool:
    """Tell whether the number (E.164) is of a kind that costs more than a call."""
    kind = phonenumbers.number_type(phonenumbers.parse(number))
    return kind in _COSTLY_KINDS or number.startswith(_COSTLY_PREFIXES)


PhoneNumber = Annotated[str, AfterValidator(read_e164), Field(json_schema_extra={"pattern": f"^{_E164.pattern}$"})]
"""A number in E.164 form; anything else is refused with the nearest right spelling."""
