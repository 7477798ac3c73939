"""A browser as a line: its offer is answered, its microphone and loudspeaker become a transport.

Imported only when a browser calls, by `pipelines.transports`: the WebRTC libraries take seconds to load, and a server
that only answers phones never needs them.
"""

import asyncio
from collections import deque
from typing import Any, cast

from aiortc import RTCPeerConnection
from pipecat.frames.frames import InputAudioRawFrame, OutputAudioRawFrame, StartFrame
from pipecat.transports.base_transport import TransportParams
from pipecat.transports.smallwebrtc.connection import SmallWebRTCConnection
from pipecat.transports.smallwebrtc.transport import (
    RawAudioTrack,
    SmallWebRTCInputTransport,
    SmallWebRTCOutputTransport,
    SmallWebRTCTransport,
)

from pipelines.line import CallLine
from pipelines.line_taps import AgentTap, CallerTap

_LOST_AFTER_MS = 3000.0
"""A browser that closes its end says so while its microphone still sends; one that was lost (crash, cable) has been
silent for about 30 s by the time WebRTC gives up on it (RFC 7675, six unanswered checks)."""

_LEAD_MS = 200.0
"""Audio handed to the track ahead of its sending, as on the phone; an interruption takes it back."""
_TRACK_CHUNK_MS = 10
"""What Pipecat's track sends at a time."""


class _Input(CallerTap, SmallWebRTCInputTransport):
    last_audio_ms = 0.0

    async def push_audio_frame(self, frame: InputAudioRawFrame) -> None:
        self.last_audio_ms = self.line.clock.now_ms
        await super().push_audio_frame(frame)


class _Output(AgentTap, SmallWebRTCOutputTransport):
    async def start(self, frame: StartFrame) -> None:
        await super().start(frame)
        self.begin_background(self._send_room, lambda: self._ahead_ms)

    async def write_audio_frame(self, frame: OutputAudioRawFrame) -> bool:
        track = self._track
        if track is None or not self._client.is_connected or self._client.is_closing:
            return False
        if self.is_taken_back(frame):
            return True
        # Pipecat's own method waits until the chunk is gone; then the track finds nothing and sends silence between
        # two chunks whenever the loop is late, and the voice comes in pieces.
        pcm = self.before_room(frame.audio)
        track.add_audio_bytes(pcm)
        self.line.agent_audio(pcm)
        if self._ahead_ms > _LEAD_MS:
            await asyncio.sleep((self._ahead_ms - _LEAD_MS) / 1000)
        return True

    async def _send_room(self, pcm: bytes) -> None:
        if self._track is not None and self._client.is_connected and not self._client.is_closing:
            self._track.add_audio_bytes(pcm)
            self.line.agent_background(pcm)
        else:
            await asyncio.sleep(_TRACK_CHUNK_MS / 1000)

    @property
    def _ahead_ms(self) -> float:
        """How much audio waits in the track."""
        if self._track is None:
            return 0.0
        waiting = cast(deque[Any], self._track._chunk_queue)  # pyright: ignore[reportPrivateUsage, reportUnknownMemberType]
        return len(waiting) * _TRACK_CHUNK_MS

    def drop_unsent(self) -> None:
        if self._track is not None:
            self._track._chunk_queue.clear()  # pyright: ignore[reportPrivateUsage]

    @property
    def _track(self) -> RawAudioTrack | None:
        return self._client._audio_output_track  # pyright: ignore[reportPrivateUsage]


class BrowserTransport(SmallWebRTCTransport):
    """Pipecat's WebRTC transport, with a line that knows a hang-up from a lost connection."""

    def __init__(self, connection: SmallWebRTCConnection, line: CallLine) -> None:
        """Take a connection whose offer was answered, and the line to tell."""
        params = TransportParams(
            audio_in_enabled=True,
            audio_out_enabled=True,
            audio_in_sample_rate=line.caller_hz,
            audio_out_sample_rate=line.agent_hz,
            audio_out_end_silence_secs=0,
        )
        super().__init__(connection, params)
        self._line = line
        self._incoming = _Input(self._client, params)
        outgoing = _Output(self._client, params)
        self._incoming.line = outgoing.line = line
        self._input, self._output = self._incoming, outgoing

    async def _on_client_disconnected(self, webrtc_connection: SmallWebRTCConnection) -> None:
        if self._line.clock.now_ms - self._incoming.last_audio_ms < _LOST_AFTER_MS:
            self._line.is_hung_up = True
        await super()._on_client_disconnected(webrtc_connection)  # pyright: ignore[reportUnknownMemberType]


class _Connection(SmallWebRTCConnection):
    """A connection without pictures, which does not warn that there are none."""

    def video_input_track(self) -> None:
        """Return that there is no camera."""

    def screen_video_input_track(self) -> None:
        """Return that no screen is shared."""


class WebRtcPeer:
    """A browser at the other end of a peer connection."""

    def __init__(self) -> None:
        """Make a peer without ICE servers: browser and server must reach each other directly."""
        self.connection = _Connection()
        self._changed = asyncio.Event()

    @property
    def _pc(self) -> RTCPeerConnection:
        return self.connection.pc

    async def answer(self, sdp: str, kind: str) -> str:
        """Take the browser's session description, return ours. Raises ValueError for what is none, or has no audio."""
        if "\na=fingerprint:" not in sdp or "\na=ice-ufrag:" not in sdp:
            # aiortc would answer it and then fail in a task of its own.
            raise ValueError("the session description names no key or no way to connect")
        self._pc.on("connectionstatechange", self._on_change)
        try:
            await self.connection.initialize(sdp, kind)
        except Exception as error:
            # aiortc parses by splitting: what it raises for a wrong text is whatever the split ran into.
            problem = f"{type(error).__name__}: {error}"
            raise ValueError(f"the session description cannot be used ({problem})") from error
        answer: dict[str, Any] | None = self.connection.get_answer()
        if answer is None or not any(transceiver.kind == "audio" for transceiver in self._pc.getTransceivers()):
            raise ValueError("the session description offers no audio")
        return str(answer["sdp"])

    async def wait_connected(self, timeout_secs: float) -> bool:
        """Wait until audio can flow. False when the browser did not come, or left again, in that time."""
        try:
            async with asyncio.timeout(timeout_secs):
                while self._pc.connectionState not in ("connected", "failed", "closed"):
                    self._changed.clear()
                    await self._changed.wait()
        except TimeoutError:
            return False
        return self._pc.connectionState == "connected"

    async def close(self) -> None:
        """Close the connection; the browser notices at once."""
        await self.connection.disconnect()

    def _on_change(self) -> None:
        self._changed.set()
