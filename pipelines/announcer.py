"""Sentences that need no model: on their way to the caller like anything the model says, in order with it."""

import asyncio
from dataclasses import dataclass, field

from pipecat.frames.frames import (
    AggregatedTextFrame,
    DataFrame,
    Frame,
    InterruptionFrame,
    StartFrame,
    SystemFrame,
    TTSAudioRawFrame,
    TTSStartedFrame,
    TTSStoppedFrame,
    TTSTextFrame,
)
from pipecat.processors.frame_processor import FrameDirection, FrameProcessor
from pipecat.utils.text.base_text_aggregator import TextType

from config.agent import AgentConfig
from pipelines.line_taps import AnnouncedTextFrame
from pipelines.scribe import Scribe
from pipelines.sentences import SentenceKind, Sentences, Spoken
from transcripts.call import Call

_OF_THE_MODEL = (TTSAudioRawFrame, AggregatedTextFrame, TTSStartedFrame, TTSStoppedFrame, InterruptionFrame)
_CHUNK_SECS = 0.1
_VOICE = (TTSAudioRawFrame, TTSTextFrame, TTSStartedFrame, TTSStoppedFrame)
_POLL_SECS = 0.05
_SPARE_SECS = 3.0
"""A sentence that is not through so long after it should be will not be heard any more."""


@dataclass
class AnnouncementFrame(DataFrame):
    """A sentence to be spoken when its turn comes."""

    spoken: Spoken
    interruptible: bool = field(default=False, init=False)


