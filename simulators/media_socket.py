"""One Twilio media stream's WebSocket, message by message, as Twilio writes them.

`open_stream` gives the raw socket: nothing is sent until a test sends it, so it also serves to send what Twilio never
would. `simulators/caller.py` drives the same socket as a real call does.
Message shapes: https://www.twilio.com/docs/voice/media-streams/websocket-messages.
"""

import asyncio
import base64
import json
import ssl
import uuid
from collections.abc import AsyncGenerator, Callable, Coroutine, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any
from urllib.parse import urlsplit, urlunsplit

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed

from simulators.dead_peer import peer_gone
from simulators.twilio_webhook import compute_signature

Keep = Callable[[Coroutine[Any, Any, None]], object]
"""Lets something run on after the socket has been let go."""


class LineTorn(Exception):
    """A line breaks the TCP connection, without a closing handshake, in place of delivering a message."""


class Line:
    """The wire between Twilio and the server: a perfect one. Replace it to lose, delay or repeat messages.

    Messages go through one at a time in each direction, so a method that sleeps holds up all that follow, as a
    stalled TCP connection does. A line that sets `is_dead` delivers nothing any more in either direction.
    """

    is_dead = False

    async def to_server(self, message: str) -> Sequence[str]:
        """Messages to send for this one: itself, none to lose it, several to repeat it."""
        return (message,)

    async def from_server(self, message: str | bytes) -> Sequence[str | bytes]:
        """The same in the other direction."""
        return (message,)


def new_sid(prefix: str) -> str:
    """A random SID as Twilio forms them: two letters and 32 hexadecimal digits."""
    return prefix + uuid.uuid4().hex


def drop_query(url: str) -> str:
    """The URL that Twilio asks for: query strings of `<Stream url>` are not supported (error 31920)."""
    return urlunsplit(urlsplit(url)._replace(query="", fragment=""))


class MediaSocket:
    """An open media stream. Numbers are strings on this wire, and `sequenceNumber` starts at 1 with `start`."""

    def __init__(
        self,
        connection: ClientConnection,
        *,
        account_sid: str,
        call_sid: str,
        stream_sid: str,
        parameters: Mapping[str, str],
        line: Line,
        keep: Keep | None = None,
    ) -> None:
        self.account_sid = account_sid
        self.call_sid = call_sid
        self.stream_sid = stream_sid
        self.parameters = dict(parameters)
        self._connection = connection
        self._line = line
        self._keep = keep
        self._is_dead = False
        self._is_left = False
        self._sequence = 0
        self._chunk = 0
        # Numbers must leave in order, though voice, keys and marks are sent from different coroutines.
        self._order = asyncio.Lock()

    @property
    def close_code(self) -> int | None:
        """The WebSocket close code once the socket is closed, 1006 when it broke; None while it is open."""
        return self._connection.close_code

    @property
    def close_reason(self) -> str | None:
        """The reason text that came with `close_code`."""
        return self._connection.close_reason

    async def send_text(self, text: str) -> None:
        """Send any text frame.

        Raises:
            ConnectionClosed: The socket is closed.
        """
        async with self._order:
            await self._transmit(text)

    async def send_bytes(self, data: bytes) -> None:
        """Send a binary frame, which Twilio never does."""
        async with self._order:
            await self._connection.send(data)

    async def send_json(self, message: Mapping[str, object]) -> None:
        """Send any message as JSON."""
        await self.send_text(json.dumps(message))

    async def send_connected(self) -> None:
        """The first message of every stream."""
        await self.send_json({"event": "connected", "protocol": "Call", "version": "1.0.0"})

    async def send_start(self) -> None:
        """The second message: who calls, the `<Parameter>`s, and the format of the audio."""
        start = {
            "accountSid": self.account_sid,
            "streamSid": self.stream_sid,
            "callSid": self.call_sid,
            "tracks": ["inbound"],
            "mediaFormat": {"encoding": "audio/x-mulaw", "sampleRate": 8000, "channels": 1},
            "customParameters": self.parameters,
        }
        await self._send_numbered({"event": "start", "start": start})

    async def send_media(self, ulaw: bytes, timestamp_ms: int) -> None:
        """Audio of the caller: mu-law, by Twilio always 160 bytes; `timestamp_ms` since the start of the stream."""
        async with self._order:
            self._sequence += 1
            self._chunk += 1
            # Written by hand: a load test sends fifty of these a second for every call.
            await self._transmit(
                f'{{"event":"media","sequenceNumber":"{self._sequence}","media":{{"track":"inbound",'
                f'"chunk":"{self._chunk}","timestamp":"{timestamp_ms}",'
                f'"payload":"{base64.b64encode(ulaw).decode()}"}},"streamSid":"{self.stream_sid}"}}'
            )

    async def send_dtmf(self, digit: str) -> None:
        """One key the caller pressed."""
        await self._send_numbered({"event": "dtmf", "dtmf": {"track": "inbound_track", "digit": digit}})

    async def send_mark(self, name: str) -> None:
        """Give back a mark: all before it was played, or was cleared."""
        await self._send_numbered({"event": "mark", "mark": {"name": name}})

    async def send_stop(self) -> None:
        """The last message, when the stream ends on Twilio's side."""
        await self._send_numbered({"event": "stop", "stop": {"accountSid": self.account_sid, "callSid": self.call_sid}})

    async def recv(self) -> str | bytes:
        """The next message from the server.

        Raises:
            ConnectionClosed: The server closed the socket.
        """
        return await self._connection.recv()

    async def messages(self) -> AsyncGenerator[str | bytes]:
        """Every message from the server as the line delivers it, until the socket is closed by either side."""
        while True:
            try:
                received = await self._connection.recv()
            except ConnectionClosed:
                return
            if self._is_dead:
                await asyncio.Event().wait()
            for message in await self._line.from_server(received):
                yield message

    async def close(self, code: int = 1000) -> None:
        """Close the socket; does nothing to a closed one. On a dead path the server does not learn of it."""
        if not self._is_dead:
            await self._connection.close(code)
        elif not self._is_left:
            self._is_left = True
            if self._keep is None:
                self.abort()
            else:
                self._keep(self._outlast_server())

    async def wait_closed(self) -> int:
        """Wait until the socket is closed by either side. Returns the close code."""
        await self._connection.wait_closed()
        code = self._connection.close_code
        return 1006 if code is None else code

    def abort(self) -> None:
        """Break the TCP connection without a closing handshake, as a dead network does."""
        self._connection.transport.abort()

    async def _send_numbered(self, message: Mapping[str, object]) -> None:
        async with self._order:
            self._sequence += 1
            numbered = {**message, "sequenceNumber": str(self._sequence), "streamSid": self.stream_sid}
            await self._transmit(json.dumps(numbered))

    async def _transmit(self, text: str) -> None:
        try:
            messages = await self._line.to_server(text)
        except LineTorn:
            self.abort()
            return
        if self._line.is_dead and not self._is_dead:
            # Not read: then a close is not answered either, and a broken connection not noticed.
            self._is_dead = True
            self._connection.transport.pause_reading()
        for message in messages:
            await self._connection.send(message)

    async def _outlast_server(self) -> None:
        try:
            await peer_gone(self._connection.transport)
        finally:
            self.abort()


