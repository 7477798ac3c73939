"""Ringing one after the other: what Twilio is told after each report, and what is written down."""

from typing import Any

import pytest

from config.transfers import Transfer
from pipelines.away import Leave
from pipelines.dial_trip import DialTrip
from telephony.away_step import ComeBack, DialOut, DialOutcome, DialReport
from telephony.next_step import NextStep
from transcripts.call import EndReason

pytestmark = pytest.mark.unit

FIRST, SECOND = "+15551230198", "+15551230199"


class Told:
    def __init__(self) -> None:
        self.events: list[tuple[str, dict[str, Any]]] = []
        self.answers = 0

    def event(self, kind: str, **data: Any) -> None:
        self.events.append((kind, data))

    def answered(self) -> None:
        self.answers += 1

    def outcomes(self) -> list[tuple[str, str]]:
        return [(data["address"], data["outcome"]) for kind, data in self.events if kind == "transfer.attempt"]


def trip(told: Told, **fields: Any) -> DialTrip:
    given = {"to": [FIRST, {"address": SECOND, "ring_secs": 8}], "describe": "d"} | fields
    return DialTrip("sales", Transfer.model_validate(given), None, told.event, told.answered, lambda _attempt: None)


def test_each_is_rung_for_its_own_time_and_then_the_call_comes_back() -> None:
    told = Told()
    going = trip(told)
    assert going.first() == DialOut(FIRST, 20, 1)
    assert going.after(DialReport(DialOutcome.BUSY)) == DialOut(SECOND, 8, 2)
    assert going.after(DialReport(DialOutcome.NO_ANSWER)) == ComeBack()
    assert going.outcome is DialOutcome.NO_ANSWER
    assert told.outcomes() == [(FIRST, "busy"), (SECOND, "no_answer")]


@pytest.mark.parametrize(
    ("outcome", "reason"),
    [
        (DialOutcome.ANSWERED, EndReason.TRANSFERRED),
        (DialOutcome.CALLER_HUNG_UP, EndReason.CALLER_HUNG_UP),
    ],
)
def test_one_who_answers_or_leaves_ends_the_call(outcome: DialOutcome, reason: EndReason) -> None:
    going = trip(Told())
    going.first()
    assert going.after(DialReport(outcome, 12)) == Leave(reason, NextStep("hang_up"))


def test_twilio_says_that_nobody_answered_where_the_caller_shall_not_come_back() -> None:
    going = trip(Told(), to=[FIRST], when_not_answered="hang_up")
    going.first()
    assert going.after(DialReport(DialOutcome.FAILED)) == Leave(EndReason.BOT_ENDED, NextStep("not_reached"))


def test_an_end_without_a_report_tells_what_is_known() -> None:
    told = Told()
    going = trip(told)
    going.first()
    assert going.left(EndReason.CALLER_HUNG_UP) is EndReason.CALLER_HUNG_UP
    assert told.outcomes() == [(FIRST, "caller_hung_up")]
    told = Told()
    going = trip(told)
    going.first()
    going.answered(100)
    going.answered(200)
    assert told.answers == 1
    assert going.left(EndReason.DRAINED) is EndReason.TRANSFERRED
    assert told.outcomes() == [(FIRST, "answered")]
