"""The words a call is described with. Every `_ms` is call time: 0 is the start of the media stream."""

from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any


class Direction(StrEnum):
    """Who started the call, and over what."""

    INBOUND = "inbound"
    OUTBOUND = "outbound"
    BROWSER = "browser"


class CallStatus(StrEnum):
    """Where a call stands; `NEXT` says where it may go."""

    QUEUED = "queued"
    RINGING = "ringing"
    LIVE = "live"
    ENDED = "ended"


NEXT: dict[CallStatus, frozenset[CallStatus]] = {
    CallStatus.QUEUED: frozenset({CallStatus.RINGING, CallStatus.ENDED}),
    CallStatus.RINGING: frozenset({CallStatus.LIVE, CallStatus.ENDED}),
    CallStatus.LIVE: frozenset({CallStatus.ENDED}),
    CallStatus.ENDED: frozenset(),
}
"""The only moves a call's status makes."""


class EndReason(StrEnum):
    """Why a call ended: one value for each call."""

    CALLER_HUNG_UP = "caller_hung_up"
    BOT_ENDED = "bot_ended"
    SILENCE = "silence"
    TIME_LIMIT = "time_limit"
    TRANSFERRED = "transferred"
    DRAINED = "drained"
    CONNECTION_LOST = "connection_lost"
    NEVER_CONNECTED = "never_connected"
    REFUSED_BUSY = "refused_busy"
    FAILED = "failed"
    SERVER_CRASHED = "server_crashed"
    """The process that held the call died; another one wrote so later."""
    BUSY = "busy"
    """The called person's line was busy, or he declined."""
    NO_ANSWER = "no_answer"
    FAILED_TO_DIAL = "failed_to_dial"
    """The phone never rang: Twilio refused the call, or could not place it."""
    CANCELLED = "cancelled"
    """It was called off before anybody answered."""
    REFUSED = "refused"
    """A rule forbade the call when its time had come: calling hours, a limit, an agent that may call no more."""
    ENDED_BY_API = "ended_by_api"
    """Somebody with a key hung up."""
    MACHINE_HUNG_UP = "machine_hung_up"
    """An answering machine or a fax took the call, and the agent hung up on it."""
    MESSAGE_LEFT = "message_left"
    """An answering machine took the call, and the agent left its message."""
    MISSED = "missed"
    """It was to be placed at a time at which no server ran, and is not placed so late."""


class AttemptOutcome(StrEnum):
    """What became of a request to Twilio to place a call."""

    PLACED = "placed"
    REFUSED = "refused"
    """Twilio would not, and will not."""
    NOT_SENT = "not_sent"
    """It certainly placed no call, and may be repeated."""


class Speaker(StrEnum):
    """Whose voice it is; also the recording's channel: the caller is left, the agent right."""

    CALLER = "caller"
    AGENT = "agent"


class RecordingStatus(StrEnum):
    """What became of a call's recording. `recording` on an ended call means that its process died."""

    NONE = "none"
    RECORDING = "recording"
    COMPLETE = "complete"
    FAILED = "failed"


class ConsentAnswer(StrEnum):
    """What the other side said to being recorded; `none`: nothing, or it was only told."""

    YES = "yes"
    NO = "no"
    NONE = "none"
    WITHDRAWN = "withdrawn"


class ConsentGivenBy(StrEnum):
    """By what an answer came; `announcement`: no answer was asked for."""

    VOICE = "voice"
    KEY = "key"
    ANNOUNCEMENT = "announcement"


@dataclass(frozen=True, slots=True)
class Consent:
    """One record of consent. `wording` is what was asked or told, word for word, in `language` (BCP 47).

    `number` is that of the person on the other side, E.164, None in a browser; `given_by` is None for no answer.
    """

    agent_name: str
    number: str | None
    wording: str
    language: str
    answer: ConsentAnswer
    given_by: ConsentGivenBy | None
    at: datetime  # aware


@dataclass(frozen=True, slots=True)
class Call:
    """One call, as known before anyone spoke. Numbers are E.164; a browser has neither numbers nor a `call_sid`.

    `is_announced`: Twilio's voice has told the caller already that the call is recorded; `is_disclosed`: and that an
    automated assistant calls. `answered_by`: who took a call that we placed, in Twilio's word, as far as that was known
    when the stream began. `overrides`: what this call changes of its agent, see `config.overrides`. `agent_version`:
    which version of it, for an agent that is stored.
    """

    call_id: str
    call_sid: str | None
    agent_name: str
    direction: Direction
    from_number: str | None
    to_number: str | None
    variables: dict[str, str]
    started_at: datetime  # aware
    is_announced: bool = False
    is_disclosed: bool = False
    answered_by: str | None = None
    overrides: dict[str, Any] = field(default_factory=dict[str, Any])
    agent_version: int | None = None


@dataclass(frozen=True, slots=True)
class Turn:
    """One speaker's utterance, as far as it was really heard. `error` names what went wrong just before it."""

    speaker: Speaker
    text: str
    start_ms: int
    end_ms: int
    interrupted: bool = False
    error: str | None = None


@dataclass(frozen=True, slots=True)
class CallEvent:
    """Something that happened at one moment of a call. `data` is what JSON can hold."""

    kind: str
    at_ms: int
    data: dict[str, Any] = field(default_factory=dict[str, Any])
