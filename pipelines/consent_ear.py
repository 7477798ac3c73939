"""A model that hears nothing but the answer to one question: its own connection, open while the question is.

The model of the conversation is not told of it, and does not hear what is said before the conversation begins.
"""

import asyncio
import contextlib
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any, Literal

from google.genai import Client
from google.genai.types import Content, FunctionResponse, LiveServerMessage
from pipecat.services.llm_service import FunctionCallParams

from config.agent import AgentConfig
from config.pipeline import GeminiLive as GeminiLiveSettings
from pipelines.gemini_setup import LiveSetup, declare_tools
from pipelines.housekeeping import take_apart
from pipelines.line import CallLine
from pipelines.link_listener import Beginning, Cause, Resumption
from pipelines.model_failures import ModelFailure
from pipelines.model_link import ModelLink
from pipelines.model_voice import VOICE_HZ
from pipelines.outbox import Audio
from pipelines.sentences import Spoken

_BEFORE_MS = 1000.0
"""Somebody may begin to answer over the last words of the question."""
_READ_SECS = 10.0
_TOLD_SECS = 3.0
"""How long it stays open after the answer for the model to tell what that used: it does so when its turn ends."""


async def record_consent(params: FunctionCallParams, answer: Literal["yes", "no", "unclear"]) -> None:
    """Record what the caller has answered to the question whether the call may be recorded.

    Args:
        params: Given by the pipeline.
        answer: "yes" only if he clearly agrees, "no" if he refuses, "unclear" for anything else that he says.
    """
    raise NotImplementedError("it is answered where it is heard")


def _instructions(question: str) -> str:
    return (
        f'A caller is asked on the telephone: "{question}" You hear his answer. Once he has spoken, call the function '
        "record_consent with what he answered, in whatever language. Never call it before he has spoken, never guess, "
        "and do not speak yourself, unless you are asked to say something exactly."
    )


