"""A body that comes in drops is not waited for: it would hold a connection, and a place in memory, for ever."""

import asyncio
import contextlib

from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from api.errors import SlowBody, answer_to


class SlowBodies:
    """ASGI: the whole body of a request has so many seconds from the moment it is first asked for.

    Who is too slow is answered 408; the app then hears that he has left, and what it still says is dropped, as it is
    when he has left by himself.
    """

    def __init__(self, app: ASGIApp, patience_secs: float) -> None:
        """Wrap `app`."""
        self._app = app
        self._patience_secs = patience_secs

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request; sockets pass untouched."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        until: float | None = None
        is_whole = is_cut_off = has_begun = False
        loop = asyncio.get_running_loop()

        async def receive_in_time() -> Message:
            nonlocal until, is_whole, is_cut_off
            if is_cut_off:
                return {"type": "http.disconnect"}
            if is_whole:
                return await receive()
            until = until or loop.time() + self._patience_secs
            try:
                async with asyncio.timeout_at(until):
                    message = await receive()
            except TimeoutError:
                is_cut_off = True
                if not has_begun:
                    answer = answer_to(SlowBody(), scope["path"])
                    await answer(scope, receive, send)
                return {"type": "http.disconnect"}
            # Whoever leaves before that is told nothing, and is no fault of ours.
            is_cut_off = message["type"] == "http.disconnect"
            is_whole = not message.get("more_body", False)
            return message

        async def send_unless_cut_off(message: Message) -> None:
            nonlocal has_begun
            if not is_cut_off:
                has_begun = True
                await send(message)

        with contextlib.suppress(ClientDisconnect):
            await self._app(scope, receive_in_time, send_unless_cut_off)
