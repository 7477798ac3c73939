"""A transfer whose caller no process holds any more: he talks in a room at Twilio, or his process has died.

Any process is told what happens, and goes by the rows. Of any number one makes each move.
"""

import asyncio
from collections.abc import Mapping
from datetime import UTC, datetime

from loguru import logger

from api.deps import Services
from api.transfer_answers import decision_in, twiml_at
from storage.errors import DatabaseAway
from telephony import transfer_twiml, twiml
from telephony.rest import TwilioCall, TwilioFailed
from telephony.transfer_twiml import TransferUrls
from transcripts.call import CallEvent, CallStatus, EndReason
from transcripts.entries import FinishEntry
from transcripts.models import CallRow, TransferRow
from transcripts.transfer import LEG_EVENTS, OVER, TransferEvent, TransferStatus
from transcripts.transfer_store import Party

_POLL_SECS = 0.1
_HAND_OVER_SECS = 5.0
_LOOKS_SECS = (2.0, 6.0, 15.0)
"""When to look whether somebody is alone in the room, counted from his coming."""
_ASK_AGAIN_SECS = 1
_MOST_TRIES = 8
_ON_THE_LINE = frozenset({"queued", "ringing", "in-progress"})
_IN_ROOM = frozenset({TransferStatus.ACCEPTED, TransferStatus.JOINED})


async def answer_by_row(services: Services, transfer_id: str, what: str, details: Mapping[str, str]) -> str:
    """Return the TwiML, empty where none is wanted. May raise `DatabaseAway`."""
    row = await services.transfers.store.get(transfer_id)
    if row is None:
        logger.bind(what=what).warning("Twilio asks about a transfer that nobody knows")
        return transfer_twiml.sentence("taken", "en-US")
    match what:
        case "briefing" | "answer":
            return await _answer_person(services, row, what, details)
        case "leg":
            await _note_leg(services, row, details["status"])
        case "machine":
            move = await services.transfers.store.tell(transfer_id, TransferEvent.MACHINE)
            if move is not None and move.is_change:
                await _hang_up(services, row)
        case "room":
            await _note_room(services, row, details["kind"], details["sid"])
        case _:
            logger.bind(what=what).warning("Twilio asks something about a transfer that nobody understands")
    return ""


async def caller_is_over(services: Services, row: CallRow) -> bool:
    """Note that a caller who was handed over to Twilio has hung up; False when he was not handed over."""
    if row.status != CallStatus.LIVE or row.owner is not None:
        return False
    attempts = await services.transfers.store.list_of(row.call_id)
    if not attempts:
        return False
    if TransferStatus(attempts[-1].status) in OVER:
        # Somebody is just writing its end, or died while he was.
        await services.store.add_entries([FinishEntry(row.call_id, EndReason.TRANSFERRED, datetime.now(UTC))])
    else:
        await _close(services, attempts[-1], TransferEvent.CALLER_LEFT)
    return True


# ---- what the person asks ----


async def _answer_person(services: Services, row: TransferRow, what: str, details: Mapping[str, str]) -> str:
    urls = services.transfers.urls_of(row.transfer_id, row.call_id)
    status = TransferStatus(row.status)
    if status is TransferStatus.JOINED or status in OVER:
        return twiml_at(status, row.language, urls)
    if await _is_held(services, row) and int(details.get("tries", "0")) < _MOST_TRIES:
        # Another server has the call, and Twilio may find that one next time.
        return twiml.hold(_again(urls, what, row, details), _ASK_AGAIN_SECS)
    await services.transfers.store.tell(row.transfer_id, TransferEvent.CALLER_LEFT)
    return transfer_twiml.sentence("gone", row.language)


def _again(urls: TransferUrls, what: str, row: TransferRow, details: Mapping[str, str]) -> str:
    """The same question, with the decision in it: Twilio does not repeat what was pressed or said."""
    tries = int(details.get("tries", "0")) + 1
    decided = decision_in(details, row.language) if what == "answer" else None
    said = {TransferEvent.ACCEPT: "1", TransferEvent.REFUSE: "2"}.get(decided) if decided else None
    return urls.at(what, asked=int(details.get("asked", "0"))) + f"&tries={tries}" + (f"&said={said}" if said else "")


async def _is_held(services: Services, row: TransferRow) -> bool:
    """Whether a process that may be alive has the caller's call."""
    call = await services.store.get_call(row.call_id)
    if call is None or call.status != CallStatus.LIVE or call.owner in (None, services.instance):
        return False
    try:
        return not await services.sweeper.close_calls_if_dead(call.owner or "")
    except OSError:
        return True


# ---- what happens to the person's call, and in the room ----


async def _note_leg(services: Services, row: TransferRow, status: str) -> None:
    event = LEG_EVENTS.get(status)
    if event is None:
        return
    if row.status == TransferStatus.JOINED:
        await _close(services, row, event)
        return
    move = await services.transfers.store.tell(row.transfer_id, event)
    if move is not None and move.is_change and move.now is TransferStatus.DESERTED:
        # The process that was moving the caller is not here to see it; if it is gone, he may be alone in the room.
        if not await _is_held(services, row):
            await services.transfers.send_off(row.call_sid, "deserted", row.language)


