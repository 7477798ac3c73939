"""A call away from its stream: what is asked, told and waited for, and when it is lost."""

import asyncio
from typing import Any

import pytest

from pipelines import away as away_module
from pipelines.away import Away, Leave
from telephony.away_step import AwayStep, ComeBack, DialOut, DialOutcome, DialReport, PlayKeys
from telephony.media_stream import Start
from telephony.next_step import NextStep
from transcripts.call import EndReason

START = Start("MZ2", "CA1", "AC1", {})
BUSY = DialReport(DialOutcome.BUSY)


class Wire:
    """A socket without a network."""

    def __init__(self) -> None:
        self.left_count = 0
        self.attached: list[Start] = []

    async def leave(self) -> None:
        self.left_count += 1

    def attach(self, _websocket: Any, start: Start, _now_ms: float) -> asyncio.Future[None]:
        self.attached.append(start)
        return asyncio.get_running_loop().create_future()


class Trip:
    purpose = "test"

    def __init__(self, *steps: AwayStep | Leave) -> None:
        self.steps = list(steps)
        self.reports: list[DialReport] = []

    def first(self) -> AwayStep:
        step = self.steps[0]
        assert not isinstance(step, Leave)
        return step

    def answered(self, at_ms: float) -> None: ...

    def after(self, report: DialReport) -> AwayStep | Leave:
        self.reports.append(report)
        return self.steps[len(self.reports)]

    def left(self, reason: EndReason) -> EndReason:
        return EndReason.TRANSFERRED


class Journey:
    def __init__(self, call: Any) -> None:
        self.call = call
        self.wire = Wire()
        self.ends: list[tuple[EndReason, NextStep | None]] = []
        self.away = Away(self.wire, call.scribe, lambda reason, step: self.ends.append((reason, step)))  # pyright: ignore[reportArgumentType]
        self.task: asyncio.Task[bool] | None = None

    async def go(self, trip: Trip) -> None:
        self.task = asyncio.create_task(self.away.go(trip))
        await asyncio.sleep(0)
        await asyncio.sleep(0)

    def come_back(self, number: str = "1") -> bool:
        return self.away.come_back(number, None, START) is not None  # pyright: ignore[reportArgumentType]

    async def result(self) -> bool:
        assert self.task is not None
        async with asyncio.timeout(1):
            return await self.task


@pytest.fixture
def journey(make_call: Any) -> Journey:
    return Journey(make_call())


async def test_keys_are_pressed_and_the_call_is_back(journey: Journey) -> None:
    await journey.go(Trip(PlayKeys("1")))
    assert journey.wire.left_count == 1
    assert journey.call.line.is_away
    assert not journey.come_back()  # Twilio has not been told to
    assert journey.away.ask() == PlayKeys("1")
    assert not journey.come_back("2")
    assert journey.come_back()
    assert await journey.result()
    assert not journey.call.line.is_away
    assert not journey.come_back()  # one stream, once
    assert [event.kind for event in journey.call.log.events] == ["call.away", "call.back"]
    assert journey.ends == []


async def test_a_question_that_is_asked_again_gets_the_same_answer(journey: Journey) -> None:
    trip = Trip(DialOut("+1", 20, 1), DialOut("+2", 20, 2), ComeBack())
    await journey.go(trip)
    assert journey.away.ask() == journey.away.ask() == DialOut("+1", 20, 1)
    assert journey.away.ask(BUSY, 1) == journey.away.ask(BUSY, 1) == DialOut("+2", 20, 2)
    assert trip.reports == [BUSY]
    assert journey.away.ask(BUSY, 2) == ComeBack()
    assert journey.come_back()
    assert journey.away.ask(BUSY, 2) is None  # it is back: nothing is to be said


async def test_a_stream_that_comes_to_nothing_is_asked_for_again_and_then_the_call_is_lost(journey: Journey) -> None:
    await journey.go(Trip(PlayKeys("1")))
    journey.away.ask()
    assert journey.away.ask(is_same_stream=False) == ComeBack()  # the keys are not pressed again
    assert journey.away.ask(is_same_stream=False) == ComeBack()
    assert journey.away.ask(is_same_stream=False) is None
    assert journey.ends == [(EndReason.CONNECTION_LOST, None)]
    assert not await journey.result()


async def test_a_call_that_is_over_there_ends_here(journey: Journey) -> None:
    hang_up = Leave(EndReason.TRANSFERRED, NextStep("hang_up"))
    await journey.go(Trip(DialOut("+1", 20, 1), hang_up))
    journey.away.ask()
    assert journey.away.over(EndReason.CALLER_HUNG_UP) is EndReason.TRANSFERRED  # the trip knows better
    assert journey.away.ask(BUSY, 1) is None
    assert journey.ends == [(EndReason.TRANSFERRED, NextStep("hang_up"))]
    assert not await journey.result()


async def test_twilio_that_does_not_ask_is_told_and_one_that_cannot_be_told_loses_the_call(
    journey: Journey, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(away_module, "_ASK_SECS", 0.02)
    told: list[AwayStep] = []

    async def tell(step: AwayStep) -> bool:
        told.append(step)
        return True

    journey.away.tell_twilio = tell
    await journey.go(Trip(PlayKeys("1")))
    await asyncio.sleep(0.1)
    assert told == [PlayKeys("1")]
    assert journey.come_back()
    assert await journey.result()
    journey.away.tell_twilio = None
    await journey.go(Trip(PlayKeys("1")))
    assert not await journey.result()
    assert journey.ends == [(EndReason.CONNECTION_LOST, None)]


async def test_a_call_that_does_not_come_back_in_time_is_lost(
    journey: Journey, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(away_module, "_RETURN_SECS", 0.02)
    await journey.go(Trip(ComeBack()))
    journey.away.ask()
    assert not await journey.result()
    assert journey.ends == [(EndReason.CONNECTION_LOST, None)]
    assert [event.kind for event in journey.call.log.events] == ["call.away", "call.not_back"]


async def test_one_absence_at_a_time_which_goes_on_when_nobody_waits_for_it(journey: Journey) -> None:
    await journey.go(Trip(PlayKeys("1")))
    with pytest.raises(RuntimeError, match="away already"):
        await journey.away.go(Trip(PlayKeys("2")))
    assert journey.task is not None
    journey.task.cancel()
    await asyncio.wait({journey.task})
    journey.away.ask()
    assert journey.come_back()
    await journey.away.close()
