"""What a call's log consists of, on its way to the database. Every entry may be written twice with one effect."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from transcripts.call import CallEvent, EndReason, RecordingStatus, Turn


@dataclass(frozen=True, slots=True)
class TurnEntry:
    """A turn and its place in the call."""

    call_id: str
    position: int
    turn: Turn


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
class FinishEntry:
    """The call's end. The first reason stands, unless it was `server_crashed`, written by another process."""

    call_id: str
    reason: EndReason
    ended_at: datetime


@dataclass(frozen=True, slots=True)
class HandOverEntry:
    """The call goes on at Twilio, with no process of ours: from now on it has no owner, and nobody holds its log."""

    call_id: str


Entry = TurnEntry | EventEntry | RecordingEntry | NextStepEntry | FinishEntry | HandOverEntry
