"""One Live conversation: takes what the client sends, keeps a log of it, and lets the model take its turns."""

from __future__ import annotations

import asyncio
import time
import uuid
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, Self, cast

from simulators import gemini_wire as wire
from simulators.clips import caller_clips
from simulators.ear import SpeechEnded, SpeechStarted
from simulators.gemini_listening import Listening
from simulators.gemini_log import Heard, Json, Received, ToolResult
from simulators.gemini_memory import Memories, Memory
from simulators.gemini_turns import Outlet, Turns
from simulators.gemini_voice import Voice
from simulators.gemini_wire import BadMessage
from simulators.mind import Mind
from simulators.recognition import recognise
from simulators.script import Script, choose_script


class Line(Protocol):
    """The connection as the conversation sees it. `send` and `close` do nothing once it is closed."""

    async def send(self, message: Json) -> None: ...

    async def close(self, code: int, reason: str) -> None: ...


class Refused(Exception):
    """The client asked for something that is closed with 1008; the text is the reason."""


@dataclass(frozen=True, slots=True)
class Manner:
    """How the stand-in behaves, for all conversations. `playback_speed`: 1 is real time (the assumed playback)."""

    scripts: Sequence[Script]
    reply_delay_ms: int = 0
    playback_speed: float = 1.0


class Conversation:
    """One connection of a client. Everything that is public here is for tests to read.

    Attributes:
        setup: body of the first message, camelCase keys; empty before it came.
        received: every client message.
        heard: the caller's utterances; filled as each has ended and been compared with the clips.
        said: texts of the model, whole, also of replies that were cut off.
        calls: (id, tool, args) of each tool call made.
        tool_results: every function response, also of calls that were not open.
        interruptions: when a reply was cut off (seconds of the monotonic clock).
        last_handle: the newest resumption handle given out.
        is_resumed: did this connection go on with an earlier conversation?
        closed: is the connection gone?
    """

    def __init__(self, line: Line, manner: Manner, memories: Memories) -> None:
        self.setup: Json = {}
        self.received: list[Received] = []
        self.heard: list[Heard] = []
        self.said: list[str] = []
        self.calls: list[tuple[str, str, Json]] = []
        self.tool_results: list[ToolResult] = []
        self.interruptions: list[float] = []
        self.last_handle: str | None = None
        self.is_resumed = False
        self.closed = False
        self._line = line
        self._manner = manner
        self._memories = memories
        self._memory: Memory | None = None
        self._model: Turns | None = None
        self._voice = Voice(line.send, manner.playback_speed)
        self._listening = Listening()
        self._tasks = asyncio.TaskGroup()
        self._utterances: set[asyncio.Task[None]] = set()
        self._one_utterance = asyncio.Lock()
        self._news = asyncio.Event()

    @property
    def script(self) -> str:
        """The name of the script this conversation follows; empty before setup."""
        return self._memory.mind.script.name if self._memory else ""

    @property
    def is_speaking(self) -> bool:
        """Is a reply being generated, awaiting a BLOCKING tool, or assumed to be playing?"""
        return self._model is not None and self._model.is_under_way

    async def until(self, is_reached: Callable[[Self], bool], *, timeout_secs: float = 5.0) -> None:
        """Waits for something in the log, for example `lambda talk: len(talk.heard) == 2`.

        Raises:
            TimeoutError: it did not come.
        """
        async with asyncio.timeout(timeout_secs):
            while not is_reached(self):
                self._news.clear()
                await self._news.wait()

    async def go_away(
        self,
        time_left_secs: float,
        *,
        close_code: int = 1011,
        reason: str = "Deadline expired before operation could complete.",
    ) -> None:
        """Announces the end, waits for it, and closes (when the client has not left before)."""
        await self._line.send(wire.go_away(time_left_secs))
        await asyncio.sleep(time_left_secs)
        await self._line.close(close_code, reason)

    async def close(self, code: int = 1011, reason: str = "Internal error encountered.") -> None:
        """Drops the connection at once, as the service does on its bad days."""
        await self._line.close(code, reason)

    async def run(self, messages: AsyncIterator[str | bytes]) -> None:
        """Holds the conversation until the client's messages end; what the protocol forbids closes it (1007, 1008).

        The memory stays for a resumption. Raises only on the emulator's own bugs, as an ExceptionGroup.
        """
        async with asyncio.TaskGroup() as tasks:
            self._tasks = tasks
            try:
                async for raw in messages:
                    await self._take(raw)
            except BadMessage as error:
                await self._line.close(1007, str(error)[:120])
            except Refused as error:
                await self._line.close(1008, str(error)[:120])
            finally:
                self.closed = True
                self._news.set()
                if self._model is not None:
                    self._model.cancel()
                for task in self._utterances:
                    task.cancel()

    async def _take(self, raw: str | bytes) -> None:
        kind, body = wire.parse_message(raw)
        if self._memory is None or self._model is None:
            if kind != "setup":
                raise BadMessage(f"The first message must be setup, not {kind}.")
            await self._set_up(body)
        elif kind == "setup":
            raise BadMessage("setup must be the first message, and only the first.")
        elif kind == "realtimeInput":
            await self._take_realtime(body, self._memory, self._model)
        else:
            self._note(kind, body)
            if kind == "clientContent":
                await self._take_content(body, self._memory, self._model)
            elif kind == "toolResponse":
                for response in cast(list[Json], body.get("functionResponses") or []):
                    await self._take_result(response, self._memory, self._model)
            elif body.get("tools") is not None:
                self._declare(wire.declared_tools(cast(Json, body["tools"])), self._memory, self._model)

    def _note(self, kind: str, payload: Json) -> None:
        self.received.append(Received(time.monotonic(), kind, payload))
        self._news.set()

    async def _set_up(self, setup: Json) -> None:
        if not setup.get("model"):
            raise BadMessage('Invalid value at "setup.model": required.')
        tools = wire.declared_tools(setup)
        memory = self._remember(setup, tools)
        script = memory.mind.script
        self._listening = Listening(
            cast(Json, setup.get("realtimeInputConfig") or {}), end_silence_ms=script.end_silence_ms
        )
        generation = cast(Json, setup.get("generationConfig") or {})
        self._voice.is_text = "TEXT" in cast(list[str], generation.get("responseModalities") or ["AUDIO"])
        self._voice.with_transcript = setup.get("outputAudioTranscription") is not None
        outlet = Outlet(self._line.send, self._offer_handle, self._news.set)
        model = Turns(memory, self._voice, outlet, self._tasks, reply_delay_ms=self._manner.reply_delay_ms)
        model.may_interrupt = self._listening.may_interrupt
        self.said, self.calls, self.interruptions = model.said, model.calls, model.interruptions
        self._declare(tools, memory, model)
        self._memory, self._model, self.setup = memory, model, setup
        self._note("setup", setup)
        await self._line.send(wire.setup_complete(uuid.uuid4().hex))
        await self._offer_handle(True)

    def _remember(self, setup: Json, tools: dict[str, bool]) -> Memory:
        handle = cast(Json, setup.get("sessionResumption") or {}).get("handle")
        if not handle:
            instruction = wire.content_text(setup.get("systemInstruction"))
            script = choose_script(self._manner.scripts, tools, instruction)
            return Memory(Mind(script, frozenset(tools)), text_in=len(instruction))
        memory = self._memories.find(str(handle))
        if memory is None:
            raise Refused("Session not found: the resumption handle is unknown or has expired.")
        self.is_resumed = True
        return memory

    def _declare(self, tools: dict[str, bool], memory: Memory, model: Turns) -> None:
        memory.mind.tools = frozenset(tools)
        model.blocking = tools

    async def _offer_handle(self, is_resumable: bool) -> None:
        if self._memory is None or self.setup.get("sessionResumption") is None:
            return
        handle = self._memories.keep(self._memory) if is_resumable else None
        self.last_handle = handle or self.last_handle
        await self._line.send(wire.resumption_update(handle))

    # --- text --------------------------------------------------------------------------------------------------

    async def _take_content(self, body: Json, memory: Memory, model: Turns) -> None:
        for content in cast(list[Json], body.get("turns") or []):
            text = wire.content_text(content)
            memory.text_in += len(text)
            if str(content.get("role") or "user") == "model":
                memory.unanswered = None
            elif text.strip():
                memory.unanswered = text
        if not body.get("turnComplete"):
            return
        history = cast(Json, self.setup.get("historyConfig") or {})
        if history.get("initialHistoryInClientContent") and not memory.is_history_given:
            # The first content is history here, and history alone never makes the model speak: a nudge does.
            memory.is_history_given = True
            return
        # Source: Live API guide: a complete clientContent interrupts whatever is being generated.
        await model.interrupt()
        await self._answer_unanswered(memory, model)

    async def _answer_unanswered(self, memory: Memory, model: Turns) -> None:
        text, memory.unanswered = memory.unanswered, None
        if text is not None:
            await model.begin(lambda: memory.mind.answer_text(text))

    async def _take_text(self, text: str, memory: Memory, model: Turns) -> None:
        self._note("text", {"text": text})
        memory.text_in += len(text)
        if text.strip():
            memory.unanswered = text
        await self._answer_unanswered(memory, model)

    # --- speech ------------------------------------------------------------------------------------------------

    async def _take_realtime(self, body: Json, memory: Memory, model: Turns) -> None:
        blobs = [body["audio"]] if body.get("audio") is not None else []
        for blob in [*cast(list[Any], body.get("mediaChunks") or []), *blobs]:
            audio = wire.parse_audio(blob)
            self._note("audio", {"rateHz": audio.rate_hz, "lengthMs": len(audio.samples) * 1000 / audio.rate_hz})
            events = self._listening.hear(audio)
            model.heard_secs = self._listening.heard_secs
            for event in events:
                if isinstance(event, SpeechEnded):
                    self._speech_ended(event, memory, model)
                else:
                    await self._speech_started(event, model)
        if "activityStart" in body:
            self._note("activityStart", {})
            await self._speech_started(self._listening.start_activity(), model)
        if "activityEnd" in body:
            self._note("activityEnd", {})
            self._speech_ended(self._listening.end_activity(), memory, model)
        if body.get("audioStreamEnd"):
            self._note("audioStreamEnd", {})
            self._speech_ended(self._listening.end_stream(), memory, model)
        if body.get("text") is not None:
            await self._take_text(str(body["text"]), memory, model)

    async def _speech_started(self, _: SpeechStarted, model: Turns) -> None:
        if model.may_interrupt:
            await model.interrupt()

    def _speech_ended(self, speech: SpeechEnded | None, memory: Memory, model: Turns) -> None:
        if speech is None:
            return
        # Recognising takes some milliseconds in a thread; the next audio must not wait for it.
        task = self._tasks.create_task(self._answer_speech(speech, memory, model), name="gemini-utterance")
        self._utterances.add(task)
        task.add_done_callback(self._utterances.discard)

    async def _answer_speech(self, speech: SpeechEnded, memory: Memory, model: Turns) -> None:
        async with self._one_utterance:
            match = await asyncio.to_thread(recognise, speech.samples, speech.rate_hz)
            length_secs = (speech.end_ms - speech.start_ms) / 1000
            text = caller_clips()[match.clip_id].text if match.clip_id else f"[speech {length_secs:.1f} s]"
            self.heard.append(Heard(match.clip_id, speech.start_ms, speech.end_ms, text, match.score))
            self._news.set()
            if self.setup.get("inputAudioTranscription") is not None:
                await self._voice.send_heard(text)
            memory.unanswered = None
            await model.begin(lambda: memory.mind.answer_clip(match.clip_id, text))

    # --- tools -------------------------------------------------------------------------------------------------

    async def _take_result(self, response: Json, memory: Memory, model: Turns) -> None:
        call_id = str(response.get("id") or "")
        call = memory.open_calls.get(call_id)
        result = cast(Json, response.get("response") or {})
        name = str(response.get("name") or "")
        self.tool_results.append(ToolResult(call_id, name, result, call is not None, time.monotonic()))
        self._news.set()
        if call is None or response.get("willContinue"):
            return
        del memory.open_calls[call_id]
        scheduling = str(response.get("scheduling") or result.get("scheduling") or "WHEN_IDLE")
        await model.take_result(call, result, scheduling)
