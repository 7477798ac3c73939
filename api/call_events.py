"""The events of a call that another process holds, or that is over: from their rows, as they are written."""

import asyncio
from collections.abc import AsyncGenerator

from api.deps import Services
from transcripts.call import CallEvent, CallStatus

_LOOK_SECS = 1.0
"""How often the database is asked without having been told of new rows: word of them may be lost with its process."""


async def follow_rows(services: Services, call_id: str, last_seq: int = -1) -> AsyncGenerator[tuple[int, CallEvent]]:
    """Yield each event whose `seq` is larger than `last_seq`, with its `seq`, until the call has ended."""
    with services.colleagues.following(call_id) as news:
        while True:
            news.clear()
            # The end is written behind the last event: a call that has ended now has all of them.
            row = await services.store.get_call(call_id)
            for event in await services.store.list_events_after(call_id, last_seq):
                last_seq = event.seq
                yield event.seq, CallEvent(event.kind, event.at_ms, event.data)
            if row is None or row.status == CallStatus.ENDED:
                return
            try:
                async with asyncio.timeout(_LOOK_SECS):
                    await news.wait()
            except TimeoutError:
                continue
