"""Twilio's webhooks: form bodies in, frozen values out.

Source of the fields: Twilio's "TwiML Voice request" and "StatusCallback" references.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from urllib.parse import parse_qs

from telephony.away_step import DialOutcome, DialReport
from telephony.numbers import BadNumber, parse_e164

Form = Mapping[str, Sequence[str]]

_CALL_SID = re.compile(r"CA[0-9A-Za-z]{1,62}")
_MAX_FIELDS = 200
# The call is over in all of these; it never was a conversation unless its stream went live.
_FINAL_STATUSES = frozenset({"completed", "busy", "failed", "no-answer", "canceled"})
# https://www.twilio.com/docs/voice/twiml/dial#attributes-action, DialCallStatus
_DIAL_OUTCOMES = {
    "completed": DialOutcome.ANSWERED,
    "answered": DialOutcome.ANSWERED,
    "busy": DialOutcome.BUSY,
    "no-answer": DialOutcome.NO_ANSWER,
    "failed": DialOutcome.FAILED,
    "canceled": DialOutcome.CANCELLED,
}


class BadForm(ValueError):
    """The form is not one of Twilio's webhooks: a field is missing or cannot be read."""

    def __str__(self) -> str:
        """Return the detail given, or the sentence above."""
        return str(self.args[0]) if self.args else (type(self).__doc__ or "")


@dataclass(frozen=True, slots=True)
class IncomingCall:
    """A call that asks what to do with it.

    `to_number` is E.164, or what Twilio sent when it is no number (then no agent answers it); `from_number` is E.164,
    or None for a withheld number and for SIP or browser callers.
    """

    call_sid: str
    to_number: str
    from_number: str | None


@dataclass(frozen=True, slots=True)
class StreamOver:
    """The action of our `<Connect>` or `<Dial>`: the caller is still there, what now?

    `dial` is None after a stream; after a transfer it tells how that went.
    `stream_sid` is the stream that is over, where Twilio names it.
    """

    call_sid: str
    dial: DialReport | None = None
    stream_sid: str | None = None


@dataclass(frozen=True, slots=True)
class StatusReport:
    """A change of the call's status at Twilio, in Twilio's word; may come twice and out of order.

    `duration_secs` is how long the call lasted from its answer on, where Twilio says so: at its end.
    """

    call_sid: str
    status: str
    is_final: bool
    duration_secs: int | None = None


def parse_form(body: bytes) -> dict[str, list[str]]:
    """Read an URL-encoded body: every field with all its values. Raises `BadForm`."""
    try:
        return parse_qs(body.decode("utf-8"), keep_blank_values=True, max_num_fields=_MAX_FIELDS)
    except ValueError as error:
        raise BadForm("the body is not an URL-encoded form of at most 200 fields") from error


def parse_incoming_call(form: Form) -> IncomingCall:
    """Read the voice webhook. Raises `BadForm` without CallSid or To."""
    to = _field(form, "To")
    if to is None:
        raise BadForm("To is missing")
    return IncomingCall(read_call_sid(form), _number(to) or to.strip(), _number(_field(form, "From")))


def parse_stream_over(form: Form) -> StreamOver:
    """Read the request for the next TwiML. Raises `BadForm` without CallSid."""
    return StreamOver(read_call_sid(form), _dial_report(form), _field(form, "StreamSid"))


def parse_answered_leg(form: Form) -> str:
    """Read that somebody who was dialled has answered; returns the SID of the call that dialled. Raises `BadForm`."""
    parent = _field(form, "ParentCallSid")
    if parent is None or not _CALL_SID.fullmatch(parent):
        raise BadForm("ParentCallSid is missing, or not a call SID")
    return parent


def _dial_report(form: Form) -> DialReport | None:
    status = _field(form, "DialCallStatus")
    if status is None:
        return None
    outcome = _DIAL_OUTCOMES.get(status, DialOutcome.FAILED)
    if outcome is not DialOutcome.ANSWERED and _field(form, "CallStatus") in _FINAL_STATUSES:
        outcome = DialOutcome.CALLER_HUNG_UP
    secs = _field(form, "DialCallDuration") or ""
    return DialReport(outcome, int(secs) if secs.isascii() and secs.isdigit() and len(secs) < 9 else None)


def parse_status_report(form: Form) -> StatusReport:
    """Read a status callback. Raises `BadForm` without CallSid or CallStatus."""
    status = _field(form, "CallStatus")
    if status is None:
        raise BadForm("CallStatus is missing")
    duration = _field(form, "CallDuration") or ""
    secs = int(duration) if duration.isascii() and duration.isdigit() and len(duration) < 8 else None
    return StatusReport(read_call_sid(form), status, status in _FINAL_STATUSES, secs)


def read_call_sid(form: Form) -> str:
    """Read Twilio's id of the call that a webhook is about. Raises `BadForm`."""
    call_sid = _field(form, "CallSid")
    if call_sid is None:
        raise BadForm("CallSid is missing")
    if not _CALL_SID.fullmatch(call_sid):
        raise BadForm("CallSid is not a call SID")
    return call_sid


def _field(form: Form, name: str) -> str | None:
    values = form.get(name)
    return values[0] if values and values[0] else None


def _number(text: str | None) -> str | None:
    if text is None:
        return None
    try:
        return parse_e164(text)
    except BadNumber:
        return None
