"""What Twilio's word for a call's status means for our row: one table, whatever order the words come in."""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from transcripts.call import NEXT, CallStatus, EndReason


@dataclass(frozen=True, slots=True)
class Move:
    """Where a row is to go, if it may: to ringing, or to its end with this reason."""

    status: CallStatus
    reason: EndReason | None = None


MOVES: Mapping[str, Move] = MappingProxyType(
    {
        "ringing": Move(CallStatus.RINGING),
        # Answered. The row is live when the media stream comes, and not before.
        "in-progress": Move(CallStatus.RINGING),
        "completed": Move(CallStatus.ENDED, EndReason.NEVER_CONNECTED),
        "busy": Move(CallStatus.ENDED, EndReason.BUSY),
        "no-answer": Move(CallStatus.ENDED, EndReason.NO_ANSWER),
        "failed": Move(CallStatus.ENDED, EndReason.FAILED_TO_DIAL),
        "canceled": Move(CallStatus.ENDED, EndReason.CANCELLED),
    }
)
"""Twilio's status -> the move; `queued` and `initiated` move nothing."""


@dataclass(frozen=True, slots=True)
class State:
    """A row's status, and why it ended."""

    status: CallStatus
    reason: EndReason | None = None


def after(state: State, twilio_status: str) -> State:
    """Return what a row is after Twilio said this of it. What comes late or twice changes nothing.

    A live row's end is its stream's to tell: the stream knows why.
    """
    move = MOVES.get(twilio_status)
    if move is None or state.status is CallStatus.LIVE or move.status not in NEXT[state.status]:
        return state
    return State(move.status, move.reason)
