"""Every way in which a call can end, each as a caller who makes it end so."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any
from uuid import uuid4

from simulators.clips import CLIP_RATE_HZ, caller_samples
from simulators.gemini_live import GeminiEmulator
from simulators.simulated_call import SimulatedCall
from simulators.twilio import TwilioSimulator
from tests.calls.conftest import CALLER
from tests.calls.odd_bots import bot_whose_opening_hours
from transcripts.models import CallRow
from transcripts.store import CallStore

SLOW_BOT = bot_whose_opening_hours("await asyncio.sleep(30)")
"""To be in the server's folder of bots as `slow`."""

_FRONT_DESK, _LISTENER, _SLOW, _SILENT, _BRIEF, _DROPPED, _STALLED = (f"+155512301{number}" for number in range(50, 57))
_MARK = "The line of this desk breaks."
_LADDER = ["say", {"transfer": "+15551230199"}]
_PATIENT = {"silence_ask_secs": 50, "silence_hangup_secs": 100}
_LISTENS = {"greeting": "", "on_failure": _LADDER, "limits": _PATIENT}
_IMPATIENT_PIPELINE = [
    "transport.input",
    {"silero_vad": {"stop_secs": 0.3}},
    "user_turns",
    {"gemini_live": {"model": "gemini-3.8-live", "voice": "Aoede", "connection": {"stall_secs": 0.8}}},
    "transport.output",
    "recorder",
    "transcript",
]
AGENTS: dict[str, dict[str, Any]] = {
    "greeter": {"numbers": [_FRONT_DESK], "greeting": "Hello! How can I help?", "on_failure": _LADDER},
    "listener": {"numbers": [_LISTENER], **_LISTENS},
    "slow": {"numbers": [_SLOW], **_LISTENS, "bot": "slow"},
    "silent": {
        "numbers": [_SILENT],
        "greeting": "",
        "limits": {"silence_ask_secs": 0.3, "silence_hangup_secs": 1.5},
    },
    "brief": {"numbers": [_BRIEF], "greeting": "", "limits": {"max_call_secs": 10, "warn_before_secs": 0}},
    "dropped": {"numbers": [_DROPPED], **_LISTENS, "instructions": _MARK},
    "stalled": {"numbers": [_STALLED], **_LISTENS, "pipeline": _IMPATIENT_PIPELINE},
}
"""The agents that are phoned here, as changes to the shipped front desk; the shipped numbers are not theirs."""


