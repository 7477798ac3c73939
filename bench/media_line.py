"""Twilio's end of one media stream, on the wire: a caller's frames out, what the server plays in.

Message shapes: https://www.twilio.com/docs/voice/media-streams/websocket-messages.
"""

import asyncio
import binascii
import json
import re
import time
from collections.abc import Mapping

from picows import WSFrame, WSListener, WSMsgType, WSTransport

from bench.caller import Caller
from bench.loudness import is_loud_ulaw

_MEDIA = re.compile(rb'"payload"\s*:\s*"([^"]*)"')
_FRAME_MS = 20


class MediaLine(WSListener):
    """The socket of one stream.

    Attributes:
        over: set when the caller has hung up, or the connection is gone.
        closed: set when the connection is gone.
    """

    def __init__(self, call_sid: str, stream_sid: str) -> None:
        """Wait for the connection."""
        self.over = asyncio.Event()
        self.closed = asyncio.Event()
        self._call_sid = call_sid
        self._stream_sid = stream_sid
        self._caller: Caller | None = None
        self._transport: WSTransport | None = None
        self._is_stopped = False
        self._sequence = 1
        self._chunk = 0
        self._tail = b'"},"streamSid":"%b"}' % stream_sid.encode()

    def begin(self, account_sid: str, parameters: Mapping[str, str]) -> None:
        """Say `connected` and `start`; `parameters` are those of the TwiML."""
        self._send_json({"event": "connected", "protocol": "Call", "version": "1.0.0"})
        start = {
            "accountSid": account_sid,
            "streamSid": self._stream_sid,
            "callSid": self._call_sid,
            "tracks": ["inbound"],
            "mediaFormat": {"encoding": "audio/x-mulaw", "sampleRate": 8000, "channels": 1},
            "customParameters": dict(parameters),
        }
        self._send_json({"event": "start", "sequenceNumber": "1", "start": start, "streamSid": self._stream_sid})

    def give_to(self, caller: Caller) -> None:
        """Let this caller hear and speak from now on."""
        self._caller = caller

    def tick(self, now: float) -> None:
        """Send the caller's next frame, and the marks that are due."""
        caller = self._caller
        if caller is None or caller.is_gone or self._transport is None:
            return
        for name in caller.due_marks(now):
            self._return_mark(name)
        payload = caller.next_frame(now)
        if caller.is_gone:
            self.over.set()
            return
        self._sequence += 1
        self._chunk += 1
        message = (
            b'{"event":"media","sequenceNumber":"%d","media":{"track":"inbound","chunk":"%d","timestamp":"%d","payload":"'
            % (self._sequence, self._chunk, self._chunk * _FRAME_MS)
        )
        self._transport.send(WSMsgType.TEXT, message + payload + self._tail)

    async def hang_up(self) -> None:
        """Say `stop`, close, and wait until the server has closed as well (a while)."""
        if self._transport is None:
            return
        self._is_stopped = True
        stop = {"accountSid": "", "callSid": self._call_sid}
        self._sequence += 1
        self._send_json(
            {"event": "stop", "sequenceNumber": str(self._sequence), "stop": stop, "streamSid": self._stream_sid}
        )
        self._transport.send_close()
        try:
            async with asyncio.timeout(2.0):
                await self.closed.wait()
        except TimeoutError:
            self._transport.disconnect()

    # ---- picows ----

    def on_ws_connected(self, transport: WSTransport) -> None:
        """The upgrade is done."""
        self._transport = transport

    def on_ws_frame(self, transport: WSTransport, frame: WSFrame) -> None:
        """One message of the server."""
        if frame.msg_type is WSMsgType.TEXT:
            self._take(frame.get_payload_as_bytes(), time.monotonic())
        elif frame.msg_type is WSMsgType.CLOSE:
            if not self._is_stopped:
                transport.send_close(frame.get_close_code())
            transport.disconnect()

    def on_ws_disconnected(self, transport: WSTransport) -> None:
        """It is over. A caller who has not hung up has lost his connection."""
        self._transport = None
        if self._caller is not None and not self._is_stopped:
            self._caller.notes.fail("the server closed the stream")
        self.over.set()
        self.closed.set()

    def _take(self, payload: bytes, now: float) -> None:
        caller = self._caller
        if caller is None or self._is_stopped:
            return
        media = _MEDIA.search(payload)
        if media is not None:
            ulaw = binascii.a2b_base64(media[1])
            caller.hear(len(ulaw), is_loud_ulaw(ulaw), now)
            return
        message = json.loads(payload)
        if message.get("event") == "mark":
            caller.mark(str(message["mark"]["name"]).encode(), now)
        elif message.get("event") == "clear":
            for name in caller.clear(now):
                self._return_mark(name)

    def _return_mark(self, name: bytes) -> None:
        self._sequence += 1
        self._send_json(
            {
                "event": "mark",
                "sequenceNumber": str(self._sequence),
                "mark": {"name": name.decode()},
                "streamSid": self._stream_sid,
            }
        )

    def _send_json(self, message: Mapping[str, object]) -> None:
        if self._transport is not None:
            self._transport.send(WSMsgType.TEXT, json.dumps(message).encode())