async def _note_room(services: Services, row: TransferRow, kind: str, call_sid: str) -> None:
    party: Party = "caller" if call_sid == row.call_sid else "person"
    now = datetime.now(UTC)
    call = await _wait_handed_over(services, row)
    if kind == "join":
        if TransferStatus(row.status) not in _IN_ROOM:
            # He came after all, and nobody is to come for him.
            await services.transfers.send_off(call_sid, "deserted" if party == "caller" else "gone", row.language)
        elif await services.transfers.store.join(row.transfer_id, party, now):
            await _append(services, call, "transfer.joined", now, who=party, destination=row.destination)
            services.transfers.watch(_look_for_lonely(services, row.transfer_id), "looks who is alone in a room")
    elif kind == "leave":
        if TransferStatus(row.status) is TransferStatus.JOINED:
            await _append(services, call, "transfer.left", now, who=party, destination=row.destination)
        if row.caller_joined_at is not None and row.person_joined_at is not None:
            await _close(services, row, TransferEvent.ROOM_CLOSED)
    elif kind == "end" and row.caller_joined_at is not None and row.person_joined_at is not None:
        await _close(services, row, TransferEvent.ROOM_CLOSED)


async def _look_for_lonely(services: Services, transfer_id: str) -> None:
    """One who is in the room while the other will not come, or has left unseen, is told so and let go."""
    desk, waited_secs = services.transfers, 0.0
    for look_secs in _LOOKS_SECS:
        await asyncio.sleep(look_secs - waited_secs)
        waited_secs = look_secs
        try:
            row = await desk.store.get(transfer_id)
            if row is None or row.status != TransferStatus.JOINED or desk.rest is None or row.leg_sid is None:
                return
            if row.caller_joined_at is not None and row.person_joined_at is not None:
                return
            calls = [await desk.rest.fetch(row.call_sid), await desk.rest.fetch(row.leg_sid)]
        except (DatabaseAway, TwilioFailed) as error:
            logger.bind(problem=str(error)).warning("nobody can tell now whether somebody is alone in a room")
            continue
        if not all(map(_is_on_the_line, calls)):
            event = TransferEvent.LEG_OVER if _is_on_the_line(calls[0]) else TransferEvent.CALLER_LEFT
            await _close(services, row, event)
            return


def _is_on_the_line(call: TwilioCall | None) -> bool:
    return call is not None and call.status in _ON_THE_LINE


async def _close(services: Services, row: TransferRow, event: TransferEvent) -> None:
    """Their talk is over: end the call's row, and leave nobody alone."""
    move = await services.transfers.store.tell(row.transfer_id, event)
    if move is None or not move.is_change or move.now is not TransferStatus.ENDED:
        return
    call, now = await _wait_handed_over(services, row), datetime.now(UTC)
    joined = move.row
    both_at = None
    if joined.caller_joined_at is not None and joined.person_joined_at is not None:
        both_at = max(joined.caller_joined_at, joined.person_joined_at)
    talked_secs = 0 if both_at is None else max(0, round((now - both_at).total_seconds()))
    await _append(services, call, "transfer.ended", now, destination=row.destination, talked_secs=talked_secs)
    await _append(services, call, "call.ended", now, reason=EndReason.TRANSFERRED.value, detail=None)
    await services.store.add_entries([FinishEntry(row.call_id, EndReason.TRANSFERRED, now)])
    logger.bind(call_id=row.call_id, talked_secs=talked_secs).info("a transferred call ended")
    if both_at is None:
        if event is TransferEvent.CALLER_LEFT:
            if row.leg_sid is not None:
                await services.transfers.send_off(row.leg_sid, "gone", row.language)
        else:
            await services.transfers.send_off(row.call_sid, "deserted", row.language)


async def _wait_handed_over(services: Services, row: TransferRow) -> CallRow | None:
    """Return the call's row, once the process that moved the caller has written its own last events."""
    deadline = services.now() + _HAND_OVER_SECS
    call = await services.store.get_call(row.call_id)
    while call is not None and call.status == CallStatus.LIVE and call.owner is not None and services.now() < deadline:
        await asyncio.sleep(_POLL_SECS)
        call = await services.store.get_call(row.call_id)
    return call


async def _append(services: Services, call: CallRow | None, kind: str, now: datetime, **data: object) -> None:
    if call is None:
        return
    began_at = call.live_at or call.created_at
    at_ms = max(0, round((now - began_at).total_seconds() * 1000))
    await services.store.append_event(call.call_id, CallEvent(kind, at_ms, dict(data)))


async def _hang_up(services: Services, row: TransferRow) -> None:
    rest = services.transfers.rest
    if rest is None or row.leg_sid is None:
        return
    try:
        await rest.hang_up(row.leg_sid)
    except TwilioFailed as error:
        logger.bind(problem=str(error)).warning("a machine that answered for a person cannot be hung up on")
