"""Was the phone rung? Twilio's list of calls, read for the call of one attempt whose answer nobody has.

Twilio has no idempotency key and shows no mark of ours in its list, so a call is recognised by its numbers, by when it
was made, and by that no row of ours has it. What cannot be told apart is never dialled again.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from telephony.rest import TwilioCall

# Twilio's times are whole seconds of its own clock.
_SKEW = timedelta(seconds=30)
_LONGEST = timedelta(minutes=10)


class Verdict(StrEnum):
    """What the list says of one attempt."""

    PLACED = "placed"
    NOT_PLACED = "not_placed"
    UNCLEAR = "unclear"
    """Calls are there that may be ours or somebody else's."""


@dataclass(frozen=True, slots=True)
class Finding:
    """The verdict, and Twilio's id of the call when it was placed."""

    verdict: Verdict
    call_sid: str = ""


def judge(calls: Sequence[TwilioCall], *, known: Collection[str], started_at: datetime, open_attempts: int) -> Finding:
    """Look for the call of an attempt among the calls between its two numbers.

    Args:
        calls: what Twilio lists.
        known: ids that rows of ours have already.
        started_at: when the attempt was written down, just before it was sent.
        open_attempts: how many attempts between these numbers wait for an answer, this one included.
    """
    strangers = [call for call in calls if call.call_sid not in known and _may_be_of(call, started_at)]
    if not strangers:
        return Finding(Verdict.NOT_PLACED)
    if len(strangers) == 1 and open_attempts <= 1:
        return Finding(Verdict.PLACED, strangers[0].call_sid)
    return Finding(Verdict.UNCLEAR)


def _may_be_of(call: TwilioCall, started_at: datetime) -> bool:
    if call.direction not in ("", "outbound-api"):
        return False
    return call.created_at is None or started_at - _SKEW <= call.created_at <= started_at + _LONGEST
