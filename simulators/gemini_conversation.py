"""One Live conversation: takes what the client sends, keeps a log of it, and lets the model take its turns."""

from __future__ import annotations

import asyncio
import time
import uuid
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass
from typing import Any, Self, cast

from simulators import gemini_wire as wire
from simulators.clips import caller_clips
from simulators.ear import SpeechEnded, SpeechStarted
from simulators.faults import Armoury, find_fault
from simulators.gemini_faults import DEADLINE, FaultyLine, Line
from simulators.gemini_listening import Listening
from simulators.gemini_log import AudioLog, Heard, Json, Received, ToolResult
from simulators.gemini_memory import Memories, Memory
from simulators.gemini_turns import MakeReply, Outlet, Turns
from simulators.gemini_voice import Voice
from simulators.gemini_wire import BadMessage
from simulators.mind import Mind, Reply
from simulators.recognition import recognise
from simulators.script import Script, choose_script
from simulators.text_requests import passage_to_read


class Refused(Exception):
    """The client asked for something that closes the connection with `code`; the text is the reason."""

    def __init__(self, reason: str, code: int = 1008) -> None:
        super().__init__(reason)
        self.code = code


@dataclass(frozen=True, slots=True)
class Manner:
    """How the stand-in behaves, for all conversations. `playback_speed`: 1 is real time (the assumed playback)."""

    scripts: Sequence[Script]
    reply_delay_ms: int = 0
    playback_speed: float = 1.0
    keeps_sound: bool = False


