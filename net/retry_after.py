"""`Retry-After` read, in both its forms: a number of seconds, or a date.

https://www.rfc-editor.org/rfc/rfc9110#name-retry-after
"""

from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

_LONGEST_WAIT_SECS = 24 * 3600.0


def read_wait_secs(given: str, now: datetime) -> float | None:
    """Return the seconds that a `Retry-After` header stands for at `now` (aware), from 0 to a day.

    None when it says nothing that can be used: whoever asks again then chooses the pause.
    """
    given = given.strip()
    if given.isascii() and given.isdigit():
        # Longer than any day; and Python reads no number of thousands of digits.
        return _LONGEST_WAIT_SECS if len(given) > 9 else min(float(given), _LONGEST_WAIT_SECS)
    try:
        moment = parsedate_to_datetime(given)
    except (ValueError, TypeError, OverflowError):
        return None
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    return min(max(0.0, (moment - now).total_seconds()), _LONGEST_WAIT_SECS)
