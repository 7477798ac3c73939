"""The media socket: who may open it, which call it is, and the call itself."""

import asyncio
from datetime import UTC, datetime, timedelta
from functools import partial

from fastapi import APIRouter, WebSocket, WebSocketDisconnect
from fastapi.responses import PlainTextResponse
from loguru import logger
from starlette.websockets import WebSocketState

from api.access import check_twilio
from api.admission import INTERNAL, POLICY, UNSUPPORTED, Busy, Refused, claim
from api.away import come_back, tell_twilio
from api.deps import Services, ServicesDep
from api.errors import ANSWERS, NotLocal, NotTwilio
from api.patience import database_in_time
from api.phone_calls import PhoneCall
from api.play_out import play_out
from api.stranded import Stranded
from pipelines.away import PARAMETER as BACK
from pipelines.clock import CallClock
from pipelines.sentences import SentenceKind
from storage.errors import DatabaseAway
from telemetry.logs import in_call
from telephony.media_stream import MalformedMessage, MediaStream, ProtocolViolation, Start
from telephony.next_step import NextStep
from transcripts.call import EndReason
from transcripts.outcomes import count_end

router = APIRouter(prefix="/twilio", tags=["twilio"])

_NORMAL = 1000
_FLUSH_SECS = 0.5


@router.websocket("/stream")
@router.websocket("/stream/{instance}")
async def stream(websocket: WebSocket, services: ServicesDep, instance: str = "") -> None:
    """Run one call on one socket; or give the socket to a call that had left its own for a while.

    `instance` is the process that answered the webhook and had the call's model connected while it rang. A stream that
    lands elsewhere is a call like any other, but for a model that is connected only now.

    403 before the socket is accepted when Twilio did not sign; 1008 without a `start` in time or without a good token,
    1003 for what is no message of a media stream, 1013 when every slot is taken, 1011 when the fault is ours.
    """
    try:
        check_twilio(services.settings, websocket, {}, services.settings.stream_base_url)
    except (NotTwilio, NotLocal) as error:
        answer = ANSWERS[type(error)]
        await websocket.send_denial_response(PlainTextResponse(answer.sentence, answer.status))
        return
    await websocket.accept()
    try:
        start = await _read_start(websocket, services.settings.stream_start_timeout_secs)
        # Call time begins with the stream, not with the row that has yet to be found for it.
        clock = CallClock()
        if BACK in start.parameters:
            await come_back(services, websocket, start)
            await _close(websocket, _NORMAL)
            return
        call, agent = await claim(services, start)
    except Refused as refusal:
        logger.bind(code=refusal.code, reason=refusal.reason).warning("media socket refused")
        if isinstance(refusal, Busy):
            await _say_busy(services, websocket, refusal)
        await _close(websocket, refusal.code, refusal.reason)
        return
    except WebSocketDisconnect as gone:
        logger.bind(code=gone.code).warning("media socket closed before its start")
        return
    with in_call(call.call_id):
        if instance not in ("", services.instance):
            logger.info("the stream came to another process than its webhook")
        phone_call = PhoneCall(call, agent, start.stream_sid, services.log_writer.open(call.call_id))
        try:
            code = await _run(services, websocket, start, phone_call, clock)
            await _close(websocket, code)
        finally:
            _watch(services, phone_call)


async def _read_start(websocket: WebSocket, timeout_secs: float) -> Start:
    media = MediaStream()
    try:
        async with asyncio.timeout(timeout_secs):
            while media.start is None:
                message = await websocket.receive()
                if message["type"] == "websocket.disconnect":
                    raise WebSocketDisconnect(message.get("code", 1006))
                text = message.get("text")
                if text is None:
                    raise Refused(UNSUPPORTED, "a binary message; a media stream speaks text")
                media.receive(text)
    except TimeoutError:
        raise Refused(POLICY, f"no start within {timeout_secs:g} s") from None
    except MalformedMessage as error:
        raise Refused(UNSUPPORTED, f"malformed message: {error}") from error
    except ProtocolViolation as error:
        raise Refused(POLICY, str(error)) from error
    return media.start


async def _say_busy(services: Services, websocket: WebSocket, busy: Busy) -> None:
    """Say the agent's own busy sentence here, where there is one as sound; else Twilio's voice says it afterwards."""
    spoken = services.sentences and services.sentences.find(busy.agent, SentenceKind.BUSY, busy.call.variables)
    if not spoken or not await play_out(websocket, busy.start, spoken.pcm, spoken.rate_hz):
        return
    try:
        async with database_in_time():
            await services.store.set_next_step(busy.call.call_id, NextStep("hang_up").as_json())
    except DatabaseAway:
        logger.bind(call_id=busy.call.call_id).warning("a caller who heard that we are busy will hear it twice")


async def _run(services: Services, websocket: WebSocket, start: Start, phone_call: PhoneCall, clock: CallClock) -> int:
    """Run the call, give its slot back, and return the code to close the socket with."""
    call, agent = phone_call.call, phone_call.agent
    code, reason = _NORMAL, EndReason.FAILED
    log = services.log_writer.open(call.call_id)
    services.phone_calls.begin(phone_call)
    if (live := services.live.get(call.call_id)) is not None:
        live.tell_twilio = partial(tell_twilio, services, phone_call)
    try:
        reason = await services.run_stream(websocket, start, call, agent, clock)
        logger.bind(agent=agent.name, reason=reason.value).info("call ended")
    except asyncio.CancelledError:
        # The process ends and could not wait; the row shall not say "live" for ever, nor the caller go without a word.
        reason = EndReason.DRAINED
        goodbye = agent.render(agent.phrases.drain_goodbye, call.variables)
        if call.call_id in services.transfers.moved:
            raise
        log.next_step(NextStep("apology", text=goodbye, language=agent.language).as_json())
        log.finish(reason)
        raise
    except Exception:
        # run_stream raises on our own bugs only; the caller must not be left on a dead line for one.
        logger.exception("call ended by a fault of the server")
        log.finish(reason)
        code = INTERNAL
    finally:
        count_end(reason, agent.name)
        live = services.live.get(call.call_id)
        phone_call.agent = live.agent if live is not None and live.agent is not None else agent
        services.live.release(call.call_id)
        services.phone_calls.end(phone_call, reason)
    # Twilio asks what comes next as soon as the socket closes, and perhaps at a process that knows the row only.
    if not await services.log_writer.flush(_FLUSH_SECS):
        logger.warning("the end of the call is not yet in the database")
    return code


def _watch(services: Services, phone_call: PhoneCall) -> None:
    """See to it that the caller does not stay on a dead line. One who hung up has left it."""
    call, reason = phone_call.call, phone_call.reason
    if reason is None or reason == EndReason.CALLER_HUNG_UP or call.call_id in services.transfers.moved:
        return
    live_at = datetime.now(UTC) - timedelta(milliseconds=phone_call.now_ms)
    services.rescue.watch(
        Stranded(
            call.call_id,
            phone_call.call_sid,
            call.agent_name,
            reason,
            call.variables,
            live_at,
            phone_call.step,
            call.agent_version,
        )
    )


async def _close(websocket: WebSocket, code: int, reason: str | None = None) -> None:
    is_open = websocket.client_state is websocket.application_state is WebSocketState.CONNECTED
    if not is_open:
        return
    try:
        await websocket.close(code, reason)
    except WebSocketDisconnect:
        logger.debug("the media socket was closed by the other side at the same moment")
