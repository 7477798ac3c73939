"""The socket of a media stream: uvicorn's, with a short way for what comes fifty times a second and call.

A message takes five objects, two queues and a task's step on its way through a WebSocket library, ASGI and a
framework. Here a whole text frame goes from the transport's buffer to its reader by one call, once there is a reader;
everything else (the handshake, other kinds of frames, whatever is odd) is left to uvicorn and websockets as it came.
"""

from collections.abc import Callable
from typing import Any

from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
from websockets.protocol import State

from pipelines.websocket_frames import CONTROL, MASKED, TEXT, apply_mask, text_head

EXTENSION = "trunkline.media_socket"
"""Where the ASGI scope's `extensions` have this object, whose shape is `pipelines.phone_socket.ShortWay`."""

_LENGTH = 0x7F


class MediaSocket(WebSocketsSansIOProtocol):
    """uvicorn's WebSocket protocol, whose text messages may be read and written without a task in between."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        """As uvicorn calls it."""
        super().__init__(*args, **kwargs)
        self._reader: Callable[[str], None] | None = None
        self._rest = b""
        self._is_plain = False
        """uvicorn parses for itself: something came that this class does not know."""

    def read_by(self, reader: Callable[[str], None] | None) -> None:
        """Give every text message to `reader`, those that wait first; None: to the application again.

        `reader` is called on the event loop and must neither raise nor block. What is no text (the end of the
        connection among it) goes to the application all the time.
        """
        self._reader = reader
        if reader is None:
            return
        kept: list[Any] = []
        while not self.queue.empty():
            event: Any = self.queue.get_nowait()
            text = event.get("text") if event["type"] == "websocket.receive" else None
            if text is None:
                kept.append(event)
            else:
                reader(text)
        for event in kept:
            self.queue.put_nowait(event)
        if self.read_paused and not kept:
            self.read_paused = False
            self.transport.resume_reading()

    def send_now(self, text: str) -> bool:
        """Write one text message; False when this is not the moment, and the long way has to be gone."""
        is_open = self.handshake_complete and not self.close_sent and not self.disconnected
        if not is_open or not self.writable.is_set() or self.conn.state is not State.OPEN:
            return False
        payload = text.encode()
        self.transport.write(text_head(len(payload)) + payload)
        return True

    async def send(self, message: Any) -> None:
        """As uvicorn, which forgets that a refusal with a body ends the handshake, and would log that none came."""
        await super().send(message)
        if self.initial_response is not None and self.close_sent:
            self.handshake_complete = True

    def data_received(self, data: bytes) -> None:
        """Cut what came into frames: text for the reader is read here, all others go uvicorn's way."""
        if not self.handshake_complete or self._is_plain:
            # Frames before the handshake's end are against the protocol; uvicorn deals with them, and goes on.
            self._is_plain = self.handshake_initiated
            super().data_received(data)
            return
        if self._rest:
            data = self._rest + data
        at, size = 0, len(data)
        while size - at >= 2:
            first, second = data[at], data[at + 1]
            length, head = second & _LENGTH, 6
            if length == 126:
                if size - at < 4:
                    break
                length, head = int.from_bytes(data[at + 2 : at + 4], "big"), 8
            is_known = first == TEXT or first in CONTROL
            if not is_known or not second & MASKED or length == 127:
                self._leave_to_uvicorn(data[at:])
                return
            end = at + head + length
            if end > size:
                break
            if first == TEXT and self._reader is not None and not self.close_sent:
                self._read(data[at:end], head)
            else:
                super().data_received(data[at:end])
            at = end
        self._rest = data[at:]

    def _read(self, frame: bytes, head: int) -> None:
        try:
            text = apply_mask(frame[head:], frame[head - 4 : head]).decode()
        except UnicodeDecodeError:
            super().data_received(frame)  # which closes the connection for it
            return
        if self._reader is not None:
            self._reader(text)

    def _leave_to_uvicorn(self, data: bytes) -> None:
        self._is_plain, self._rest = True, b""
        super().data_received(data)

    def send_receive_event_to_app(self) -> None:
        """Give a text message that uvicorn put together to the reader as well, if there is one."""
        if self._reader is None or self.curr_msg_data_type != "text" or self.close_sent:
            super().send_receive_event_to_app()
            return
        data = b"".join(self.frames)
        try:
            text = data.decode()
        except UnicodeDecodeError:
            super().send_receive_event_to_app()
            return
        self.frames = []
        self._reader(text)

    def handle_connect(self, event: Any) -> None:
        """Put this object into the scope before the application sees it."""
        super().handle_connect(event)
        if self.handshake_complete:
            return  # refused
        extensions: dict[str, Any] = self.scope["extensions"]  # type: ignore[assignment]
        extensions[EXTENSION] = self
