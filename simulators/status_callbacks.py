"""Twilio telling the server how a call goes: one callback after the other, or in disorder when a fault will have it."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from datetime import UTC, datetime
from email.utils import format_datetime

from simulators.twilio_webhook import WebhookAnswer

_ALL_EVENTS = frozenset({"initiated", "ringing", "answered", "completed"})


class StatusCallbacks:
    """The status callbacks of one call; `run` sends them. `log`: the server's answers, in the order of sending.

    Args:
        events: what the server asked to be told.
        send: posts one form.
        is_disorderly: keeps all four events to the end and sends them backwards, each twice.
    """

    def __init__(
        self,
        events: frozenset[str],
        send: Callable[[Mapping[str, str]], Awaitable[WebhookAnswer]],
        *,
        is_disorderly: bool = False,
    ) -> None:
        self.log: list[WebhookAnswer] = []
        self._events = _ALL_EVENTS if is_disorderly else events
        self._send = send
        self._is_disorderly = is_disorderly
        self._count = 0
        self._queue: asyncio.Queue[Mapping[str, str] | None] = asyncio.Queue()

    def tell(self, event: str, form: Mapping[str, str]) -> None:
        """Queue a callback, if the server asked for this event. `form`: the call as it is now."""
        if event not in self._events:
            return
        numbered = {
            "SequenceNumber": str(self._count),
            "Timestamp": format_datetime(datetime.now(UTC)),
            "CallbackSource": "call-progress-events",
        }
        self._count += 1
        self._queue.put_nowait({**form, **numbered})

    def finish(self) -> None:
        """No more will come."""
        self._queue.put_nowait(None)

    async def run(self) -> None:
        """Send what is told until `finish`."""
        held: list[Mapping[str, str]] = []
        while (form := await self._queue.get()) is not None:
            if self._is_disorderly:
                held.append(form)
            else:
                self.log.append(await self._send(form))
        for form in reversed(held):
            for _ in range(2):
                self.log.append(await self._send(form))