@asynccontextmanager
async def open_stream(
    url: str,
    *,
    call_sid: str | None = None,
    account_sid: str | None = None,
    stream_sid: str | None = None,
    auth_token: str = "",
    sign: bool = True,
    signed_url: str | None = None,
    headers: Mapping[str, str] | None = None,
    parameters: Mapping[str, str] | None = None,
    trust: ssl.SSLContext | None = None,
    line: Line | None = None,
    keep: Keep | None = None,
    open_timeout_secs: float = 5.0,
) -> AsyncGenerator[MediaSocket]:
    """Open a media stream's socket and send nothing yet.

    Args:
        url: `ws://` or `wss://`; used as it is, query string and all.
        call_sid: `start.callSid` and `stop.callSid`; random when left out, as are the next two.
        account_sid: The account.
        stream_sid: The stream.
        auth_token: Signs the upgrade request with Twilio's own code.
        sign: False leaves `X-Twilio-Signature` out.
        signed_url: The URL to sign, when the server knows itself by another name than the one dialled.
        headers: Further headers of the upgrade request; one named `X-Twilio-Signature` replaces the right one.
        parameters: `<Parameter>` names and values, sent by `send_start`.
        trust: Certificates to trust with `wss://`; None takes the system's.
        line: The wire, perfect when left out.
        keep: Runs what outlasts this context: a socket on a dead path stays open until the server has left it.
        open_timeout_secs: Limit for connecting and upgrading.

    Raises:
        websockets.exceptions.InvalidStatus: The server refused the upgrade; `.response.status_code` says how.
        OSError: Nobody listens there.
        TimeoutError: No answer in time.
    """
    sent = {"X-Twilio-Signature": compute_signature(auth_token, signed_url or url, {})} if sign else {}
    sent.update(headers or {})
    connection = await connect(
        url,
        additional_headers=sent,
        ssl=(trust or True) if url.startswith("wss:") else None,
        user_agent_header="Twilio.TmeWs/1.0",
        compression=None,
        proxy=None,
        open_timeout=open_timeout_secs,
        close_timeout=2,
        ping_interval=None,
        max_size=None,
    )
    socket = MediaSocket(
        connection,
        account_sid=account_sid or new_sid("AC"),
        call_sid=call_sid or new_sid("CA"),
        stream_sid=stream_sid or new_sid("MZ"),
        parameters=parameters or {},
        line=line or Line(),
        keep=keep,
    )
    try:
        yield socket
    finally:
        await socket.close()
