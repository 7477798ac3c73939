"""Plays one drill: a caller asks something and says goodbye, and something goes wrong at the former, or before."""

import asyncio
import contextlib
import time

from loguru import logger

from chaos.drills import ANSWERS, DROPPED, Drill, Moment
from chaos.house import AGENT_NUMBER, GREETING, DrillHouse
from chaos.played import Played, Wait
from simulators.caller import CallOver
from simulators.clips import CLIP_RATE_HZ, caller_clips, caller_samples
from simulators.line_faults import Accident
from simulators.simulated_call import SimulatedCall
from transcripts.models import CallEventRow, CallRow

_CALLER = "+15557654321"
_MOST_SECS = 90.0
_PATIENCE_MS = 9000.0
"""A caller who has heard nothing for so long says something else. No row with such a silence is a good one."""
_PAUSE_MS, _WRITTEN_MS = 400.0, 2500.0
"""Quiet behind an answer: after so long the caller goes on, and by then its turn has been written."""
_INTO_SENTENCE_SECS = 1.2
_LAST_WORDS = 3
_POLL_SECS = 0.1
_END_SECS = 45.0
_NO_ROW_SECS = 10.0


async def play(house: DrillHouse, drill: Drill) -> Played:
    """Play it to its end and return what there is to judge. What goes wrong with the drill itself is in `problem`."""
    played, began = Played(drill), time.monotonic()
    calls: list[SimulatedCall] = []
    try:
        async with asyncio.timeout(_MOST_SECS):
            await _Caller(house, played).converse(calls)
    except TimeoutError:
        played.problem = "it did not come to an end"
    except Exception as error:
        logger.exception("a drill broke")
        played.problem = f"the drill broke: {type(error).__name__}: {error}"
    for call in calls:
        await _collect(house, played, call)
    played.took_secs = time.monotonic() - began
    return played


