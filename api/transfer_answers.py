"""Twilio's questions about a person who is rung, answered by the process that has the caller's call."""

from collections.abc import Mapping

from api.transfer_desk import TransferDesk
from pipelines.transfer_attempt import Attempt
from telephony import transfer_twiml
from telephony.spoken_answer import is_yes
from telephony.transfer_twiml import TransferUrls
from transcripts.transfer import LEG_EVENTS, OVER, TransferEvent, TransferStatus

_MOVE_SECS = 8.0
_HAND_OVER_SECS = 5.0
_UNDER_WAY = frozenset({TransferStatus.ACCEPTED, TransferStatus.DESERTED})
_UNDECIDED = frozenset({TransferStatus.CALLING, TransferStatus.RINGING, TransferStatus.BRIEFING})

ASKED_ALREADY, MOST_ASKED = 1, 2
"""Asked so often, an unclear reply is asked for once more; and is a no."""


def decision_in(details: Mapping[str, str], language: str) -> TransferEvent | None:
    """Return what the person has decided; None when he is to be asked (again)."""
    asked = int(details.get("asked", "0"))
    confidence = float(details["confidence"]) if "confidence" in details else None
    meant = is_yes(details.get("digits", ""), details.get("words", ""), confidence, language)
    if meant is not None:
        return TransferEvent.ACCEPT if meant else TransferEvent.REFUSE
    return TransferEvent.SILENCE if asked >= ASKED_ALREADY else None


def twiml_at(status: TransferStatus, language: str, urls: TransferUrls) -> str:
    """Return what a person hears whose transfer stands there: the room, or why there is none for him."""
    match status:
        case TransferStatus.JOINED:
            return transfer_twiml.room(urls, "person")
        case TransferStatus.CALLER_LEFT | TransferStatus.ENDED:
            kind = "gone"
        case TransferStatus.REFUSED | TransferStatus.UNDECIDED:
            kind = "refused"
        case TransferStatus.ACCEPTED | TransferStatus.DESERTED | TransferStatus.FAILED:
            kind = "failed"
        case _:
            kind = "taken"
    return transfer_twiml.sentence(kind, language)


async def answer_here(desk: TransferDesk, transfer_id: str, what: str, details: Mapping[str, str]) -> str | None:
    """Return the TwiML (empty where none is wanted); None when this process does not know, or no longer decides."""
    attempt = desk.find(transfer_id)
    if attempt is None:
        return None
    urls = desk.urls_of(transfer_id, attempt.call.call_id)
    _note_leg(desk, attempt, details)
    match what:
        case "briefing":
            desk.tell(attempt, TransferEvent.ANSWERED)
            if attempt.status is TransferStatus.BRIEFING:
                asked = int(details.get("asked", "0"))
                return transfer_twiml.briefing(attempt.summary, attempt.language, urls, asked=asked)
        case "answer":
            decided = decision_in(details, attempt.language)
            if decided is None and attempt.status in _UNDECIDED:
                return transfer_twiml.briefing(attempt.summary, attempt.language, urls, asked=ASKED_ALREADY)
            desk.tell(attempt, decided or TransferEvent.SILENCE)
        case "machine":
            desk.tell(attempt, TransferEvent.MACHINE)
            return ""
        case "leg" if attempt.status is not TransferStatus.JOINED:
            if details["status"] in LEG_EVENTS:
                desk.tell(attempt, LEG_EVENTS[details["status"]])
            return ""
        case _:
            return None if await _is_row_true(attempt) else ""
    await attempt.wait_for(frozenset({TransferStatus.JOINED, *OVER}), _MOVE_SECS)
    return twiml_at(attempt.status, attempt.language, urls)


def _note_leg(desk: TransferDesk, attempt: Attempt, details: Mapping[str, str]) -> None:
    """Twilio names the person's call also when its answer to our request was lost."""
    is_of_leg = details.get("sid") not in (None, "", attempt.call_sid)
    if attempt.leg_sid is None and is_of_leg:
        attempt.leg_sid = details["sid"]
        desk.tell(attempt, TransferEvent.PLACED)


async def _is_row_true(attempt: Attempt) -> bool:
    """What happens in the room is written by anybody, once our own events of the call are."""
    if attempt.status is TransferStatus.ACCEPTED:
        await attempt.wait_for(frozenset({TransferStatus.JOINED, *OVER}), _MOVE_SECS)
    if attempt.status is TransferStatus.JOINED:
        return await attempt.wait_handed_over(_HAND_OVER_SECS)
    return True
