"""Calls to test with."""

from datetime import UTC, datetime
from typing import Any

from transcripts.call import Call, Direction


def make_call(call_id: str = "c1", call_sid: str | None = "CA1", **changes: Any) -> Call:
    """Build an inbound call."""
    fields: dict[str, Any] = {
        "call_id": call_id,
        "call_sid": call_sid,
        "agent_name": "front-desk",
        "direction": Direction.INBOUND,
        "from_number": "+15551230199",
        "to_number": "+15551230100",
        "variables": {"business": "Blue Door Dental"},
        "started_at": datetime(2026, 3, 1, 9, tzinfo=UTC),
    }
    return Call(**(fields | changes))
