"""A caller who may sit on a dead line, and what he is owed."""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime

from telephony.next_step import BadStep, NextStep
from transcripts.call import EndReason
from transcripts.models import CallRow


@dataclass
class Stranded:
    """A caller who may sit on a dead line.

    `live_at` is when his stream began, None for one that never did; `step` is what the call itself asked for.
    `agent_version` is which one of a stored agent.
    """

    call_id: str
    call_sid: str
    agent_name: str
    reason: EndReason
    variables: Mapping[str, str]
    live_at: datetime | None
    step: NextStep | None = None
    agent_version: int | None = None
    was_heard_of: bool = False
    news: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def now_ms(self) -> int:
        """Call time."""
        return 0 if self.live_at is None else round((datetime.now(UTC) - self.live_at).total_seconds() * 1000)


def stranded_in(row: CallRow, call_sid: str) -> Stranded:
    """Return the caller of a row that has ended; a next step that makes no sense becomes an apology."""
    step = None
    if row.next_step is not None:
        try:
            step = NextStep.from_json(row.next_step)
        except BadStep:
            step = NextStep("apology")
    variables = {name: str(value) for name, value in row.variables.items()}
    reason = EndReason(row.end_reason)
    return Stranded(row.call_id, call_sid, row.agent_name, reason, variables, row.live_at, step, row.agent_version)
