"""The events of a call, from their rows as they are written: in this process or another one, live or over."""

import asyncio
from collections.abc import AsyncGenerator

from api.deps import Services
from transcripts.call import CallEvent, CallStatus
from transcripts.models import CallEventRow
from transcripts.piecewise import read_events

_LOOK_SECS = 1.0
"""How often the database is asked without having been told of new rows: word of them may be lost with its process."""


async def follow_rows(services: Services, call_id: str, last_seq: int = -1) -> AsyncGenerator[tuple[int, CallEvent]]:
    """Yield each event whose `seq` is larger than `last_seq`, with its `seq`, until the call has ended."""
    rows = follow_call(services, call_id, last_seq)
    try:
        async for event in rows:
            if event is not None:
                yield event.seq, CallEvent(event.kind, event.at_ms, event.data)
    finally:
        await rows.aclose()


async def follow_call(
    services: Services, call_id: str, last_seq: int = -1, *, is_live: bool = True
) -> AsyncGenerator[CallEventRow | None]:
    """Yield each event's row whose `seq` is larger than `last_seq`, and None at least once a second.

    It ends with the call; with `is_live` false, behind what is stored now. Raises `storage.errors.DatabaseAway`.
    """
    with services.news.following(call_id) as news:
        while True:
            news.clear()
            # The end is written behind the last event: a call that has ended now has all of them.
            row = await services.store.get_call(call_id)
            pieces = read_events(services.database, call_id, last_seq)
            try:
                async for piece in pieces:
                    for event in piece:
                        last_seq = event.seq
                        yield event
            finally:
                await pieces.aclose()
            if row is None or row.status == CallStatus.ENDED or not is_live:
                return
            yield None
            try:
                async with asyncio.timeout(_LOOK_SECS):
                    await news.wait()
            except TimeoutError:
                continue
