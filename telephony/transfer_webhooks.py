"""Twilio's webhooks about a warm transfer: forms in, frozen values out."""

from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Literal

from telephony.webhooks import BadForm, Form, parse_stream_over

_MACHINES = ("machine", "fax")
_ROOM_EVENTS: dict[str, Literal["start", "end", "join", "leave"]] = {
    "conference-start": "start",
    "conference-end": "end",
    "participant-join": "join",
    "participant-leave": "leave",
}


@dataclass(frozen=True, slots=True)
class Reply:
    """What the person pressed or said; both are empty when nothing."""

    call_sid: str
    digits: str
    words: str
    confidence: float | None


@dataclass(frozen=True, slots=True)
class RoomReport:
    """Something that happened in the room. `call_sid` is None for what concerns the room itself."""

    kind: Literal["start", "end", "join", "leave"]
    call_sid: str | None
    at: datetime  # aware


def parse_reply(form: Form) -> Reply:
    """Read the action of our `<Gather>`. Raises `BadForm` without CallSid."""
    confidence = _field(form, "Confidence")
    try:
        sure = None if confidence is None else float(confidence)
    except ValueError:
        sure = None
    return Reply(_call_sid(form), _field(form, "Digits") or "", _field(form, "SpeechResult") or "", sure)


def is_machine(form: Form) -> bool:
    """Whether Twilio found that a machine answered."""
    return (_field(form, "AnsweredBy") or "").startswith(_MACHINES)


def parse_room_report(form: Form, now: datetime) -> RoomReport | None:
    """Read a conference's status callback; None for an event that we did not ask for. `now`: when it says no time."""
    event = _field(form, "StatusCallbackEvent")
    if event is None:
        raise BadForm("StatusCallbackEvent is missing")
    kind = _ROOM_EVENTS.get(event)
    if kind is None:
        return None
    call_sid = _call_sid(form) if kind in ("join", "leave") else None
    return RoomReport(kind, call_sid, _time(_field(form, "Timestamp")) or now)


def _time(text: str | None) -> datetime | None:
    try:
        moment = None if text is None else parsedate_to_datetime(text)
    except ValueError:
        return None
    return moment if moment is None or moment.tzinfo else moment.replace(tzinfo=UTC)


def _call_sid(form: Form) -> str:
    return parse_stream_over(form).call_sid


def _field(form: Form, name: str) -> str | None:
    values = form.get(name)
    return values[0] if values and values[0] else None
