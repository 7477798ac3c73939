"""Twilio tells who took a call that we placed: written down, and told to the call, wherever it runs."""

import asyncio
from typing import Annotated

from fastapi import APIRouter, Query
from loguru import logger

from api.access import SignedForm
from api.deps import Services, ServicesDep
from api.patience import database_in_time
from storage.errors import DatabaseAway
from telephony.machine_detection import AnsweredBy, parse_answer_report
from transcripts.call import CallStatus

router = APIRouter(prefix="/twilio", tags=["twilio"])

_TELL_SECS = 2.0
_AGAIN_AFTER_SECS = (0.5, 1.0, 2.0)
"""The stream may be just about to come, and its call to begin."""


@router.post("/amd", status_code=204)
async def answered_by(
    form: SignedForm, services: ServicesDep, call_id: Annotated[str, Query(max_length=64)] = ""
) -> None:
    """Take note of who took the call. It may come before the stream, twice, late, or to another process."""
    report = parse_answer_report(form)
    # The call goes first: it may be speaking into a machine, and a database may be slow.
    is_told = bool(call_id) and await _tell(services, call_id, report.answered_by)
    async with database_in_time():
        if call_id:
            row = await services.dialler.take_webhook(call_id, report.call_sid)
        else:
            row = await services.store.find_call(report.call_sid)
        if row is None or row.status == CallStatus.ENDED:
            return
        await services.store.note_answered_by(row.call_id, report.answered_by)
    logger.bind(call_id=row.call_id, answered_by=report.answered_by.value, took_ms=report.took_ms).info(
        "Twilio says who took the call"
    )
    if not is_told:
        await _tell_once_live(services, row.call_id, report.answered_by)


async def _tell_once_live(services: Services, call_id: str, answered_by: AnsweredBy) -> None:
    """A call that begins after this finds it in its row; one that is just beginning is told."""
    for pause_secs in _AGAIN_AFTER_SECS:
        if await _tell(services, call_id, answered_by):
            return
        try:
            row = await services.store.get_call(call_id)
        except DatabaseAway:
            row = None
        if row is not None and row.status == CallStatus.ENDED:
            return
        await asyncio.sleep(pause_secs)


async def _tell(services: Services, call_id: str, answered_by: AnsweredBy) -> bool:
    live = services.live.get(call_id)
    if live is not None:
        live.tell(answered_by)
        return True
    told = await services.colleagues.run_errand(
        "answered_by", call_id=call_id, timeout_secs=_TELL_SECS, answered_by=answered_by.value
    )
    return told is not None
