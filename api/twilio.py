"""Twilio's webhooks: a call rings, its stream is over, its status changed."""

import asyncio
from datetime import UTC, datetime
from uuid import uuid4

from fastapi import APIRouter, Response
from loguru import logger

from api.access import SignedForm
from api.deps import Services, ServicesDep
from api.patience import database_in_time
from storage.errors import DatabaseAway
from telemetry import metrics
from telephony import stream_token, twiml, webhooks
from telephony.next_step import BadStep, NextStep
from transcripts.call import Call, CallStatus, Direction, EndReason
from transcripts.models import CallRow

router = APIRouter(prefix="/twilio", tags=["twilio"])

_POLL_SECS = 0.1
_ANOTHER_LANGUAGE = "en-US"  # of callers whose agent is not known
_APOLOGISE_AFTER = frozenset({EndReason.FAILED, EndReason.CONNECTION_LOST, EndReason.NEVER_CONNECTED})


@router.post("/voice")
async def answer(form: SignedForm, services: ServicesDep) -> Response:
    """Tell Twilio what to do with a ringing call: connect it to the media socket, or say why not.

    A repeated webhook gets an equivalent answer (the same call with a fresh token) and opens no second row.
    """
    incoming = webhooks.parse_incoming_call(form)
    agent = (await services.current_agents()).by_number(incoming.to_number)
    if agent is None:
        logger.bind(call_sid=incoming.call_sid).warning("no agent answers the number that was called")
        return _xml(twiml.unknown_number())
    call = Call(
        call_id=uuid4().hex,
        call_sid=incoming.call_sid,
        agent_name=agent.name,
        direction=Direction.INBOUND,
        from_number=incoming.from_number,
        to_number=incoming.to_number,
        variables={},
        started_at=datetime.now(UTC),
    )
    try:
        async with database_in_time():
            row = await services.store.open_call(call)
            is_new = row.call_id == call.call_id
            is_refused = is_new and services.live.is_full
            if is_refused:
                await services.store.finish_call(row.call_id, EndReason.REFUSED_BUSY, ended_at=datetime.now(UTC))
        if is_refused:
            metrics.REFUSED_TOTAL.inc()
            logger.bind(call_id=row.call_id).warning("call refused: every slot is taken")
            return _xml(twiml.busy(agent.language))
    except DatabaseAway as error:
        logger.bind(call_sid=incoming.call_sid, problem=str(error)).error("a call cannot be taken without the database")
        return _xml(twiml.apology(language=agent.language))
    if row.status == CallStatus.ENDED:
        return _xml(_step_of_ended(row, agent.language))
    logger.bind(call_id=row.call_id, call_sid=incoming.call_sid, agent=agent.name, is_new=is_new).info("call rings")
    return _xml(_connect(services, row.call_id, incoming.call_sid))


@router.post("/next")
async def next_step(form: SignedForm, services: ServicesDep) -> Response:
    """Tell Twilio what comes after the stream or after a transfer: hang up, transfer, busy, or an apology."""
    over = webhooks.parse_stream_over(form)
    try:
        async with database_in_time():
            return _xml(await _decide_next(services, over))
    except DatabaseAway as error:
        logger.bind(call_sid=over.call_sid, problem=str(error)).error("what comes next is in a database that is away")
        return _xml(twiml.apology(language=_ANOTHER_LANGUAGE))


@router.post("/status", status_code=204)
async def status(form: SignedForm, services: ServicesDep) -> None:
    """Take note that the call is over at Twilio, for the calls whose own end nobody will write.

    A call that never got its stream ends here. A live call is ended by its stream; one that goes on here for a while
    (a bot that does not look at its socket) is told to end, one that no process holds lost its connection.
    """
    report = webhooks.parse_status_report(form)
    if not report.is_final:
        return
    async with database_in_time():
        row = await _wait_until_ended(services, report.call_sid)
        if row is None or row.status == CallStatus.ENDED:
            return
        live = services.live.get(row.call_id)
        if live is not None:
            live.end(EndReason.CALLER_HUNG_UP)
        else:
            await _give_up(services, row)


def _connect(services: Services, call_id: str, call_sid: str) -> str:
    settings = services.settings
    token = stream_token.issue(
        services.token_secret,
        call_id=call_id,
        call_sid=call_sid,
        now=services.now(),
        ttl_secs=settings.stream_token_ttl_secs,
    )
    return twiml.connect_stream(
        stream_url=f"{settings.stream_base_url}/twilio/stream",
        action_url=_next_url(services),
        parameters={"call_id": call_id, "token": token},
    )


def _next_url(services: Services) -> str:
    return f"{services.settings.effective_public_base_url}/twilio/next"


async def _decide_next(services: Services, over: webhooks.StreamOver) -> str:
    row = await _wait_until_ended(services, over.call_sid)
    if row is None:
        return twiml.hang_up()
    agent = services.agents.catalog.by_name(row.agent_name)
    language = agent.language if agent else _ANOTHER_LANGUAGE
    if over.is_dial_answered is not None:
        return twiml.hang_up() if over.is_dial_answered else twiml.not_reached(language)
    if row.next_step is not None:
        return _stored_step(services, row, language)
    if row.status == CallStatus.ENDED:
        return _step_of_ended(row, language)
    if services.live.holds(row.call_id):
        # Its pipeline is still winding up here, so it came to an end by itself and nothing was asked for.
        return twiml.hang_up()
    await _give_up(services, row)
    return twiml.apology(language=language)


def _stored_step(services: Services, row: CallRow, language: str) -> str:
    try:
        step = NextStep.from_json(row.next_step or {})
    except BadStep as error:
        logger.bind(call_id=row.call_id, problem=str(error)).error("the call's next step cannot be told to Twilio")
        step = NextStep("apology")
    return step.as_twiml(language=language, action_url=_next_url(services))


def _step_of_ended(row: CallRow, language: str) -> str:
    if row.end_reason == EndReason.REFUSED_BUSY:
        return twiml.busy(language)
    if row.end_reason in _APOLOGISE_AFTER:
        return twiml.apology(language=language)
    return twiml.hang_up()


async def _wait_until_ended(services: Services, call_sid: str) -> CallRow | None:
    """Return the call's row, once it has ended or its stream has had a while to write so.

    Twilio may ask before the process with the stream has written its last row. A ringing call has no such process.
    """
    row = await services.store.find_call(call_sid)
    deadline = services.now() + services.end_grace_secs
    while row is not None and row.status == CallStatus.LIVE and services.now() < deadline:
        await asyncio.sleep(_POLL_SECS)
        row = await services.store.find_call(call_sid)
    return row


async def _give_up(services: Services, row: CallRow) -> None:
    reason = EndReason.CONNECTION_LOST if row.status == CallStatus.LIVE else EndReason.NEVER_CONNECTED
    await services.store.finish_call(row.call_id, reason, ended_at=datetime.now(UTC))
    logger.bind(call_id=row.call_id, reason=reason.value).warning("call ended without its stream")


def _xml(text: str) -> Response:
    return Response(text, media_type=twiml.MEDIA_TYPE)