class _Caller:
    """Whoever telephones in a drill, and the trouble that meets him."""

    def __init__(self, house: DrillHouse, played: Played) -> None:
        self._house, self._played, self._drill = house, played, played.drill
        self._row: CallRow | None = None
        self._asking = asyncio.Event()

    async def converse(self, calls: list[SimulatedCall]) -> None:
        house, drill = self._house, self._drill
        self._arm_before()
        url = house.server.base_url
        call = await house.twilio.dial(
            to=AGENT_NUMBER,
            from_=_CALLER,
            voice_url=f"{url}/twilio/voice",
            status_callback=f"{url}/twilio/status",
            status_events=("initiated", "ringing", "answered", "completed"),
        )
        calls.append(call)
        trouble = asyncio.create_task(self._meet_trouble(call), name=f"trouble of {drill.name}")
        try:
            with contextlib.suppress(CallOver):
                await call.connected()
                await self._hear(call, GREETING, from_ms=0.0)
                if drill.moment is Moment.BEFORE_QUESTION:
                    await self._strike()
                await self._say(call, drill.question, drill.answer)
                await self._say(call, "goodbye", ANSWERS["goodbye"])
            await call.ended(timeout_secs=_END_SECS)
        finally:
            trouble.cancel()
            await asyncio.wait({trouble})
        if not trouble.cancelled() and (error := trouble.exception()) is not None:
            raise error

    # ---- trouble ----

    def _arm_before(self) -> None:
        drill = self._drill
        if drill.with_fault is not None:
            self._house.twilio.arm(drill.with_fault)
        if drill.fault is not None and drill.fault.side == "twilio":
            self._house.twilio.arm(drill.fault.name, **drill.settings)
        elif drill.fault is not None and drill.moment is not Moment.BEFORE_QUESTION:
            self._house.gemini.arm(drill.fault.name, times=drill.times, **drill.settings)

    async def _strike(self) -> None:
        """The moment has come."""
        drill, gemini = self._drill, self._house.gemini
        if drill.fault is not None and drill.moment is Moment.BEFORE_QUESTION:
            gemini.arm(drill.fault.name, times=drill.times, **drill.settings)
        if drill.is_dropped:
            await gemini.conversations[-1].close(1011)
            self._played.struck.add(DROPPED)

    async def _meet_trouble(self, call: SimulatedCall) -> None:
        """Wait for a moment in the middle of something."""
        if self._drill.moment is Moment.IN_QUESTION:
            await self._asking.wait()
            await asyncio.sleep(_INTO_SENTENCE_SECS)
            await self._strike()
        elif self._drill.moment is Moment.IN_TOOL:
            while not any(event.kind == "tool.called" for event in await self._events(call)):  # noqa: ASYNC110
                await asyncio.sleep(_POLL_SECS)
            await self._strike()

    async def _events(self, call: SimulatedCall) -> list[CallEventRow]:
        row = await self._find_row(call)
        return [] if row is None else await self._house.store.list_events(row.call_id)

    async def _find_row(self, call: SimulatedCall) -> CallRow | None:
        if self._row is None:
            self._row = await self._house.store.find_call(call.sid)
        return self._row

    # ---- the conversation ----

    async def _say(self, call: SimulatedCall, clip_id: str, answer: str) -> None:
        if call.caller.over.is_set():
            raise CallOver("the call is over")
        self._played.said.append(caller_clips()[clip_id].text)
        samples = await asyncio.to_thread(caller_samples, clip_id)
        self._asking.set()
        await call.say(samples, CLIP_RATE_HZ)
        spoken = call.caller.spoken[-1]
        await self._hear(call, answer, from_ms=spoken.last_loud_sent_ms or float(spoken.end_ms))

    async def _hear(self, call: SimulatedCall, answer: str, *, from_ms: float) -> None:
        """Wait until the model has said this to its end; or until nothing was heard for too long."""
        wait = Wait(from_ms)
        self._played.waits.append(wait)
        while not call.caller.over.is_set():
            heard_ms = max((end_ms for _, end_ms in call.heard_segments()), default=0)
            quiet_ms = call.caller.now_ms() - max(heard_ms, from_ms)
            # An answer is written down as it ends: only then is it worth asking for.
            if heard_ms > from_ms and _PAUSE_MS <= quiet_ms <= _WRITTEN_MS:
                wait.until_ms = await self._answered_ms(call, answer, from_ms)
                if wait.until_ms is not None:
                    wait.is_answered = True
                    return
            elif quiet_ms > _PATIENCE_MS:
                wait.until_ms = call.caller.now_ms()
                return
            await asyncio.sleep(_POLL_SECS)

    async def _answered_ms(self, call: SimulatedCall, answer: str, from_ms: float) -> float | None:
        """When the agent had said the last words of this answer, which it may have begun more than once."""
        row = await self._find_row(call)
        if row is None:
            return None
        last_words = " ".join(answer.split()[-_LAST_WORDS:])
        for turn in await self._house.store.list_turns(row.call_id):
            if turn.speaker == "agent" and turn.end_ms > from_ms and turn.text.endswith(last_words):
                return float(turn.end_ms)
        return None


async def _collect(house: DrillHouse, played: Played, call: SimulatedCall) -> None:
    """Take down what is left of the call, once its row has ended."""
    row = None
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(_NO_ROW_SECS):
            while (row := await house.store.find_call(call.sid)) is None or row.status != "ended":  # noqa: ASYNC110
                await asyncio.sleep(_POLL_SECS)
    await house.server.services.log_writer.flush(5)
    if row is not None:
        played.end_reason = row.end_reason
        played.turns = await house.store.list_turns(row.call_id)
        played.events = await house.store.list_events(row.call_id)
    if call.callers:
        played.heard = call.heard_segments()
        played.stream_ms = call.caller.now_ms()
    played.verbs = list(call.verbs)
    played.told_results = [result.call_id for talk in house.gemini.talks for result in talk.tool_results]
    played.struck |= {strike.name for strike in (*house.gemini.faults.hits, *house.twilio.faults.hits)}
    if isinstance(call.line, Accident) and not call.line.has_struck and played.drill.fault is not None:
        played.struck.discard(played.drill.fault.name)
