"""Taps for transports that pace by themselves (WebRTC, Daily): they tell the line what passes, as the phone does."""

import asyncio
from collections.abc import Awaitable, Callable

from pipecat.frames.frames import (
    AggregatedTextFrame,
    BotSpeakingFrame,
    BotStoppedSpeakingFrame,
    Frame,
    InputAudioRawFrame,
    InterruptionFrame,
    OutputAudioRawFrame,
    TTSTextFrame,
)
from pipecat.processors.frame_processor import FrameDirection
from pipecat.transports.base_input import BaseInputTransport
from pipecat.transports.base_output import BaseOutputTransport
from pipecat.utils.utils import obj_id

from pipelines.ambience import Background
from pipelines.line import CallLine, note_heard

_GAP_MS = 200.0
"""Audio that comes this much later or earlier than its samples say was preceded by a pause, not by jitter."""


def spoken_text(frame: Frame) -> str | None:
    """The words whose audio follows this frame, or None.

    A speech-to-speech model sends them in pieces with its audio. A synthesizer announces a whole segment before its
    audio and repeats it afterwards, under the segment's id; only the announcement is in time for an interruption.
    """
    if isinstance(frame, TTSTextFrame):
        return frame.text if frame.segment_id is None else None
    if isinstance(frame, AggregatedTextFrame) and frame.will_be_spoken:
        return f"{frame.text} "
    return None


class AnnouncedTextFrame(TTSTextFrame):
    """Words that no model said."""


class CallerTap(BaseInputTransport):
    """Tells of the caller's audio, placed by its samples: these transports carry no time stamps of the call."""

    line: CallLine
    _heard_ms: float | None = None

    async def push_audio_frame(self, frame: InputAudioRawFrame) -> None:
        """Tell, then let the transport go on."""
        duration_ms = len(frame.audio) / 2 / frame.sample_rate * 1000
        began_ms = max(0.0, self.line.clock.now_ms - duration_ms)
        at_ms = self._heard_ms if self._heard_ms is not None else began_ms
        if abs(began_ms - at_ms) > _GAP_MS:
            at_ms = began_ms
        self._heard_ms = at_ms + duration_ms
        note_heard(frame, self.line.caller_audio(at_ms, frame.audio))
        await super().push_audio_frame(frame)


class AgentTap(BaseOutputTransport):
    """Tells of the agent's audio and words as they are sent."""

    line: CallLine
    passes_audio_on = True
    """Whether the agent's audio goes on through the pipeline when it was sent, for a stage behind the output."""
    tells_of_speaking = True
    """Whether everybody is told five times a second that the agent still speaks; none of our own stages asks."""
    background: Background | None = None
    """The room that is heard behind the agent."""
    _is_cutting = False
    _oldest_id = 0
    _room: asyncio.Task[None] | None = None

    def begin_background(self, send: Callable[[bytes], Awaitable[None]], ahead_ms: Callable[[], float]) -> None:
        """Have the room heard from now on, if there is one; see `Background.run`."""
        if self.background is not None:
            self._room = self.create_task(self.background.run(send, ahead_ms), name="background")

    def before_room(self, pcm: bytes) -> bytes:
        """The agent's voice as it is heard: with the room behind it, if there is one."""
        return pcm if self.background is None else self.background.under(pcm)

    async def cleanup(self) -> None:
        """Let the room fall silent."""
        room, self._room = self._room, None
        if room is not None:
            await self.cancel_task(room)
        await super().cleanup()

    def is_taken_back(self, frame: Frame) -> bool:
        """Whether this audio, or these words, are older than the last interruption.

        Pipecat's output empties its queue then, but not its hands: what it has just taken out it still passes on.
        """
        return frame.interruptible and frame.id < self._oldest_id

    async def write_audio_frame(self, frame: OutputAudioRawFrame) -> bool:
        """Tell, then let the transport send and pace."""
        if self.is_taken_back(frame):
            return True
        self.line.agent_audio(frame.audio)
        return await super().write_audio_frame(frame)

    async def process_frame(self, frame: Frame, direction: FrameDirection) -> None:
        """At an interruption the transport stops first, then the line is told."""
        if not isinstance(frame, InterruptionFrame):
            await super().process_frame(frame, direction)
            return
        self._is_cutting = True
        self._oldest_id = obj_id()
        try:
            await super().process_frame(frame, direction)
        finally:
            self._is_cutting = False
        self._oldest_id = obj_id()
        self.drop_unsent()
        self.line.agent_cut()
        if self.background is not None:
            self.background.hurry()

    async def push_frame(self, frame: Frame, direction: FrameDirection = FrameDirection.DOWNSTREAM) -> None:
        """Tell of words, and of an utterance's end, in order with their audio."""
        if not self.tells_of_speaking and isinstance(frame, BotSpeakingFrame):
            return
        if direction is FrameDirection.DOWNSTREAM:
            text = None if self.is_taken_back(frame) else spoken_text(frame)
            if text is not None:
                self.line.agent_text(text, is_announced=isinstance(frame, AnnouncedTextFrame))
            elif isinstance(frame, BotStoppedSpeakingFrame) and not self._is_cutting:
                # While an interruption is dealt with, this frame says that speech was broken off, not that it is whole.
                await self.finish_utterance()
            elif not self.passes_audio_on and isinstance(frame, OutputAudioRawFrame):
                return
        await super().push_frame(frame, direction)

    def drop_unsent(self) -> None:
        """Forget audio that was written ahead and is not yet on its way; a transport that keeps none has none."""

    async def finish_utterance(self) -> None:
        """Tell that all of an utterance was sent."""
        self.line.agent_finished()
