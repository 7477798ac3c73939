"""What a call's log consists of, on its way to the database. Every entry may be written twice with one effect."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from transcripts.call import CallEvent, Consent, EndReason, RecordingStatus, Turn


@dataclass(frozen=True, slots=True)
class TurnEntry:
    """A turn and its place in the call. `is_searched`: the call is to be found by its words."""

    call_id: str
    position: int
    turn: Turn
    is_searched: bool = False


@dataclass(frozen=True, slots=True)
class EventEntry:
    """An event and its place in the call."""

    call_id: str
    seq: int
    event: CallEvent


@dataclass(frozen=True, slots=True)
class RecordingEntry:
    """What became of the recording. The first `complete` or `failed` stands."""

    call_id: str
    status: RecordingStatus
    error: str | None = None


@dataclass(frozen=True, slots=True)
class NextStepEntry:
    """What Twilio shall do once the media stream has closed; JSON. The last one stands."""

    call_id: str
    step: dict[str, Any]


@dataclass(frozen=True, slots=True)
class TransferAttemptsEntry:
    """Everybody who was rung for the caller so far, and what became of it; JSON. The last list stands."""

    call_id: str
    attempts: list[dict[str, Any]]


@dataclass(frozen=True, slots=True)
class FinishEntry:
    """The call's end. The first reason stands, unless it was `server_crashed`, written by another process."""

    call_id: str
    reason: EndReason
    ended_at: datetime


@dataclass(frozen=True, slots=True)
class HandOverEntry:
    """The call goes on at Twilio, with no process of ours: from now on it has no owner, and nobody holds its log."""

    call_id: str


@dataclass(frozen=True, slots=True)
class ConsentEntry:
    """What the other side said to being recorded."""

    call_id: str
    consent: Consent


@dataclass(frozen=True, slots=True)
class ForgetWordsEntry:
    """Consent was withdrawn: the words go of all turns before `position` and all events before `seq`."""

    call_id: str
    position: int
    seq: int


@dataclass(frozen=True, slots=True)
class LessEntry:
    """Less is left of a turn that was told before: its text, the data of its event, and the words it is found by."""

    call_id: str
    position: int
    seq: int
    text: str
    data: dict[str, Any]
    is_searched: bool = False


@dataclass(frozen=True, slots=True)
class DoNotCallEntry:
    """The person on the call does not wish to be called again: his number (E.164), and when he was promised that."""

    call_id: str
    number: str
    promised_at: datetime


Entry = (
    TurnEntry
    | EventEntry
    | RecordingEntry
    | NextStepEntry
    | TransferAttemptsEntry
    | FinishEntry
    | HandOverEntry
    | ConsentEntry
    | ForgetWordsEntry
    | LessEntry
    | DoNotCallEntry
)
