"""The phone's transport: Twilio's media messages <-> frames, with 200 ms of audio sent ahead and marks behind it."""

import asyncio
from collections.abc import Callable
from typing import Any

from fastapi import WebSocket
from pipecat.audio.dtmf.types import KeypadEntry
from pipecat.frames.frames import (
    Frame,
    InputAudioRawFrame,
    InputDTMFFrame,
    InterruptionFrame,
    OutputAudioRawFrame,
    StartFrame,
)
from pipecat.serializers.base_serializer import FrameSerializer
from pipecat.transports.websocket.fastapi import (
    FastAPIWebsocketOutputTransport,
    FastAPIWebsocketParams,
    FastAPIWebsocketTransport,
)

from pipelines.line import CallLine
from pipelines.line_taps import AgentTap
from pipelines.phone_audio import decode_mulaw, encode_mulaw
from telephony import media_stream
from telephony.media_stream import MalformedMessage, MediaStream, ProtocolViolation

_LEAD_MS = 200.0
"""Audio sent ahead of its playing. It costs nothing at an interruption, because `clear` empties Twilio's buffer, and a
loop that is late by less is not heard."""

_JOINED_FRAMES = 2
"""So many of Twilio's 20 ms frames pass through the pipeline as one: each costs the same there, however long it is."""

_MARK_EVERY_MS = 200.0
"""How much audio goes between two marks while the agent speaks."""


_KEYS = frozenset(entry.value for entry in KeypadEntry)


def stream_sid_of(stream: MediaStream) -> str:
    """The stream's SID. Raises ValueError when its `start` was not received yet."""
    if stream.start is None:
        raise ValueError("the stream has not started")
    return stream.start.stream_sid


class PhoneSerializer(FrameSerializer):
    """Twilio's JSON <-> Pipecat's frames; no network side effect (hanging up is the server's business).

    A message that breaks the protocol in mid-call is counted and passed over: the line is worth more than the rule.
    """

    def __init__(self, stream: MediaStream, line: CallLine) -> None:
        """Take the stream, `start` already received, and the line to tell."""
        super().__init__()
        self._stream = stream
        self._stream_sid = stream_sid_of(stream)
        self._line = line
        self._pieces: list[InputAudioRawFrame] = []

    def _joined(self, frame: InputAudioRawFrame) -> InputAudioRawFrame | None:
        """Return what came since the last time, once it is enough."""
        self._pieces.append(frame)
        if len(self._pieces) < _JOINED_FRAMES:
            return None
        pieces, self._pieces = self._pieces, []
        whole = InputAudioRawFrame(
            audio=b"".join(piece.audio for piece in pieces), sample_rate=frame.sample_rate, num_channels=1
        )
        whole.metadata.update(frame.metadata)
        return whole

    async def serialize(self, frame: Frame) -> str | None:
        """Audio (PCM16 at the line's rate) -> `media`; an interruption -> `clear`; anything else -> None."""
        if isinstance(frame, OutputAudioRawFrame):
            return media_stream.media(self._stream_sid, encode_mulaw(frame.audio))
        if isinstance(frame, InterruptionFrame):
            return media_stream.clear(self._stream_sid)
        return None

    async def deserialize(self, data: str | bytes) -> Frame | None:
        """`media` -> caller audio, `dtmf` -> a key, `mark` and `stop` -> the line; anything else -> None."""
        if self._line.is_hung_up:
            return None  # the call is over, whatever else was on its way
        self._line.last_sign_ms = self._line.clock.now_ms
        try:
            event = self._stream.receive(data if isinstance(data, str) else data.decode("utf-8", "replace"))
        except (MalformedMessage, ProtocolViolation) as error:
            self._line.pass_over(str(error))
            return None
        if isinstance(event, media_stream.Media):
            pcm = decode_mulaw(event.payload)
            if not pcm:
                return None
            frame = InputAudioRawFrame(audio=pcm, sample_rate=self._line.caller_hz, num_channels=1)
            self._line.caller_audio(event.timestamp_ms, frame)
            return self._joined(frame)
        if isinstance(event, media_stream.Mark):
            self._line.playout.return_mark(event.name, self._line.clock.now_ms)
        elif isinstance(event, media_stream.Stop):
            self._line.is_hung_up = True
        elif isinstance(event, media_stream.Dtmf):
            self._line.digit(event.digit)
            # A to D are keys of the standard that Pipecat has no name for, and that no caller's phone has.
            return InputDTMFFrame(button=KeypadEntry(event.digit)) if event.digit in _KEYS else None
        return None


