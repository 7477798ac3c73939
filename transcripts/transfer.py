"""A warm transfer as a table: a person is rung, hears why, decides; then caller and person are in one room at Twilio.

Pure. The process with the call makes the moves until the caller has left it; after that any process makes them, on the
transfer's row. Webhooks repeat, come late and in any order: whatever `NEXT` does not name changes nothing.
"""

from enum import StrEnum


class TransferStatus(StrEnum):
    """Where it stands. The last nine are ends, and what the agent is told as the outcome."""

    CALLING = "calling"
    RINGING = "ringing"
    BRIEFING = "briefing"
    """The person has answered and hears what it is about."""
    ACCEPTED = "accepted"
    """The person takes the call; the caller is on his way into the room."""
    DESERTED = "deserted"
    """The person accepted and hung up, while the caller was on his way."""
    JOINED = "joined"
    """The caller was moved into the room."""
    ENDED = "ended"
    """They have talked, and it is over."""
    REFUSED = "refused"
    UNDECIDED = "undecided"
    """The person answered, and hung up or said nothing."""
    NO_ANSWER = "no_answer"
    BUSY = "busy"
    MACHINE = "machine"
    FAILED = "failed"
    CALLER_LEFT = "caller_left"
    WITHDRAWN = "withdrawn"
    """We gave it up: the server stops, or the model took the tool call back."""


class TransferEvent(StrEnum):
    """What happens to it."""

    PLACED = "placed"
    ANSWERED = "answered"
    ACCEPT = "accept"
    REFUSE = "refuse"
    SILENCE = "silence"
    """The person was asked twice and has not decided."""
    MACHINE = "machine"
    LEG_BUSY = "leg_busy"
    LEG_NO_ANSWER = "leg_no_answer"
    LEG_FAILED = "leg_failed"
    LEG_OVER = "leg_over"
    """The person's call ended after it was answered."""
    MOVED = "moved"
    """Twilio has taken the caller into the room."""
    NOT_MOVED = "not_moved"
    CALLER_LEFT = "caller_left"
    WITHDRAW = "withdraw"
    ROOM_CLOSED = "room_closed"


_S, _E = TransferStatus, TransferEvent

_UNTIL_DECIDED: dict[TransferEvent, TransferStatus] = {
    _E.ANSWERED: _S.BRIEFING,
    _E.ACCEPT: _S.ACCEPTED,
    _E.REFUSE: _S.REFUSED,
    _E.SILENCE: _S.UNDECIDED,
    _E.MACHINE: _S.MACHINE,
    _E.LEG_BUSY: _S.BUSY,
    _E.LEG_NO_ANSWER: _S.NO_ANSWER,
    _E.LEG_FAILED: _S.FAILED,
    _E.LEG_OVER: _S.UNDECIDED,
    _E.CALLER_LEFT: _S.CALLER_LEFT,
    _E.WITHDRAW: _S.WITHDRAWN,
}

NEXT: dict[TransferStatus, dict[TransferEvent, TransferStatus]] = {
    _S.CALLING: {_E.PLACED: _S.RINGING, **_UNTIL_DECIDED},
    _S.RINGING: _UNTIL_DECIDED,
    _S.BRIEFING: {event: status for event, status in _UNTIL_DECIDED.items() if event is not _E.ANSWERED},
    _S.ACCEPTED: {
        _E.MOVED: _S.JOINED,
        _E.NOT_MOVED: _S.FAILED,
        _E.CALLER_LEFT: _S.CALLER_LEFT,
        _E.LEG_OVER: _S.DESERTED,
        _E.LEG_FAILED: _S.DESERTED,
    },
    _S.DESERTED: {_E.MOVED: _S.ENDED, _E.NOT_MOVED: _S.UNDECIDED, _E.CALLER_LEFT: _S.CALLER_LEFT},
    _S.JOINED: {
        _E.LEG_OVER: _S.ENDED,
        _E.LEG_FAILED: _S.ENDED,
        _E.CALLER_LEFT: _S.ENDED,
        _E.ROOM_CLOSED: _S.ENDED,
    },
}
"""The only moves. A status that is not named here is an end."""

OVER = frozenset(set(TransferStatus) - set(NEXT))
"""The ends."""


def after(status: TransferStatus, event: TransferEvent) -> TransferStatus:
    """Return where the transfer stands after this; where it stood, when nothing follows from it."""
    return NEXT.get(status, {}).get(event, status)


LEG_EVENTS: dict[str, TransferEvent] = {
    "busy": _E.LEG_BUSY,
    "no-answer": _E.LEG_NO_ANSWER,
    "failed": _E.LEG_FAILED,
    "canceled": _E.LEG_NO_ANSWER,
    "completed": _E.LEG_OVER,
}
"""What the last status of the person's call says, in Twilio's words. We cancel a leg only when its transfer is over."""
