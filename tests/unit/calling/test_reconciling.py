"""Was the phone rung? What Twilio's list says of one attempt."""

from datetime import UTC, datetime, timedelta

import pytest

from calling.reconciling import Finding, Verdict, judge
from telephony.rest import TwilioCall

STARTED = datetime(2026, 3, 1, 9, tzinfo=UTC)


def listed(call_sid: str, secs: float | None = 1, direction: str = "outbound-api") -> TwilioCall:
    created_at = None if secs is None else STARTED + timedelta(seconds=secs)
    return TwilioCall(call_sid, "ringing", direction, created_at, None)


def look(*calls: TwilioCall, known: tuple[str, ...] = (), open_attempts: int = 1) -> Finding:
    return judge(calls, known=known, started_at=STARTED, open_attempts=open_attempts)


def test_the_one_call_that_nobody_else_has_is_ours() -> None:
    assert look(listed("CA1")) == Finding(Verdict.PLACED, "CA1")
    assert look(listed("CA1"), listed("CA2"), known=("CA2",)) == Finding(Verdict.PLACED, "CA1")
    assert look(listed("CA1", secs=None)) == Finding(Verdict.PLACED, "CA1"), "without a time it may be ours"
    assert look(listed("CA1", secs=-1)) == Finding(Verdict.PLACED, "CA1"), "Twilio's clock is its own"


@pytest.mark.parametrize(
    "call", [listed("CA1", secs=-3600), listed("CA1", secs=3600), listed("CA1", direction="inbound")]
)
def test_what_was_made_at_another_time_or_came_in_is_not_ours(call: TwilioCall) -> None:
    assert look(call).verdict is Verdict.NOT_PLACED
    assert look().verdict is Verdict.NOT_PLACED


def test_what_cannot_be_told_apart_is_left_alone() -> None:
    assert look(listed("CA1"), listed("CA2")).verdict is Verdict.UNCLEAR
    assert look(listed("CA1"), open_attempts=2).verdict is Verdict.UNCLEAR
    assert look(open_attempts=2).verdict is Verdict.NOT_PLACED
