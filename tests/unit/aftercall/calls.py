"""Calls as rows, for tests of what comes after them."""

from datetime import UTC, datetime, timedelta
from typing import Any

from storage.engine import Database
from transcripts.call import Call, CallEvent, CallStatus, Direction, EndReason, Speaker, Turn
from transcripts.store import CallStore

BEGAN = datetime(2026, 3, 1, 9, 0, tzinfo=UTC)
CALLER, OURS = "+15557654321", "+15551230100"


def usage(prompt_audio: int, response_audio: int, **more: Any) -> dict[str, Any]:
    """A usage message of Gemini Live, as its event has it."""
    return {
        "prompt_token_count": prompt_audio,
        "prompt_tokens_details": [{"modality": "AUDIO", "token_count": prompt_audio}],
        "response_token_count": response_audio,
        "response_tokens_details": [{"modality": "AUDIO", "token_count": response_audio}],
        "model": "gemini-3.8-live",
        "source": "conversation",
    } | more


async def make_call(
    database: Database,
    call_id: str = "c1",
    *,
    agent: str = "front-desk",
    lasts_secs: float | None = 70,
    words: bool = True,
    events: tuple[CallEvent, ...] = (),
    direction: Direction = Direction.INBOUND,
    began: datetime = BEGAN,
) -> CallStore:
    """Write down a phone call; `lasts_secs` None: it is live."""
    store = CallStore(database)
    call = Call(
        call_id=call_id,
        call_sid=f"CA{call_id}",
        agent_name=agent,
        direction=direction,
        from_number=CALLER,
        to_number=OURS,
        variables={"business": "Willow Clinic"},
        started_at=began,
    )
    await store.open_call(call)
    await store.go_live(call_id, owner="me")
    await store.add_events(call_id, 0, events)
    if words:
        turns = [
            (Speaker.AGENT, "Good morning! How can I help you?", 0),
            (Speaker.CALLER, "I would like to book an appointment for tomorrow.", 3000),
        ]
        for position, (speaker, text, start_ms) in enumerate(turns):
            await store.add_turn(call_id, position, Turn(speaker, text, start_ms, start_ms + 2000))
    # A row's moments are the clock's; a test's are given.
    from sqlmodel import col, update

    from transcripts.models import CallRow

    async with database.writer() as session:
        await session.exec(update(CallRow).where(col(CallRow.call_id) == call_id).values(live_at=began))
    if lasts_secs is not None:
        ended_at = began + timedelta(seconds=lasts_secs)
        await store.finish_call(call_id, EndReason.CALLER_HUNG_UP, ended_at=ended_at)
    row = await store.get_call(call_id)
    assert row is not None
    assert row.status == (CallStatus.LIVE if lasts_secs is None else CallStatus.ENDED)
    return store