@dataclass
class Endings:
    """Callers of one server whose agents are `AGENTS`. Each method is one call, and returns once its row has ended."""

    twilio: TwilioSimulator
    gemini: GeminiEmulator
    store: CallStore
    base_url: str

    def anytime(self) -> list[Callable[[], Awaitable[None]]]:
        """Endings that may come side by side, the quick ones."""
        return [
            self.hang_up_at_once,
            self.hang_up_in_the_greeting,
            self.lose_the_line,
            self.hang_up_while_a_tool_runs,
            self.hang_up_in_the_goodbye,
            self.hear_the_goodbye_out,
            self.say_nothing,
            self.outlive_a_dropped_model,
        ]

    async def hang_up_at_once(self) -> None:
        call = await self._dial(_FRONT_DESK)
        await call.hang_up()
        # Twilio may say so before the stream has reached its call.
        await self._ends(call, "caller_hung_up", "never_connected")

    async def hang_up_in_the_greeting(self) -> None:
        call = await self._dial(_FRONT_DESK)
        await call.wait_heard()
        await call.hang_up()
        await self._ends(call, "caller_hung_up")

    async def lose_the_line(self) -> None:
        call = await self._dial(_FRONT_DESK)
        await call.wait_heard()
        call.caller.socket.abort()
        await self._ends(call, "connection_lost")

    async def hang_up_while_a_tool_runs(self) -> None:
        call = await self._dial_listener(_SLOW)
        await self._say(call, "ask-opening-hours")
        await self._until_told(call, "tool.called")
        await call.hang_up()
        await self._ends(call, "caller_hung_up")
        await self._until_told(call, "tool.cancelled")

    async def hang_up_in_the_goodbye(self) -> None:
        call = await self._dial_listener(_LISTENER)
        await self._say(call, "goodbye")
        await call.wait_heard()
        await call.hang_up()
        await self._ends(call, "caller_hung_up")

    async def hear_the_goodbye_out(self) -> None:
        call = await self._dial_listener(_LISTENER)
        await self._say(call, "goodbye")
        await self._ends(call, "bot_ended")

    async def say_nothing(self) -> None:
        await self._ends(await self._dial(_SILENT), "silence")

    async def talk_too_long(self) -> None:
        await self._ends(await self._dial(_BRIEF), "time_limit")

    async def outlive_a_dropped_model(self) -> None:
        call = await self._dial_listener(_DROPPED)
        for talk in self.gemini.conversations:
            if _MARK in str(talk.setup.get("systemInstruction")) and not talk.closed:
                await talk.close()
        await self._say(call, "goodbye")
        await self._ends(call, "bot_ended")
        await self._until_told(call, "recovery")

    async def outlive_a_stalled_model(self, count: int = 1) -> None:
        """`count` calls. Alone: the stand-in's next replies, whoever they are to, do not come."""
        calls = [await self._dial_listener(_STALLED) for _ in range(count)]
        self.gemini.arm("silence-after-turn", times=count)
        # All at once, so that each reply is struck before the first of them is asked for again.
        await asyncio.gather(*(self._say(call, "hello") for call in calls))
        await asyncio.gather(*(self._hear_after_stall(call) for call in calls))

    async def _hear_after_stall(self, call: SimulatedCall) -> None:
        await self._until_told(call, "model.stalled")
        await self._until_told(call, "agent.began")
        await call.hang_up()
        await self._ends(call, "caller_hung_up")

    async def lose_the_model_for_good(self, count: int = 1) -> None:
        """`count` calls. Alone: meanwhile nobody can reach the stand-in."""
        calls = [await self._dial_listener(_LISTENER) for _ in range(count)]
        self.gemini.arm("http-403", times=None)
        await self.gemini.drop()
        await asyncio.gather(*(self._ends(call, "transferred") for call in calls))
        self.gemini.disarm("http-403")

    async def ring_until_busy(self) -> int:
        """Ring without ever connecting a stream until every slot is taken, then give up; returns how many rang."""
        rang: list[str] = []
        while True:
            sid = f"CA{uuid4().hex}"
            form = {"CallSid": sid, "From": CALLER, "To": _LISTENER, "CallStatus": "ringing"}
            answer = await self.twilio.request(f"{self.base_url}/twilio/voice", form)
            if "<Stream" not in answer.body:
                break
            rang.append(sid)
        await self._row_ends(sid, "refused_busy")
        for sid in rang[1:]:  # the first slot is given back by time
            form = {"CallSid": sid, "From": CALLER, "To": _LISTENER, "CallStatus": "canceled"}
            await self.twilio.request(f"{self.base_url}/twilio/status", form)
            await self._row_ends(sid, "never_connected")
        return len(rang) + 1

    # ---- what they have in common ----

    async def _dial(self, number: str) -> SimulatedCall:
        call = await self.twilio.dial(
            to=number,
            from_=CALLER,
            voice_url=f"{self.base_url}/twilio/voice",
            status_callback=f"{self.base_url}/twilio/status",
        )
        await call.connected()
        return call

    async def _dial_listener(self, number: str) -> SimulatedCall:
        call = await self._dial(number)
        await self._until_told(call, "model.ready")
        return call

    async def _say(self, call: SimulatedCall, clip_id: str) -> None:
        await call.say(await asyncio.to_thread(caller_samples, clip_id), CLIP_RATE_HZ)

    async def _until_told(self, call: SimulatedCall, kind: str) -> None:
        async with asyncio.timeout(20):
            row = await self.store.find_call(call.sid)
            while row is None or kind not in {event.kind for event in await self.store.list_events(row.call_id)}:
                await asyncio.sleep(0.1)
                row = row or await self.store.find_call(call.sid)

    async def _ends(self, call: SimulatedCall, *reasons: str) -> None:
        await call.ended()
        await self._row_ends(call.sid, *reasons)

    async def _row_ends(self, call_sid: str, *reasons: str) -> CallRow:
        async with asyncio.timeout(15):
            while (row := await self.store.find_call(call_sid)) is None or row.status != "ended":  # noqa: ASYNC110
                await asyncio.sleep(0.1)
        assert row.end_reason in reasons, [event.kind for event in await self.store.list_events(row.call_id)]
        return row
