"""Server-sent events, as https://html.spec.whatwg.org/multipage/server-sent-events.html has them.

Whoever reads too slowly is cut off instead of being buffered for; a stream ends when its key does and when the server
does, and says when to come back. Nothing is lost by that: events have ids, and `Last-Event-ID` goes on behind one.
"""

import asyncio
import time
from collections.abc import AsyncGenerator

from fastapi import Request, Response
from fastapi.sse import format_sse_event
from loguru import logger
from starlette.types import Receive, Scope, Send

from api.api_keys import check_again
from api.asking import asked_of
from api.deps import Services
from api.errors import ServerEnds, TooManyStreams
from storage.errors import DatabaseAway

HEARTBEAT_SECS = 15.0
"""After so much silence a comment is sent."""
KEY_SECS = 5.0
"""So often it is seen whether the key is still good: what was revoked is over within seconds."""
LOOK_SECS = 1.0
"""A source of events tells at least so often that there is none."""
_SLOW_SECS = 20.0
_MOST_STREAMS = 200
_RETRY_MS = 2_000
_DRAINED_RETRY_MS = 3_000
_AWAY_RETRY_MS = 5_000

Source = AsyncGenerator[bytes | None]
"""Events, ready to be sent, and None whenever there was none for a second."""


class EventStream(Response):
    """Sends what its source yields.

    FastAPI's own response for such events sends however long the reader takes, and ends for none of these reasons.
    """

    media_type = "text/event-stream"

    def __init__(self, request: Request, services: Services, source: Source) -> None:
        """Take the request, which a door has let pass. Raises `ServerEnds`, `TooManyStreams`."""
        if services.live.is_draining:
            raise ServerEnds
        if services.news.streams >= _MOST_STREAMS:
            raise TooManyStreams
        super().__init__(headers={"Cache-Control": "no-store", "X-Accel-Buffering": "no"})
        del self.headers["content-length"]
        self._request, self._services, self._source = request, services, source

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send until the source ends, the client leaves or is too slow, the key is good no more, the server ends."""
        self._services.news.streams += 1
        telling = asyncio.create_task(self._tell(send), name="events are told")
        leaving = asyncio.create_task(_until_gone(receive), name="whoever is told events leaves")
        try:
            await asyncio.wait({telling, leaving}, return_when=asyncio.FIRST_COMPLETED)
            if telling.done():
                telling.result()
        finally:
            self._services.news.streams -= 1
            for task in (telling, leaving):
                task.cancel()
            await asyncio.gather(telling, leaving, return_exceptions=True)

    async def _tell(self, send: Send) -> None:
        pieces = self._pieces()
        await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
        try:
            async for piece in pieces:
                async with asyncio.timeout(_SLOW_SECS):
                    await send({"type": "http.response.body", "body": piece, "more_body": True})
                # What is stored comes all at once: others have their turn, and that the reader has left is noticed.
                await asyncio.sleep(0)
            async with asyncio.timeout(_SLOW_SECS):
                await send({"type": "http.response.body", "body": b"", "more_body": False})
        except TimeoutError:
            logger.warning("a reader of events is too slow and is cut off")
        finally:
            await pieces.aclose()
            await self._source.aclose()

    async def _pieces(self) -> AsyncGenerator[bytes]:
        yield format_sse_event(retry=_RETRY_MS)
        told_at = checked_at = time.monotonic()
        try:
            async for piece in self._source:
                now = time.monotonic()
                if self._services.live.is_draining:
                    yield format_sse_event(comment="the server ends", retry=_DRAINED_RETRY_MS)
                    return
                if now - checked_at >= KEY_SECS or self._is_over():
                    if not await check_again(self._request, self._services):
                        yield format_sse_event(comment="the key is good no more")
                        return
                    checked_at = now
                if piece is not None:
                    told_at = now
                    yield piece
                elif now - told_at >= HEARTBEAT_SECS:
                    told_at = now
                    yield format_sse_event(comment="still here")
        except DatabaseAway:
            yield format_sse_event(comment="the database is away", retry=_AWAY_RETRY_MS)

    def _is_over(self) -> bool:
        asked = asked_of(self._request)
        return asked is not None and asked.until is not None and self._services.now() >= asked.until


async def _until_gone(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        continue
