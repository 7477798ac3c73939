"""The phone's transport: its way out, with audio sent ahead and marks behind it, and its way in."""

import asyncio
from typing import Any

from pipecat.frames.frames import (
    AggregatedTextFrame,
    Frame,
    InterruptionFrame,
    OutputAudioRawFrame,
    StartFrame,
    TTSAudioRawFrame,
    TTSTextFrame,
)
from pipecat.processors.frame_processor import FrameDirection
from pipecat.serializers.base_serializer import FrameSerializer
from pipecat.transports.websocket.fastapi import (
    FastAPIWebsocketOutputTransport,
    FastAPIWebsocketParams,
    FastAPIWebsocketTransport,
)

from pipelines.line import CallLine
from pipelines.line_taps import AgentTap
from pipelines.phone_audio import encode_mulaw
from pipelines.phone_input import PhoneInput
from pipelines.phone_wire import PhoneWire
from telephony import media_stream

_MARK_EVERY_MS = 500.0
"""How much audio goes between two marks while the agent speaks."""


class PhoneSerializer(FrameSerializer):
    """Pipecat's frames -> Twilio's JSON; no network side effect (hanging up is the server's business)."""

    def __init__(self, wire: PhoneWire) -> None:
        """Take the wire that it writes for."""
        super().__init__()
        self._wire = wire

    async def serialize(self, frame: Frame) -> str | None:
        """Audio (PCM16 at the line's rate) -> `media`; an interruption -> `clear`; anything else -> None."""
        if isinstance(frame, OutputAudioRawFrame):
            return media_stream.media(self._wire.stream_sid, encode_mulaw(frame.audio))
        if isinstance(frame, InterruptionFrame):
            return media_stream.clear(self._wire.stream_sid)
        return None

    async def deserialize(self, data: str | bytes) -> Frame | None:
        """Nothing: `PhoneInput` reads what comes in."""
        return None


class PhoneOutput(AgentTap, FastAPIWebsocketOutputTransport):
    """Paces what it sends ahead of real time and asks by marks what was really played.

    Attributes:
        lead_ms: Audio sent ahead of its playing. It costs nothing at an interruption, because `clear` empties Twilio's
            buffer, and a loop that is late by less is not heard.
    """

    def __init__(
        self,
        transport: FastAPIWebsocketTransport,
        client: Any,
        params: FastAPIWebsocketParams,
        *,
        line: CallLine,
        wire: PhoneWire,
    ) -> None:
        """As the base class, with the line to tell and the wire to write to."""
        # A frame that waits in two queues on its way to the third is a few turns of a busy loop late.
        super().__init__(transport, client, params, enable_direct_mode=True)
        self.line = line
        self._wire = wire
        wire.on_attached = self.send_mark
        self.lead_ms = 200.0
        self._unmarked_ms = 0.0

    async def start(self, frame: StartFrame) -> None:
        """Begin with a mark behind nothing: how long the way is, is then known before the first word."""
        await super().start(frame)
        # A mark comes back at once when nothing is being played.
        self.line.probe = self.send_mark
        await self.send_mark()
        self.begin_background(self._send_room, lambda: self.line.playout.ahead_ms(self.line.clock.now_ms))

    async def write_audio_frame(self, frame: OutputAudioRawFrame) -> bool:
        """Send one chunk (PCM16 at the line's rate), then wait until the next is due."""
        if self._client.is_closing or not self._client.is_connected or not self._wire.is_open:
            return False
        if self.is_taken_back(frame):
            return True
        pcm = self.before_room(frame.audio)
        await self._send(media_stream.media(self._wire.stream_sid, encode_mulaw(pcm)))
        if self.is_taken_back(frame):
            return True  # meanwhile; the `clear` went out behind it
        self.line.agent_audio(pcm)
        self._unmarked_ms += len(frame.audio) / 2 / self.line.agent_hz * 1000
        if self._unmarked_ms >= _MARK_EVERY_MS:
            await self.send_mark()
        ahead_ms = self.line.playout.ahead_ms(self.line.clock.now_ms)
        if ahead_ms > self.lead_ms:
            await asyncio.sleep((ahead_ms - self.lead_ms) / 1000)
        return True

    async def _send_room(self, pcm: bytes) -> None:
        """Send what is heard while the agent says nothing; it needs no marks, for nobody waits for its end."""
        if self._client.is_connected and not self._client.is_closing and self._wire.is_open:
            await self._send(media_stream.media(self._wire.stream_sid, encode_mulaw(pcm)))
            self.line.agent_background(pcm)

    async def send_mark(self) -> None:
        """Ask Twilio to say when all audio sent so far has been played."""
        self._unmarked_ms = 0.0
        name = f"m{next(self.line.mark_numbers)}"
        self.line.playout.expect_mark(name, self.line.clock.now_ms)
        await self._send(media_stream.mark(self._wire.stream_sid, name))

    async def _send(self, text: str) -> None:
        wire = self._wire
        if wire.is_open and (wire.short_way is None or not wire.short_way.send_now(text)):
            await self._client.send(text)

    async def process_frame(self, frame: Frame, direction: FrameDirection) -> None:
        """Let nothing be said while the call is away from its stream: nobody hears it, so nobody said it."""
        is_voice = isinstance(frame, TTSAudioRawFrame | TTSTextFrame | AggregatedTextFrame)
        if not self.line.is_away or not is_voice:
            await super().process_frame(frame, direction)

    def drop_unsent(self) -> None:
        """At an interruption `clear` is sent (by the base class); it returns the marks that were still out."""
        self._unmarked_ms = 0.0

    async def finish_utterance(self) -> None:
        """Put a last mark behind an utterance: its end is then known."""
        if self._unmarked_ms and not self._client.is_closing:
            await self.send_mark()
        await super().finish_utterance()


class PhoneTransport(FastAPIWebsocketTransport):
    """Pipecat's WebSocket transport with our output. It never closes the socket."""

    def __init__(self, wire: PhoneWire, line: CallLine) -> None:
        """Take the wire and the line that it is the end of."""
        params = FastAPIWebsocketParams(
            serializer=PhoneSerializer(wire),
            audio_in_enabled=True,
            audio_out_enabled=True,
            audio_in_sample_rate=line.caller_hz,
            audio_out_sample_rate=line.agent_hz,
            audio_out_10ms_chunks=10,
            audio_out_end_silence_secs=0,
            add_wav_header=False,
        )
        super().__init__(wire, params)  # pyright: ignore[reportArgumentType]
        self._input = PhoneInput(self, self._client, params, wire=wire, line=line)
        self._output = PhoneOutput(self, self._client, params, line=line, wire=wire)