class PhoneOutput(AgentTap, FastAPIWebsocketOutputTransport):
    """Paces what it sends `_LEAD_MS` ahead of real time and asks by marks what was really played."""

    def __init__(
        self,
        transport: FastAPIWebsocketTransport,
        client: Any,
        params: FastAPIWebsocketParams,
        *,
        line: CallLine,
        send_text: Callable[[str], Any],
        stream_sid: str,
    ) -> None:
        """As the base class, with the line to tell and how to send a raw message."""
        super().__init__(transport, client, params)
        self.line = line
        self._send_text = send_text
        self._stream_sid = stream_sid
        self._unmarked_ms = 0.0

    async def start(self, frame: StartFrame) -> None:
        """Begin with a mark behind nothing: how long the way is, is then known before the first word."""
        await super().start(frame)
        # A mark comes back at once when nothing is being played.
        self.line.probe = self.send_mark
        await self.send_mark()

    async def write_audio_frame(self, frame: OutputAudioRawFrame) -> bool:
        """Send one chunk (PCM16 at the line's rate), then wait until the next is due."""
        if self._client.is_closing or not self._client.is_connected:
            return False
        if self.is_taken_back(frame):
            return True
        if not await self._write_frame(frame):
            return False
        if self.is_taken_back(frame):
            return True  # meanwhile; the `clear` went out behind it
        self.line.agent_audio(frame.audio)
        self._unmarked_ms += len(frame.audio) / 2 / self.line.agent_hz * 1000
        if self._unmarked_ms >= _MARK_EVERY_MS:
            await self.send_mark()
        ahead_ms = self.line.playout.ahead_ms(self.line.clock.now_ms)
        if ahead_ms > _LEAD_MS:
            await asyncio.sleep((ahead_ms - _LEAD_MS) / 1000)
        return True

    async def send_mark(self) -> None:
        """Ask Twilio to say when all audio sent so far has been played."""
        self._unmarked_ms = 0.0
        name = f"m{next(self.line.mark_numbers)}"
        self.line.playout.expect_mark(name, self.line.clock.now_ms)
        await self._send_text(media_stream.mark(self._stream_sid, name))

    def drop_unsent(self) -> None:
        """At an interruption `clear` is sent (by the base class); it returns the marks that were still out."""
        self._unmarked_ms = 0.0

    async def finish_utterance(self) -> None:
        """Put a last mark behind an utterance: its end is then known."""
        if self._unmarked_ms and not self._client.is_closing:
            await self.send_mark()
        await super().finish_utterance()


class _KeptOpen:
    """The socket as a pipeline sees it: its end is not the socket's end, because another one may take over the call."""

    def __init__(self, websocket: WebSocket) -> None:
        self._websocket = websocket

    def __getattr__(self, name: str) -> Any:
        return getattr(self._websocket, name)

    async def close(self) -> None:
        """Leave the socket to whoever accepted it."""


class PhoneTransport(FastAPIWebsocketTransport):
    """Pipecat's WebSocket transport with our output. It never closes the socket."""

    def __init__(self, websocket: WebSocket, stream: MediaStream, line: CallLine) -> None:
        """Take an accepted socket whose `start` has been received."""
        params = FastAPIWebsocketParams(
            serializer=PhoneSerializer(stream, line),
            audio_in_enabled=True,
            audio_out_enabled=True,
            audio_in_sample_rate=line.caller_hz,
            audio_out_sample_rate=line.agent_hz,
            audio_out_10ms_chunks=4,
            audio_out_end_silence_secs=0,
            add_wav_header=False,
        )
        super().__init__(_KeptOpen(websocket), params)  # pyright: ignore[reportArgumentType]
        self._output = PhoneOutput(
            self, self._client, params, line=line, send_text=self._client.send, stream_sid=stream_sid_of(stream)
        )
