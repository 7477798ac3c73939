"""The model's turns in one conversation: begins, speaks, calls tools, waits for results, completes, is interrupted."""

from __future__ import annotations

import asyncio
import time
import uuid
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any

from simulators import gemini_wire as wire
from simulators.gemini_memory import Memory, OpenCall
from simulators.gemini_voice import Voice
from simulators.mind import Call, Reply, Say, Trouble

Json = dict[str, Any]
MakeReply = Callable[[], Reply]


@dataclass(slots=True)
class _Turn:
    """A turn in progress: what works on it now, and whether the client has seen anything of it yet."""

    task: asyncio.Task[None] | None = None
    is_visible: bool = False

    @property
    def is_working(self) -> bool:
        return self.task is not None and not self.task.done()


@dataclass(frozen=True, slots=True)
class Outlet:
    """Where turns go. `offer_handle(is_resumable)` sends a resumption update; `changed` tells that a log has grown.

    `strike(fault)` lets a fault of the script happen; `cancels_call` says whether the call just made is taken back.
    """

    send: Callable[[Json], Awaitable[None]]
    offer_handle: Callable[[bool], Awaitable[None]]
    changed: Callable[[], None]
    strike: Callable[[str], None]
    cancels_call: Callable[[], bool]


class Turns:
    """At most one turn at a time. Public methods may be called from any task of the loop; they take effect in order.

    `blocking`: declared tools -> is it BLOCKING? `calls` (id, tool, args), `said` and `interruptions` are logs.
    """

    def __init__(
        self, memory: Memory, voice: Voice, outlet: Outlet, tasks: asyncio.TaskGroup, *, reply_delay_ms: int
    ) -> None:
        self.blocking: dict[str, bool] = {}
        self.may_interrupt = True
        self.heard_secs = 0.0
        self.said: list[str] = []
        self.calls: list[tuple[str, str, Json]] = []
        self.interruptions: list[float] = []
        self._memory = memory
        self._voice = voice
        self._outlet = outlet
        self._tasks = tasks
        self._reply_delay_ms = reply_delay_ms
        self._turn: _Turn | None = None
        self._order = asyncio.Lock()
        # What waits for the model to fall silent: results of NON_BLOCKING calls, input that may not interrupt.
        self._waiting: list[tuple[MakeReply, Json | None]] = []

    @property
    def is_under_way(self) -> bool:
        """Is a reply being generated, awaiting a BLOCKING tool, or assumed to be playing?"""
        return self._turn is not None and self._turn.is_visible

    async def begin(self, make_reply: MakeReply) -> None:
        """Starts a reply. One under way is interrupted, or waited for when the client wants no interruptions."""
        async with self._order:
            if self._turn is not None and not self.may_interrupt:
                self._waiting.append((make_reply, None))
                return
            if self.is_under_way:
                await self._interrupt()
            await self._stop()
            self._go_on(make_reply(), None, delay_ms=self._reply_delay_ms)

    async def interrupt(self) -> None:
        """Cuts the turn under way off, if there is one."""
        async with self._order:
            if self.is_under_way:
                await self._interrupt()

    async def take_result(self, call: OpenCall, result: Json, scheduling: str) -> None:
        """The result of an open call. `scheduling` counts for NON_BLOCKING ones: WHEN_IDLE, INTERRUPT or SILENT."""
        async with self._order:
            if not call.is_blocking and scheduling == "SILENT":
                call.reply.close()
                return
            if self._turn is not None and not call.is_blocking and scheduling == "INTERRUPT":
                await self._interrupt()
            if self._turn is not None and (self._turn.is_working or not call.is_blocking):
                self._waiting.append((lambda: call.reply, result))
            else:
                self._go_on(call.reply, result)

    def cancel(self) -> None:
        """The connection is gone: stops without a word."""
        if self._turn is not None and self._turn.task is not None:
            self._turn.task.cancel()

    def _go_on(self, reply: Reply, result: Mapping[str, Any] | None, *, delay_ms: int = 0) -> None:
        turn = self._turn = self._turn or _Turn()
        turn.task = self._tasks.create_task(self._act(turn, reply, result, delay_ms), name="gemini-turn")

    async def _act(self, turn: _Turn, reply: Reply, result: Mapping[str, Any] | None, delay_ms: int) -> None:
        if delay_ms:
            await asyncio.sleep(delay_ms / 1000)
        if not turn.is_visible:
            turn.is_visible = True
            await self._outlet.offer_handle(False)
        while True:
            try:
                step = reply.send(result)
            except StopIteration:
                break
            result = None
            if isinstance(step, Say):
                await self._say(step.text)
            elif isinstance(step, Trouble):
                self._outlet.strike(step.fault)
            elif (result := await self._cancelled(step)) is not None:
                continue
            elif await self._call(step, reply):
                return  # the turn stays open until the result comes
            else:
                break
        await self._voice.finish()
        async with self._order:
            await self._complete()
            if self._waiting:
                make_reply, late_result = self._waiting.pop(0)
                self._go_on(make_reply(), late_result)

    async def _say(self, text: str) -> None:
        self.said.append(text)
        self._outlet.changed()
        self._memory.text_out += len(text)
        self._memory.said_secs += await self._voice.say(text)

    async def _call(self, call: Call, reply: Reply) -> bool:
        """Makes a tool call. True when the turn waits for it."""
        is_blocking = self.blocking.get(call.tool, True)
        call_id = _new_call_id()
        self._memory.open_calls[call_id] = OpenCall(call_id, call.tool, reply, is_blocking)
        await self._send_call(call_id, call)
        return is_blocking

    async def _cancelled(self, call: Call) -> Mapping[str, Any] | None:
        """Makes a tool call and takes it back, when a fault will have it so; what the reply goes on with then."""
        if not self._outlet.cancels_call():
            return None
        call_id = _new_call_id()
        await self._send_call(call_id, call)
        await self._outlet.send(wire.tool_call_cancellation([call_id]))
        return {"error": "The call was cancelled."}

    async def _send_call(self, call_id: str, call: Call) -> None:
        self.calls.append((call_id, call.tool, call.args))
        self._outlet.changed()
        await self._outlet.send(wire.tool_call([(call_id, call.tool, call.args)]))

    async def _complete(self) -> None:
        memory = self._memory
        self._turn = None
        self._voice.rest()
        usage = wire.usage_metadata(
            heard_secs=self.heard_secs, said_secs=memory.said_secs, text_in=memory.text_in, text_out=memory.text_out
        )
        await self._outlet.send({**wire.server_content(turnComplete=True), "usageMetadata": usage})
        await self._outlet.offer_handle(True)

    async def _interrupt(self) -> None:
        await self._stop()
        cancelled = [call for call in self._memory.open_calls.values() if call.is_blocking]
        for call in cancelled:
            del self._memory.open_calls[call.call_id]
            call.reply.close()
        self.interruptions.append(time.monotonic())
        self._outlet.changed()
        if cancelled:
            await self._outlet.send(wire.tool_call_cancellation([call.call_id for call in cancelled]))
        await self._outlet.send(wire.server_content(interrupted=True))
        await self._complete()

    async def _stop(self) -> None:
        turn, self._turn = self._turn, None
        if turn is not None and turn.task is not None and turn.is_working:
            turn.task.cancel()
            await asyncio.wait({turn.task})


def _new_call_id() -> str:
    return f"call-{uuid.uuid4().hex[:12]}"