class Announcer(FrameProcessor):
    """Stands before the output. Sentences that are asked for go out between what else passes, each in one piece."""

    def __init__(self, call: Call, agent: AgentConfig, sentences: Sentences, scribe: Scribe) -> None:
        """Take whose sentences, where they are found, and who hears them."""
        super().__init__(enable_direct_mode=True)
        self._call = call
        self._agent = agent
        self._sentences = sentences
        self._scribe = scribe
        self._has_started = False
        self._early: list[Frame] = []
        self._unspoken = 0
        self._wanted_count = 0
        self._due_ms = 0.0
        self._is_model_speaking = False
        self._voice = asyncio.Lock()
        self.is_before_conversation = False
        """Whether the model's conversation has yet to begin: what is said now is no part of it."""
        self._is_alone = False
        self._has_dropped = False
        self._skips_half = False

    async def hold_back(self) -> None:
        """From now on nothing of the model is let through, nor any interruption; what is announced is."""
        if not self._is_alone:
            self._is_alone, self._has_dropped = True, False
            if self._is_model_speaking:
                self._is_model_speaking = False
                self._skips_half = True
                await self.push_frame(TTSStoppedFrame())

    async def let_on(self) -> bool:
        """Let the model be heard again, from its next utterance on; returns whether any of it was held back."""
        self._is_alone = False
        return self._has_dropped

    async def break_off(self) -> None:
        """Stop at once what is being said, and hold the model back."""
        await self.hold_back()
        await self.broadcast_interruption()
        self._wanted_count = self._scribe.announced_count + self._unspoken
        self._due_ms = 0.0

    def speak_as(self, agent: AgentConfig) -> None:
        """The agent has switched its language."""
        self._agent = agent

    async def announce(self, kind: SentenceKind | None, text: str | None = None) -> bool:
        """Say the agent's sentence of that kind, or `text` in its place; False when there is no audio for it.

        `kind` also says which clip may stand in for `text`; None: none may.
        """
        spoken = self._find_and_tell(kind, text)
        if spoken is not None:
            await self._queue(spoken)
        return spoken is not None

    async def say_out(self, kind: SentenceKind | None, text: str | None = None) -> bool:
        """As `announce`, and wait until it was heard to its end."""
        spoken = self._find_and_tell(kind, text)
        if spoken is not None:
            await self.play_out(spoken)
        return spoken is not None

    def find(self, kind: SentenceKind | None, text: str | None = None) -> Spoken | None:
        """Return the audio of a sentence, or None."""
        if text is not None:
            return self._sentences.find_text(self._agent, self._agent.render(text, self._call.variables), kind)
        return None if kind is None else self._sentences.find(self._agent, kind, self._call.variables)

    def _find_and_tell(self, kind: SentenceKind | None, text: str | None) -> Spoken | None:
        spoken, name = self.find(kind, text), "say" if kind is None else kind.value
        if spoken is not None:
            self._scribe.event("agent.announced", kind=name, text=spoken.text)
        return spoken

    async def play_out(self, spoken: Spoken) -> None:
        """Send this sound, behind what is being said, and wait until it was heard."""
        await self._queue(spoken)
        await self.wait_heard()

    async def wait_heard(self) -> None:
        """Wait until everything that was announced so far was heard. Returns at once when there is nothing."""
        scribe = self._scribe
        left_ms = max(self._due_ms, scribe.line.playout.end_ms) - scribe.now_ms
        try:
            async with asyncio.timeout(max(0.0, left_ms) / 1000 + _SPARE_SECS):
                while scribe.announced_count < self._wanted_count or not scribe.is_agent_idle:  # noqa: ASYNC110
                    await asyncio.sleep(_POLL_SECS)
        except TimeoutError:
            scribe.event("agent.announcement_lost")

    async def play_piece(self, pcm: bytes, rate_hz: int) -> None:
        """Send a short piece of sound that no words belong to, such as music; it follows the piece before."""
        async with self._voice:
            if self._scribe.agent.is_unheard or self._scribe.agent.is_complete:
                await self.push_frame(TTSStartedFrame())
                await self.push_frame(AnnouncedTextFrame("", text_type=TextType.SENTENCE))
            await self.push_frame(TTSAudioRawFrame(audio=pcm, sample_rate=rate_hz, num_channels=1))

    async def end_pieces(self) -> None:
        """No more pieces follow."""
        async with self._voice:
            await self.push_frame(TTSStoppedFrame())

    async def process_frame(self, frame: Frame, direction: FrameDirection) -> None:
        """Turn an announcement into speech; pass everything else on."""
        await super().process_frame(frame, direction)
        is_early = not self._has_started and direction is FrameDirection.DOWNSTREAM
        if is_early and not isinstance(frame, SystemFrame):
            self._early.append(frame)  # nobody behind us has begun yet
            return
        if isinstance(frame, AnnouncementFrame):
            await self._speak(frame.spoken)
            return
        if (self._is_alone or self._skips_half) and self._is_held(frame, direction):
            return
        if self._scribe.line.is_on_hold and isinstance(frame, _VOICE):
            return  # whatever the model says now is not for a caller on hold
        await self.push_frame(frame, direction)
        if isinstance(frame, StartFrame):
            self._has_started = True
            early, self._early = self._early, []
            for one in early:
                await self.process_frame(one, FrameDirection.DOWNSTREAM)
        elif isinstance(frame, InterruptionFrame):
            # What was on its way is dropped; what waits here is not.
            self._wanted_count = self._scribe.announced_count + self._unspoken
            self._is_model_speaking = False
        elif isinstance(frame, TTSAudioRawFrame):
            self._is_model_speaking = True
        elif isinstance(frame, TTSStoppedFrame):
            self._is_model_speaking = False

    def _is_held(self, frame: Frame, direction: FrameDirection) -> bool:
        if direction is not FrameDirection.DOWNSTREAM or not isinstance(frame, _OF_THE_MODEL):
            return False
        if self._is_alone:
            self._has_dropped = self._has_dropped or isinstance(frame, TTSAudioRawFrame)
            self._skips_half = not isinstance(frame, TTSStoppedFrame | InterruptionFrame)
            return True
        # Let on in the middle of an utterance: its second half alone would be nonsense.
        self._skips_half = not isinstance(frame, TTSStartedFrame | InterruptionFrame)
        return self._skips_half

    async def _queue(self, spoken: Spoken) -> None:
        """A model may be known to be lost before the pipeline has begun."""
        scribe, frame = self._scribe, AnnouncementFrame(spoken)
        self._due_ms = max(self._due_ms, scribe.now_ms, scribe.line.playout.end_ms)
        self._due_ms += len(spoken.pcm) / 2 / spoken.rate_hz * 1000
        self._wanted_count = max(self._wanted_count, scribe.announced_count) + 1
        self._unspoken += 1
        if self._has_started:
            await self.queue_frame(frame)
        else:
            self._early.append(frame)  # nobody has told this processor yet on which loop it is

    async def _speak(self, spoken: Spoken) -> None:
        size = int(_CHUNK_SECS * spoken.rate_hz) * 2
        async with self._voice:
            self._unspoken -= 1
            if self._is_model_speaking:
                # In mid-sentence: our words are none of its, and the caller waits for the rest.
                self._is_model_speaking = False
                await self.push_frame(TTSStoppedFrame())
                self._scribe.await_words()
            await self.push_frame(TTSStartedFrame())
            words = AnnouncedTextFrame(spoken.text, text_type=TextType.SENTENCE)
            words.append_to_context = not self.is_before_conversation
            await self.push_frame(words)
            for start in range(0, len(spoken.pcm), size):
                piece = spoken.pcm[start : start + size]
                await self.push_frame(TTSAudioRawFrame(audio=piece, sample_rate=spoken.rate_hz, num_channels=1))
            await self.push_frame(TTSStoppedFrame())