class Conversation:
    """One connection of a client. Everything that is public here is for tests to read; times are monotonic seconds.

    Attributes:
        setup: body of the first message, camelCase keys; empty before it came.
        opened_at, ready_at, closed_at: when it was accepted, setupComplete was sent, and it was over; None before.
        audio: the caller's audio as it came.
        received: every other client message.
        history: (role, text) of each clientContent turn.
        heard: the caller's utterances; filled as each has ended and been compared with the clips.
        said: texts of the model, whole, also of replies that were cut off.
        calls: (id, tool, args) of each tool call made.
        tool_results: every function response with its call's id, also of calls that were not open.
        interruptions: when a reply was cut off.
        last_handle: the newest resumption handle given out.
        is_resumed: did this connection go on with an earlier conversation?
        closed: is the connection gone?
    """

    def __init__(self, line: Line, manner: Manner, memories: Memories, armoury: Armoury) -> None:
        self.setup: Json = {}
        self.opened_at = time.monotonic()
        self.ready_at: float | None = None
        self.closed_at: float | None = None
        self.audio = AudioLog(manner.keeps_sound)
        self.received: list[Received] = []
        self.history: list[tuple[str, str]] = []
        self.heard: list[Heard] = []
        self.said: list[str] = []
        self.calls: list[tuple[str, str, Json]] = []
        self.tool_results: list[ToolResult] = []
        self.interruptions: list[float] = []
        self.last_handle: str | None = None
        self.is_resumed = False
        self.closed = False
        self._socket = line
        self._line = FaultyLine(line, armoury, manner.playback_speed, self._start)
        self._armoury = armoury
        self._manner = manner
        self._memories = memories
        self._memory: Memory | None = None
        self._model: Turns | None = None
        self._voice = Voice(self._line.send, manner.playback_speed)
        self._voice.on_speech = self._line.begin_speech
        self._listening = Listening()
        self._tasks = asyncio.TaskGroup()
        self._errands: set[asyncio.Task[None]] = set()
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

    @property
    def is_reading_aloud(self) -> bool:
        """Does this connection only read a sentence aloud? By its setup: no tools, and an instruction that says so."""
        return self._line.is_reading_aloud

    @property
    def handle(self) -> str | None:
        """The resumption handle that the setup presented."""
        return cast(Json, self.setup.get("sessionResumption") or {}).get("handle")

    @property
    def compression(self) -> Json | None:
        """contextWindowCompression of the setup, camelCase keys."""
        return self.setup.get("contextWindowCompression")

    @property
    def close_code(self) -> int | None:
        """How the connection ended, once it has: the code of the side that closed first, 1005 when it was lost."""
        return self._socket.close_code

    @property
    def is_closed_by_us(self) -> bool:
        """Did the stand-in close the connection first?"""
        return self._socket.is_closed_by_us

    async def until(self, is_reached: Callable[[Self], bool], *, timeout_secs: float = 5.0) -> None:
        """Waits for something in the log, for example `lambda talk: len(talk.heard) == 2`.

        Raises:
            TimeoutError: it did not come.
        """
        async with asyncio.timeout(timeout_secs):
            while not is_reached(self):
                self._news.clear()
                await self._news.wait()

    async def go_away(self, time_left_secs: float, *, close_code: int = 1011, reason: str = DEADLINE) -> None:
        """Announces the end, waits for it, and closes (when the client has not left before)."""
        await self._line.go_away(time_left_secs, close_code, reason)

    async def close(self, code: int = 1011, reason: str = "Internal error encountered.") -> None:
        """Drops the connection at once, as the service does on its bad days."""
        await self._socket.close(code, reason)

    async def run(self) -> None:
        """Holds the conversation until the connection ends; what the protocol forbids closes it (1007, 1008).

        What a handle stands for is kept. Raises only on the emulator's own bugs, as an ExceptionGroup.
        """
        async with asyncio.TaskGroup() as tasks:
            self._tasks = tasks
            try:
                async for raw in self._socket.messages():
                    await self._take(raw)
            except BadMessage as error:
                await self._socket.close(1007, str(error)[:120])
            except Refused as error:
                await self._socket.close(error.code, str(error)[:120])
            finally:
                self.closed = True
                self.closed_at = time.monotonic()
                self._news.set()
                if self._model is not None:
                    self._model.cancel()
                for task in self._errands:
                    task.cancel()

    def _start(self, errand: Coroutine[Any, Any, None]) -> None:
        """Runs something beside the conversation, at most until its end."""
        task = self._tasks.create_task(errand, name="gemini-errand")
        self._errands.add(task)
        task.add_done_callback(self._errands.discard)

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
        instruction = wire.content_text(setup.get("systemInstruction"))
        self._line.is_reading_aloud = not tools and "read aloud" in instruction.lower()
        memory = self._remember(setup, tools, instruction)
        script = memory.mind.script
        self._listening = Listening(
            cast(Json, setup.get("realtimeInputConfig") or {}), end_silence_ms=script.end_silence_ms
        )
        generation = cast(Json, setup.get("generationConfig") or {})
        self._voice.is_text = "TEXT" in cast(list[str], generation.get("responseModalities") or ["AUDIO"])
        self._voice.with_transcript = setup.get("outputAudioTranscription") is not None
        outlet = Outlet(self._line.send, self._offer_handle, self._news.set, self._strike, self._line.cancels_call)
        model = Turns(memory, self._voice, outlet, self._tasks, reply_delay_ms=self._manner.reply_delay_ms)
        model.may_interrupt = self._listening.may_interrupt
        self.said, self.calls, self.interruptions = model.said, model.calls, model.interruptions
        self._declare(tools, memory, model)
        self._memory, self._model, self.setup = memory, model, setup
        self._note("setup", setup)
        await self._line.begin_connection()
        await self._line.send(wire.setup_complete(uuid.uuid4().hex))
        self.ready_at = time.monotonic()
        await self._offer_handle(True)

    def _remember(self, setup: Json, tools: dict[str, bool], instruction: str) -> Memory:
        handle = cast(Json, setup.get("sessionResumption") or {}).get("handle")
        if not handle:
            script = choose_script(self._manner.scripts, tools, instruction)
            return Memory(Mind(script, frozenset(tools)), text_in=len(instruction))
        code = self._line.refusal_of_handle()
        if code is not None:
            self._memories.forget(str(handle))
            raise Refused("Request contains an invalid argument: the session cannot be resumed.", code)
        memory = self._memories.find(str(handle))
        if memory is None:
            raise Refused("Session not found: the resumption handle is unknown or has expired.")
        self.is_resumed = True
        return memory

    def _strike(self, fault: str) -> None:
        """A fault that the script wants now."""
        self._armoury.arm(fault)
        if find_fault(fault).occasion == "turn":
            self._line.strike_turn()

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
            role = str(content.get("role") or "user")
            self.history.append((role, text))
            memory.text_in += len(text)
            memory.mind.learn(text)
            if role == "model":
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
        if text is None:
            return
        self._line.begin_turn()
        if self.is_reading_aloud:
            passage = passage_to_read(text)
            await model.begin(lambda: memory.mind.speak(passage))
        else:
            unheard, memory.unheard = memory.unheard, None
            await self._reply(lambda: memory.mind.answer_text(text, unheard), unheard or text, memory, model)

    async def _reply(self, make_reply: MakeReply, words: str, memory: Memory, model: Turns) -> None:
        """Lets the model reply to these words, as far as the faults leave it something to say."""
        if self._line.is_mute:
            return
        spoiled = self._line.spoil(make_reply)
        if spoiled is None:
            memory.unanswered = memory.unheard = words
        await model.begin(spoiled or _nothing)

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
            self.audio.note(audio, time.monotonic())
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
        self._start(self._answer_speech(speech, memory, model))

    async def _answer_speech(self, speech: SpeechEnded, memory: Memory, model: Turns) -> None:
        async with self._one_utterance:
            match = await asyncio.to_thread(recognise, speech.samples, speech.rate_hz)
            length_secs = (speech.end_ms - speech.start_ms) / 1000
            text = caller_clips()[match.clip_id].text if match.clip_id else f"[speech {length_secs:.1f} s]"
            self.heard.append(Heard(match.clip_id, speech.start_ms, speech.end_ms, text, match.score))
            self._news.set()
            self._line.begin_turn()
            if self.setup.get("inputAudioTranscription") is not None:
                await self._voice.send_heard(text)
            memory.unanswered = memory.unheard = None
            await self._reply(lambda: memory.mind.answer_clip(match.clip_id, text), text, memory, model)

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


def _nothing() -> Reply:
    yield from ()