class ConsentEar:
    """Hears the line and the model. Implements `LineListener` and `LinkListener`."""

    def __init__(
        self,
        client: Client,
        agent: AgentConfig,
        question: str,
        line: CallLine,
        *,
        on_words: Callable[[str], None],
        on_claim: Callable[[bool | None], None],
        on_failed: Callable[[ModelFailure], None],
        on_message: Callable[[LiveServerMessage, str], None],
    ) -> None:
        """Take whose model it is, what is asked, on which line, and whom to tell. The agent has a `gemini_live`."""
        stage = agent.pipeline.find("gemini_live")
        assert stage is not None, "there is a model to ask"
        settings = GeminiLiveSettings.model_validate(stage.settings)
        tools = tuple(declare_tools([record_consent], settings.model))
        setup = LiveSetup(settings, agent.language, _instructions(question), tools)
        self._link = ModelLink(client, setup, begins_with_content=False)
        self._line = line
        self._on_words, self._on_claim, self._on_failed = on_words, on_claim, on_failed
        self._on_message, self._model = on_message, settings.model
        self._is_listening = False
        self._lately: deque[Audio] = deque()
        self._from_ms = 0.0
        self._reading: asyncio.Future[None] | None = None
        self._voice = bytearray()
        self._said: list[str] = []
        self._has_told = asyncio.Event()
        self._has_told.set()

    def open(self) -> None:
        """Begin to connect, and to keep the last second of what is heard."""
        self._line.listeners.append(self)
        self._link.open()
        self._link.attach(self)

    def listen(self) -> None:
        """The question was asked: hear what is said from now on, and a second before."""
        if not self._is_listening:
            self._is_listening = True
            self._from_ms = self._line.clock.now_ms - _BEFORE_MS
            while self._lately:
                self._link.send_audio(self._lately.popleft())

    async def read(self, text: str) -> Spoken | None:
        """Have the model say exactly this, and return it as sound with what it really said; None when it does not."""
        self._voice.clear()
        self._said.clear()
        self._reading = asyncio.get_running_loop().create_future()
        await self._link.send_realtime_input(text=f'Say exactly this to the caller, and nothing else: "{text}"')
        try:
            async with asyncio.timeout(_READ_SECS):
                await self._reading
        except TimeoutError:
            return None
        finally:
            self._reading = None
        pcm, said = bytes(self._voice[: len(self._voice) // 2 * 2]), "".join(self._said).strip()
        return Spoken(said, pcm, VOICE_HZ) if pcm and said else None

    async def close(self) -> None:
        """Hear no more, and end when the model has told what it used for its answer, or does not."""
        if self in self._line.listeners:
            self._line.listeners.remove(self)
        self._lately.clear()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_TOLD_SECS):
                await self._has_told.wait()
        await self._link.close()
        take_apart([self])  # it and its link would keep each other, and the line of a call that has ended

    def hurry(self) -> None:
        """Close at once: the call is over."""
        self._has_told.set()

    # ---- LineListener ----

    def caller_audio(self, at_ms: float, pcm: bytes) -> None:
        """To the model, once it is to listen."""
        audio = Audio(pcm, self._line.caller_hz, at_ms + len(pcm) / 2 / self._line.caller_hz * 1000)
        if self._is_listening:
            self._link.send_audio(audio)
            return
        self._lately.append(audio)
        while self._lately[0].until_ms < audio.until_ms - _BEFORE_MS:
            self._lately.popleft()

    def agent_audio(self, at_ms: float, pcm: bytes) -> None:
        """It hears the caller only."""

    def agent_text(self, text: str, *, is_announced: bool) -> None:
        """It hears the caller only."""

    def agent_finished(self) -> None:
        """It hears the caller only."""

    def agent_cut(self, at_ms: float) -> None:
        """It hears the caller only."""

    def digit(self, at_ms: float, digit: str) -> None:
        """Keys need no model."""

    # ---- LinkListener ----

    async def link_message(self, message: LiveServerMessage) -> None:
        """What it has understood, and what it says when it is to read."""
        self._on_message(message, self._model)
        content = message.server_content
        if message.usage_metadata is not None:
            self._has_told.set()
        if message.tool_call is not None:
            self._has_told.clear()
            for call in message.tool_call.function_calls or []:
                await self._answer(call.id or "", call.name or "", call.args or {})
        if content is None:
            return
        if content.input_transcription is not None and content.input_transcription.text:
            self._on_words(content.input_transcription.text)
        if content.output_transcription is not None and content.output_transcription.text:
            await self.link_words(content.output_transcription.text)
        for part in (content.model_turn.parts if content.model_turn is not None else None) or []:
            if part.inline_data is not None and part.inline_data.data:
                await self.link_voice(part.inline_data.data)
        if (content.turn_complete or content.interrupted) and self._reading is not None and not self._reading.done():
            self._reading.set_result(None)

    async def _answer(self, call_id: str, name: str, arguments: dict[str, Any]) -> None:
        self._link.note_call(call_id)
        if name == record_consent.__name__:
            self._on_claim({"yes": True, "no": False}.get(str(arguments.get("answer")).strip().lower()))
        response = FunctionResponse(id=call_id, name=name, response={"noted": True})
        await self._link.send_tool_response(function_responses=response)

    async def link_voice(self, pcm: bytes) -> None:
        """Kept while it reads; else nobody hears it."""
        if self._reading is not None:
            self._voice += pcm

    async def link_words(self, words: str) -> None:
        """Kept while it reads."""
        if self._reading is not None:
            self._said.append(words)

    async def link_pause(self) -> None:
        """Nothing waits for it."""

    def link_ready(self, beginning: Beginning, cause: Cause, took_secs: float) -> None:
        """It hears what waits for it."""

    async def link_lost(self, cause: Cause, failure: ModelFailure | None) -> None:
        """Another connection is being made; what this one used, nobody will tell."""
        self._has_told.set()

    def link_attempt_failed(self, failure: ModelFailure) -> None:
        """Others follow."""

    def link_failed(self, cause: Cause, failure: ModelFailure) -> None:
        """Nobody will hear the answer."""
        self._on_failed(failure)

    def link_going(self, time_left_secs: float | None) -> None:
        """The link deals with it."""

    def link_resumable(self) -> None:
        """There is little to resume."""

    def link_malformed(self, count: int) -> None:
        """Passed over."""

    def history(self) -> Sequence[Content]:
        """Nothing was said that it has to know."""
        return []

    def resumption(self, beginning: Beginning) -> Resumption:
        """What was said since the question is said again."""
        return Resumption(self._from_ms if self._is_listening else float("inf"))

    def as_prompt(self, result: FunctionResponse) -> str:
        """It need not know."""
        return ""

    def is_quiet(self) -> bool:
        """Never for so short a time."""
        return False
