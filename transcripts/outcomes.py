"""How a call went, by why it ended: what success rate and availability are worked out from (docs/operation.md)."""

from enum import StrEnum

from telemetry import metrics
from transcripts.call import EndReason


class Outcome(StrEnum):
    """Whose the end of a call was."""

    SERVED = "served"
    """There was a conversation, or a message was left, and it came to an end that was meant."""
    THEIRS = "theirs"
    """There was none, or no real one, and that was the choice or the absence of the other side, or of who placed it."""
    OURS = "ours"
    """We, or somebody on whom we lean, cut it off or missed it."""


OUTCOME_OF: dict[EndReason, Outcome] = {
    EndReason.CALLER_HUNG_UP: Outcome.SERVED,
    EndReason.BOT_ENDED: Outcome.SERVED,
    EndReason.TRANSFERRED: Outcome.SERVED,
    EndReason.TIME_LIMIT: Outcome.SERVED,
    EndReason.ENDED_BY_API: Outcome.SERVED,
    EndReason.MESSAGE_LEFT: Outcome.SERVED,
    EndReason.SILENCE: Outcome.THEIRS,
    EndReason.NEVER_CONNECTED: Outcome.THEIRS,
    EndReason.BUSY: Outcome.THEIRS,
    EndReason.NO_ANSWER: Outcome.THEIRS,
    EndReason.CANCELLED: Outcome.THEIRS,
    EndReason.REFUSED: Outcome.THEIRS,
    EndReason.MACHINE_HUNG_UP: Outcome.THEIRS,
    EndReason.FAILED_TO_DIAL: Outcome.THEIRS,
    EndReason.DRAINED: Outcome.OURS,
    EndReason.CONNECTION_LOST: Outcome.OURS,
    EndReason.REFUSED_BUSY: Outcome.OURS,
    EndReason.FAILED: Outcome.OURS,
    EndReason.SERVER_CRASHED: Outcome.OURS,
    EndReason.MISSED: Outcome.OURS,
}


def count_end(reason: EndReason | str | None, agent: str) -> None:
    """Count a call that has ended, once; one that was refused is counted by `count_refusal` instead."""
    reason = EndReason(reason)
    metrics.CALLS_TOTAL.labels(end_reason=reason.value, agent=metrics.agent_label(agent)).inc()
    metrics.CALL_OUTCOMES_TOTAL.labels(outcome=OUTCOME_OF[reason].value).inc()


def count_refusal(reason: str) -> None:
    """Count a call that was not taken; `reason`: one of `switchboard.refusal`."""
    metrics.REFUSED_TOTAL.labels(reason=reason).inc()
    metrics.CALL_OUTCOMES_TOTAL.labels(outcome="refused").inc()
