"""The phone's way in: Twilio's messages become audio for the line and for the pipeline, several of them as one."""

import asyncio
from collections.abc import Callable
from typing import Any, NoReturn

from fastapi import WebSocket
from loguru import logger
from pipecat.audio.dtmf.types import KeypadEntry
from pipecat.frames.frames import Frame, InputAudioRawFrame, InputDTMFFrame
from pipecat.transports.base_transport import BaseTransport
from pipecat.transports.websocket.fastapi import (
    FastAPIWebsocketClient,
    FastAPIWebsocketInputTransport,
    FastAPIWebsocketParams,
)

from pipelines.caller_pieces import CallerPieces, Piece
from pipelines.line import CallLine, note_heard
from pipelines.phone_socket import short_way_of
from pipelines.phone_wire import PhoneWire
from telephony import media_stream
from telephony.media_stream import MalformedMessage, ProtocolViolation

AudioReader = Callable[[bytes, float], None]

_KEYS = frozenset(entry.value for entry in KeypadEntry)


class PhoneInput(FastAPIWebsocketInputTransport):
    """Reads the socket by the short way if it has one, and else by the long one; both bring the same.

    Twilio's 20 ms frames are joined before anybody sees them, because each costs the same on its way, however long it
    is. A message that breaks the protocol in mid-call is counted and passed over: the line is worth more than the rule.

    Attributes:
        pieces: Joins what comes.
        audio_reader: Takes the audio (PCM16 at the line's rate; call time in ms of its last sample) at once, on the
            event loop, and never raises; None: it goes on as a frame.
    """

    def __init__(
        self,
        transport: BaseTransport,
        client: FastAPIWebsocketClient,
        params: FastAPIWebsocketParams,
        *,
        wire: PhoneWire,
        line: CallLine,
    ) -> None:
        """As the base class, with the wire that the messages come on, and the line to tell."""
        super().__init__(transport, client, params)
        self.pieces = CallerPieces(line.caller_hz)
        self.audio_reader: AudioReader | None = None
        self._wire = wire
        self._line = line
        self._broken: asyncio.Future[None] | None = None

    # ---- Pipecat's extension points ----

    async def _receive_messages(self) -> None:
        """Read until the socket is gone, then tell so; from one that the call has left, go on with the next."""
        wire = self._wire
        while True:
            websocket = wire.websocket
            await self._read_socket(websocket)
            if wire.is_open and wire.websocket is websocket:
                break
            await wire.wait_attached()
        if not self._client.is_closing:
            await self._client.trigger_client_disconnected()

    async def _read_socket(self, websocket: WebSocket) -> None:
        self._broken = asyncio.get_running_loop().create_future()
        short_way = short_way_of(websocket)
        reading = asyncio.create_task(self._read(websocket), name="media socket")
        try:
            if short_way is not None:
                short_way.read_by(self._take)
            await asyncio.wait({reading, self._broken}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            if short_way is not None:
                short_way.read_by(None)
            self._broken.cancel()
            reading.cancel()
            await asyncio.wait({reading})
        self._tell(self.pieces.take())

    async def _audio_task_handler(self) -> NoReturn:
        """Push what has to go the long way; the base class would wake up twice a second to miss audio."""
        while True:
            frame: Frame = await self._audio_in_queue.get()  # pyright: ignore[reportUnknownVariableType]
            await self.push_frame(frame)  # pyright: ignore[reportUnknownArgumentType]

    # ---- reading ----

    async def _read(self, websocket: WebSocket) -> None:
        """Read what comes the long way: everything, or only what the short way leaves over."""
        while True:
            message: dict[str, Any] = dict(await websocket.receive())
            if message["type"] == "websocket.disconnect":
                return
            text = message.get("text")
            if text is None:
                text = (message.get("bytes") or b"").decode("utf-8", "replace")
            self._take(text)

    def _take(self, text: str) -> None:
        """Take one message. What it raises is our own fault, and ends the reading."""
        if self._broken is None or self._broken.done():
            return
        try:
            self._take_in(text)
        except Exception as error:
            logger.exception("a message of the media socket could not be dealt with: {}", type(error).__name__)
            self._broken.set_result(None)

    def _take_in(self, text: str) -> None:
        line, wire = self._line, self._wire
        if line.is_hung_up or not wire.is_open:
            return  # the call is over, or somewhere else, whatever else was on its way
        line.last_sign_ms = line.clock.now_ms
        usual = wire.stream.usual_media(text)
        if usual is not None:
            timestamp_ms, payload = usual
            self._tell(self.pieces.add(wire.began_ms + timestamp_ms, payload))
            return
        try:
            event = wire.stream.receive(text)
        except (MalformedMessage, ProtocolViolation) as error:
            line.pass_over(str(error))
            return
        if isinstance(event, media_stream.Media):
            self._tell(self.pieces.add(wire.began_ms + event.timestamp_ms, event.payload))
        elif isinstance(event, media_stream.Mark):
            line.playout.return_mark(event.name, line.clock.now_ms)
        elif isinstance(event, media_stream.Stop):
            self._tell(self.pieces.take())
            line.is_hung_up = True
        elif isinstance(event, media_stream.Dtmf):
            self._tell(self.pieces.take())
            is_taken = line.digit(event.digit)
            # A to D are keys of the standard that Pipecat has no name for, and that no caller's phone has.
            if event.digit in _KEYS and not is_taken and not self._paused and not self._line.is_on_hold:
                self._audio_in_queue.put_nowait(InputDTMFFrame(button=KeypadEntry(event.digit)))

    def _tell(self, pieces: list[Piece]) -> None:
        """Tell of audio that came."""
        for at_ms, heard in pieces:
            pcm = bytes(len(heard)) if self._line.is_private else heard
            until_ms = self._line.caller_audio(at_ms, pcm)
            if self._paused or self._line.is_on_hold:
                continue
            if self.audio_reader is not None:
                self.audio_reader(pcm, until_ms)
            elif self._audio_task is not None:
                frame = InputAudioRawFrame(audio=pcm, sample_rate=self._line.caller_hz, num_channels=1)
                note_heard(frame, until_ms)
                self._audio_in_queue.put_nowait(frame)
