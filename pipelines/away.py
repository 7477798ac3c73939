"""A call that has left its media stream for a while: Twilio presses keys or rings somebody, and connects it again.

Nothing but TwiML can do either, and TwiML begins where the stream ends. So the stream is closed, Twilio asks what is
next, and what it is told ends with a new stream of the same call. Model, scribe, recorder and call time go on.
"""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Protocol

from fastapi import WebSocket
from loguru import logger

from pipelines.phone_wire import PhoneWire
from pipelines.scribe import Scribe
from telephony.away_step import AwayStep, ComeBack, DialOut, DialReport, PlayKeys
from telephony.media_stream import Start
from telephony.next_step import NextStep
from transcripts.call import EndReason

_ASK_SECS = 4.0
"""Twilio asks within a second of the stream's end; after so long it is told by REST."""
_RETURN_SECS = 12.0
"""From telling Twilio to connect the stream to the stream: it has 10 s for the connection."""
_KEY_SECS = 0.6
"""The most that Twilio takes for a key, or for a pause of half a second."""
_DIAL_SPARE_SECS = 20.0
"""From telling Twilio to dial to its report that nobody answered, beyond the ringing itself."""
_LONGEST_TALK_SECS = 4 * 3600 + 60.0
"""Twilio ends what it has dialled after four hours, if nobody else does."""
_MOST_RETURNS = 2

PARAMETER = "back"
"""The parameter of a stream that comes back; its value says from where."""


@dataclass(frozen=True, slots=True)
class Leave:
    """The call is over: why, and what Twilio does with the caller."""

    reason: EndReason
    step: NextStep


class Trip(Protocol):
    """What a call leaves its stream for. Everything is decided at once: Twilio waits for the answer."""

    @property
    def purpose(self) -> str:
        """One word for the call's events."""
        ...

    def first(self) -> AwayStep:
        """What Twilio does first."""
        ...

    def answered(self, at_ms: float) -> None:
        """Whoever is being rung has answered."""
        ...

    def after(self, report: DialReport) -> AwayStep | Leave:
        """What Twilio does after somebody was rung."""
        ...

    def left(self, reason: EndReason) -> EndReason:
        """The call was over meanwhile; returns why it ended, as far as this trip knows better."""
        ...


TellTwilio = Callable[[AwayStep], Awaitable[bool]]
"""Has Twilio do something with the call although it did not ask; False when it cannot be told."""


