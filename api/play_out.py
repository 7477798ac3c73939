"""One sentence on a media socket that no pipeline runs on, for a caller whom there is no room for."""

import asyncio

from fastapi import WebSocket, WebSocketDisconnect
from loguru import logger

from pipelines.phone_audio import Decimator, encode_mulaw
from telephony import media_stream
from telephony.media_stream import MalformedMessage, Mark, MediaStream, ProtocolViolation, Start, Stop

_LINE_HZ = 8000
_CHUNK_BYTES = _LINE_HZ // 2  # half a second of mu-law a message; Twilio queues what comes early
_SPARE_SECS = 2.0
_MARK = "said"


async def play_out(websocket: WebSocket, start: Start, pcm: bytes, rate_hz: int) -> bool:
    """Play PCM16 mono (8 kHz or a whole multiple) to the caller; True once Twilio says that it was heard to the end.

    The socket is accepted and its `start` read. It stays open; False when it was closed or no answer came in time.
    """
    mulaw = await asyncio.to_thread(_as_mulaw, pcm, rate_hz)
    try:
        for begin in range(0, len(mulaw), _CHUNK_BYTES):
            await websocket.send_text(media_stream.media(start.stream_sid, mulaw[begin : begin + _CHUNK_BYTES]))
        await websocket.send_text(media_stream.mark(start.stream_sid, _MARK))
        async with asyncio.timeout(len(mulaw) / _LINE_HZ + _SPARE_SECS):
            return await _wait_for_mark(websocket, MediaStream.after(start))
    except (TimeoutError, WebSocketDisconnect, MalformedMessage, ProtocolViolation) as error:
        logger.bind(problem=type(error).__name__).info("a sentence was not heard to its end")
        return False


def _as_mulaw(pcm: bytes, rate_hz: int) -> bytes:
    if rate_hz == _LINE_HZ:
        return encode_mulaw(pcm)
    filtered = Decimator(rate_hz // _LINE_HZ)
    return encode_mulaw(filtered.process(pcm) + filtered.flush())


async def _wait_for_mark(websocket: WebSocket, stream: MediaStream) -> bool:
    while True:
        match stream.receive(await websocket.receive_text()):
            case Mark(name=name) if name == _MARK:
                return True
            case Stop():
                return False
            case _:
                continue
