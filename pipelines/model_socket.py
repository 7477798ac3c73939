"""The socket to the model, with a short way for what comes and goes many times a second.

A message takes three objects, a queue and a wake-up on its way through websockets' connection. Here a whole frame goes
from the transport's buffer into one list, and a frame to be sent straight into the transport. All else (the handshake,
pings, the end, fragments, whatever is odd) is websockets' as before.
"""

import asyncio
import os
from collections import deque
from collections.abc import Awaitable, Callable
from typing import Any

from websockets.asyncio.client import ClientConnection
from websockets.frames import Frame, Opcode
from websockets.protocol import State

from pipelines.model_voice import read_speech
from pipelines.websocket_frames import BINARY, CONTROL, MASKED, TEXT, apply_mask, text_head

_LONGEST_BYTES = 1024 * 1024
"""Longer messages are websockets' to refuse."""
_MOST_WAITING = 256
"""With more messages than this unread, the model has to wait."""
_UNSENT_BYTES = 32 * 1024
"""With more than this unsent the other side takes nothing, and audio waits where it is not lost with the connection."""


_masks = bytearray()


def _new_mask() -> bytes:
    """Four bytes from a strong source of entropy, as section 5.3 wants; asked for in advance, many at a time."""
    if not _masks:
        _masks.extend(os.urandom(4096))
    mask = bytes(_masks[-4:])
    del _masks[-4:]
    return mask


class _Intake(asyncio.Protocol):
    """Stands between the transport and websockets' connection."""

    def __init__(self, connection: ClientConnection) -> None:
        self.messages: deque[bytes] = deque()
        self.has_news = asyncio.Event()
        self.is_plain = False
        """websockets parses for itself: something came that this class does not know, or the end."""
        self._connection = connection
        self._rest = b""
        self._is_paused = False

    def next_message(self) -> bytes | None:
        if not self.messages:
            self.has_news.clear()
            return None
        if self._is_paused and len(self.messages) < _MOST_WAITING // 2:
            self._is_paused = False
            self._connection.transport.resume_reading()
        return self.messages.popleft()

    # ---- asyncio.Protocol ----

    def data_received(self, data: bytes) -> None:
        if self.is_plain or not self._is_between_frames():
            self._connection.data_received(data)
            return
        if self._rest:
            data = self._rest + data
        at, size = 0, len(data)
        while size - at >= 2:
            first, length = data[at], data[at + 1]
            head = 4 if length == 126 else 10 if length == 127 else 2
            if size - at < head:
                break
            if head > 2:
                length = int.from_bytes(data[at + 2 : at + head], "big")
            is_message = first in (TEXT, BINARY)
            # A masked frame of a server is against the protocol: its length has the eighth bit set, and is none.
            if not (is_message or first in CONTROL) or length > _LONGEST_BYTES or data[at + 1] & MASKED:
                self._leave_to_websockets(data[at:])
                return
            end = at + head + length
            if end > size:
                break
            if is_message:
                self.messages.append(data[at + head : end])
            else:
                self._connection.data_received(data[at:end])
            at = end
        self._rest = data[at:]
        if self.messages:
            self.has_news.set()
            if len(self.messages) > _MOST_WAITING and not self._is_paused:
                self._is_paused = True
                self._connection.transport.pause_reading()

    def eof_received(self) -> bool | None:
        self._hand_over()
        return self._connection.eof_received()

    def connection_lost(self, exc: Exception | None) -> None:
        self._hand_over()
        self._connection.connection_lost(exc)

    def pause_writing(self) -> None:
        self._connection.pause_writing()

    def resume_writing(self) -> None:
        self._connection.resume_writing()

    # ---- ----

    def _is_between_frames(self) -> bool:
        protocol = self._connection.protocol
        return not protocol.reader.buffer and protocol.current_size is None

    def _leave_to_websockets(self, data: bytes) -> None:
        self._rest = data
        self._hand_over()

    def _hand_over(self) -> None:
        if self.is_plain:
            return
        self.is_plain = True
        transport, unread = self._connection.transport, self._connection.recv_messages.frames
        if self._is_paused and not transport.is_closing():
            transport.resume_reading()  # websockets pauses for itself
        while self.messages:
            # What comes from now on is queued there, and must be read after these.
            unread.put(Frame(Opcode.TEXT, self.messages.popleft()))
        rest, self._rest = self._rest, b""
        if rest:
            self._connection.data_received(rest)
        self.has_news.set()


class ModelSocket:
    """A connection as google-genai knows it (`send`, `recv`, `close`), which keeps speech out of its hands."""

    def __init__(
        self, connection: ClientConnection, hear: Callable[[list[bytes] | str | None], Awaitable[None]] | None = None
    ) -> None:
        """Take an open connection, and who takes the speech; nobody: it is read like everything else.

        `hear` gets the pieces of voice, or the words, of a message, and is awaited before what comes next; None when
        nothing more lies ready to be read.
        """
        self._connection = connection
        self._hear = hear
        self.last_message = b""
        """What `recv` returned last."""
        self._intake = _Intake(connection)
        if connection.transport.is_closing():
            self._intake.is_plain = True  # nothing comes any more, nor does the end: it was told already
        else:
            connection.transport.set_protocol(self._intake)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._connection, name)

    async def recv(self, decode: bool | None = None) -> bytes | str:
        """Return the next message that is not only speech, as bytes; raises what the connection raises."""
        while True:
            message = await self._next_message()
            speech = read_speech(message)
            if speech is None or self._hear is None:
                self.last_message = message
                return message
            await self._hear(speech)

    async def _next_message(self) -> bytes:
        """What came before this object was made is first, and what came after the intake gave up is last."""
        intake, earlier = self._intake, self._connection.recv_messages.frames
        while not len(earlier):
            message = intake.next_message()
            if message is not None:
                return message
            if self._hear is not None:
                await self._hear(None)
            if intake.is_plain:
                break
            await intake.has_news.wait()
        return await self._connection.recv(decode=False)

    def send_now(self, payload: bytes) -> bool:
        """Write one text message; False when this is not the moment, and `send` tells why, or waits."""
        connection = self._connection
        transport = connection.transport
        if connection.protocol.state is not State.OPEN or transport.is_closing():
            return False
        if transport.get_write_buffer_size() > _UNSENT_BYTES:
            return False
        mask = _new_mask()
        transport.write(text_head(len(payload), MASKED) + mask + apply_mask(payload, mask))
        return True