class Away:
    """The absences of one call from its stream. Everything runs on the event loop's thread.

    Attributes:
        number: Which absence it is, or was last; a stream that comes back names it.
        tell_twilio: What to do when Twilio does not ask; None: nobody can tell it anything.
        on_change: Called whenever the call has left its stream, and when it is back.
    """

    def __init__(self, wire: PhoneWire, scribe: Scribe, end: Callable[[EndReason, NextStep | None], None]) -> None:
        """Take the wire, the call's scribe, and how the call is ended (None: Twilio does what follows from it)."""
        self.number = 0
        self.tell_twilio: TellTwilio | None = None
        self.on_change: Callable[[bool], None] = lambda _is_away: None
        self._wire = wire
        self._scribe = scribe
        self._end = end
        self._trip: Trip | None = None
        self._step: AwayStep | None = None
        self._is_expected = False
        self._returns = 0
        self._left_ms = 0.0
        self._deadline = 0.0
        self._news = asyncio.Event()
        self._tasks: set[asyncio.Task[bool]] = set()

    @property
    def is_away(self) -> bool:
        """Whether the call is away from its stream, or just leaving it."""
        return self._trip is not None

    async def go(self, trip: Trip) -> bool:
        """Leave the stream for this; True when the call is back on one, False when it is over.

        Goes on when whoever waits for it is cancelled. Raises RuntimeError when the call is away already.
        """
        if self.is_away:
            raise RuntimeError("the call is away already")
        task = asyncio.create_task(self._be_away(trip), name=f"away for {trip.purpose}")
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        self._begin(trip)
        return await asyncio.shield(task)

    async def close(self) -> None:
        """The call is over."""
        for task in list(self._tasks):
            task.cancel()
        if self._tasks:
            await asyncio.wait(set(self._tasks))

    # ---- what Twilio asks and tells ----

    def ask(
        self, report: DialReport | None = None, attempt: int | None = None, *, is_same_stream: bool = True
    ) -> AwayStep | None:
        """What Twilio shall do now; None when the call is not away, or is ending: what follows its end is next.

        Args:
            report: How the dialling of `attempt` ended; None when a stream did.
            attempt: As `DialOut` said.
            is_same_stream: Whether it is the stream that the call was on; else one that should have brought it back.
        """
        trip = self._trip
        if trip is None:
            return None
        if report is None:
            step = self._after_stream(trip, is_same_stream)
        elif isinstance(self._step, DialOut) and attempt == self._step.attempt:
            step = trip.after(report)
        else:
            step = self._step  # asked again
        if step is None:
            return None
        if isinstance(step, Leave):
            self._leave(step.reason, step.step)
            return None
        self._take(step)
        return step

    def answered(self) -> None:
        """Whoever is being rung has answered."""
        if self._trip is not None and isinstance(self._step, DialOut):
            self._trip.answered(self._scribe.now_ms)
            self._wait(_LONGEST_TALK_SECS)

    def come_back(self, number: str, websocket: WebSocket, start: Start) -> asyncio.Future[None] | None:
        """Go on with this socket; returns what is done when the call has left it again. None: it is not waited for."""
        if not self._is_expected or number != str(self.number):
            return None
        scribe = self._scribe
        left = self._wire.attach(websocket, start, scribe.now_ms)
        trip, self._trip, self._is_expected = self._trip, None, False
        scribe.line.is_away = False
        scribe.came_back()
        away_ms = round(scribe.now_ms - self._left_ms)
        scribe.event("call.back", purpose=trip.purpose if trip else None, away_ms=away_ms)
        logger.bind(away_ms=away_ms).info("the call is back on a stream")
        self.on_change(False)
        self._news.set()
        return left

    def over(self, reason: EndReason) -> EndReason:
        """The call is over while it was away; returns why it ended."""
        return reason if self._trip is None else self._trip.left(reason)

    # ---- one absence ----

    def _begin(self, trip: Trip) -> None:
        scribe = self._scribe
        self.number += 1
        self._trip, self._step, self._is_expected, self._returns = trip, None, False, 0
        self._left_ms = scribe.now_ms
        scribe.line.is_away = True
        scribe.went_away()
        scribe.event("call.away", purpose=trip.purpose)
        logger.bind(purpose=trip.purpose).info("the call leaves its stream")
        self.on_change(True)
        self._wait(_ASK_SECS)

    async def _be_away(self, trip: Trip) -> bool:
        await self._wire.leave()
        loop = asyncio.get_running_loop()
        while self._trip is trip:
            self._news.clear()
            try:
                async with asyncio.timeout(max(0.0, self._deadline - loop.time())):
                    await self._news.wait()
            except TimeoutError:
                if loop.time() >= self._deadline and self._trip is trip and not await self._tell(trip):
                    self._lose()
                    return False
        return not self._scribe.line.is_away

    def _wait(self, secs: float) -> None:
        """What comes next is waited for so long."""
        self._deadline = asyncio.get_running_loop().time() + secs
        self._news.set()

    async def _tell(self, trip: Trip) -> bool:
        """Twilio has not asked: tell it. False when that cannot be, or it has asked already and nothing came of it."""
        if self._step is not None or self.tell_twilio is None:
            return False
        step = trip.first()
        self._take(step)
        is_told = await self.tell_twilio(step)
        self._scribe.event("call.away_told", is_told=is_told)
        return is_told or self._trip is not trip

    def _after_stream(self, trip: Trip, is_same_stream: bool) -> AwayStep | None:
        if self._step is None:
            return trip.first() if is_same_stream else None
        if is_same_stream or not self._is_expected:
            return self._step  # asked again
        # The stream that was to bring the call back came to nothing.
        self._returns += 1
        if self._returns > _MOST_RETURNS:
            self._lose()
            return None
        return ComeBack()

    def _take(self, step: AwayStep) -> None:
        self._step = step
        match step:
            case DialOut():
                self._is_expected = False
                self._wait(step.ring_secs + _DIAL_SPARE_SECS)
            case PlayKeys():
                self._is_expected = True
                self._wait(len(step.keys) * _KEY_SECS + _RETURN_SECS)
            case ComeBack():
                self._is_expected = True
                self._wait(_RETURN_SECS)

    def _lose(self) -> None:
        logger.warning("a call that left its stream did not come back in time")
        self._scribe.event("call.not_back", after_ms=round(self._scribe.now_ms - self._left_ms))
        self._leave(EndReason.CONNECTION_LOST, None)

    def _leave(self, reason: EndReason, step: NextStep | None) -> None:
        self._is_expected = False
        self._end(reason, step)
        self._trip = None
        self._news.set()
