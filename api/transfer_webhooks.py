"""What Twilio asks and tells about a person who is rung for a caller. Every request is signed."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Annotated

from fastapi import APIRouter, Path, Query, Response
from loguru import logger

from api.access import SignedForm
from api.deps import Services, ServicesDep
from api.patience import database_in_time
from api.transfer_answers import answer_here
from api.transfer_rows import answer_by_row
from storage.errors import DatabaseAway
from telephony import transfer_twiml, twiml
from telephony.transfer_webhooks import is_machine, parse_reply, parse_room_report
from telephony.webhooks import parse_status_report

router = APIRouter(prefix="/twilio/transfer", tags=["twilio"])

_ELSEWHERE_SECS = 8.0
"""How long the process that has the call may take: it may have to move the caller first. Twilio waits 15 s."""

TransferId = Annotated[str, Path(pattern="^[0-9a-f]{32}$")]
CallId = Annotated[str, Query(pattern="^[0-9a-f]{32}$")]
Count = Annotated[int, Query(ge=0, le=20)]


@router.post("/{transfer_id}/briefing")
async def briefing(
    transfer_id: TransferId, call: CallId, form: SignedForm, services: ServicesDep, asked: Count = 0, tries: Count = 0
) -> Response:
    """Tell the person who has answered what the call is about.

    `asked`: how often he was asked before; `tries`: how often Twilio asked a server that does not have the call.
    """
    details = {"sid": parse_reply(form).call_sid, "asked": str(asked), "tries": str(tries)}
    return await _twiml(services, transfer_id, call, "briefing", details)


@router.post("/{transfer_id}/answer")
async def answer(
    transfer_id: TransferId,
    call: CallId,
    form: SignedForm,
    services: ServicesDep,
    asked: Count = 0,
    tries: Count = 0,
    said: Annotated[str, Query(pattern="^[12]?$")] = "",
) -> Response:
    """Take his decision; bring him together with the caller, or say why not. `said` is a decision of before."""
    reply = parse_reply(form)
    details = {
        "sid": reply.call_sid,
        "asked": str(asked),
        "tries": str(tries),
        "digits": said or reply.digits,
        "words": "" if said else reply.words,
    }
    if reply.confidence is not None:
        details["confidence"] = str(reply.confidence)
    return await _twiml(services, transfer_id, call, "answer", details)


@router.post("/{transfer_id}/leg", status_code=204)
async def leg(transfer_id: TransferId, call: CallId, form: SignedForm, services: ServicesDep) -> None:
    """Take note of how the person's call goes."""
    report = parse_status_report(form)
    await _answer(services, transfer_id, call, "leg", {"sid": report.call_sid, "status": report.status})


@router.post("/{transfer_id}/machine", status_code=204)
async def machine(transfer_id: TransferId, call: CallId, form: SignedForm, services: ServicesDep) -> None:
    """Take note of who has answered, where Twilio was asked to find out."""
    if is_machine(form):
        await _answer(services, transfer_id, call, "machine", {"sid": parse_reply(form).call_sid})


@router.post("/{transfer_id}/room", status_code=204)
async def room(transfer_id: TransferId, call: CallId, form: SignedForm, services: ServicesDep) -> None:
    """Take note of who came into the room, who left it, and that it is over."""
    report = parse_room_report(form, datetime.now(UTC))
    if report is not None:
        await _answer(services, transfer_id, call, "room", {"kind": report.kind, "sid": report.call_sid or ""})


async def _twiml(services: Services, transfer_id: str, call_id: str, what: str, details: Mapping[str, str]) -> Response:
    try:
        text = await _answer(services, transfer_id, call_id, what, details)
    except DatabaseAway as error:
        logger.bind(call_id=call_id, problem=str(error)).error(
            "what becomes of a transfer is in a database that is away"
        )
        text = transfer_twiml.sentence("failed", "en-US")
    return Response(text, media_type=twiml.MEDIA_TYPE)


async def _answer(services: Services, transfer_id: str, call_id: str, what: str, details: Mapping[str, str]) -> str:
    """Have it answered by whoever knows: this process, the one that has the caller's call, or the row."""
    here = await answer_here(services.transfers, transfer_id, what, details)
    if here is not None:
        return here
    asked = {**details, "transfer_id": transfer_id, "what": what}
    there = await services.colleagues.run_errand("transfer", call_id=call_id, timeout_secs=_ELSEWHERE_SECS, **asked)
    if there is not None:
        return there["twiml"]
    async with database_in_time():
        return await answer_by_row(services, transfer_id, what, details)
