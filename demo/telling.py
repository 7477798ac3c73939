"""Tells a call as it goes, from its rows in the database: the same view for every way a call can be made."""

import asyncio
from collections.abc import Callable, Iterator
from typing import Any

from transcripts.models import CallEventRow, CallRow
from transcripts.store import CallStore

Print = Callable[[str], None]
_LOOK_EVERY_SECS = 0.2
_HOLD_SECS = 2.0


def _fields(data: Any) -> str:
    if not isinstance(data, dict):
        return str(data)
    return ", ".join(f"{key}={value}" for key, value in data.items())  # pyright: ignore[reportUnknownVariableType]


def lines_of(event: CallEventRow) -> Iterator[str]:
    """What one event is told as: at most one line, starting with call time in seconds."""
    data, at = event.data, f"{event.at_ms / 1000:6.1f} s  "
    match event.kind:
        case "turn.caller":
            yield f"{at}caller   {data['text']}"
        case "turn.agent":
            yield f"{at}agent    {data['text']}{'  -- interrupted' if data['interrupted'] else ''}"
        case "tool.called":
            yield f"{at}tool     {data['name']}({_fields(data['arguments'])})"
        case "tool.result":
            yield f"{at}tool     {data['name']} -> {_fields(data['result'])}"
        case "tool.failed" | "model.failed":
            yield f"{at}failed   {data['error']}"
        case "caller.digit":
            yield f"{at}key      {data['digit']}"
        case _:
            return


async def tell_call(store: CallStore, call_sid: str, write: Print) -> CallRow | None:
    """Write each turn and tool call as it appears, until the call's row has ended; returns the row.

    Returns None when no such call came up within 10 s.
    """
    seen: set[int] = set()
    held: list[CallEventRow] = []
    held_since = 0.0
    row = await _find(store, call_sid)
    if row is None:
        return None
    clock = asyncio.get_running_loop().time
    while True:
        row = await store.get_call(row.call_id) or row
        for event in await store.list_events(row.call_id):
            if event.seq in seen:
                continue
            seen.add(event.seq)
            if any(lines_of(event)):
                held_since = held_since if held else clock()
                held.append(event)
        # The caller's words are known a moment after the tools that answer them: tell both in the order of the call.
        is_old = clock() - held_since > _HOLD_SECS
        if row.status == "ended" or is_old or any(event.kind.startswith("turn.") for event in held):
            for event in sorted(held, key=lambda event: (event.at_ms, event.seq)):
                for line in lines_of(event):
                    write(line)
            held = []
        if row.status == "ended":
            return row
        await asyncio.sleep(_LOOK_EVERY_SECS)


async def _find(store: CallStore, call_sid: str) -> CallRow | None:
    for _ in range(50):
        row = await store.find_call(call_sid)
        if row is not None:
            return row
        await asyncio.sleep(_LOOK_EVERY_SECS)
    return None
