"""The media socket: who may open it, which call it is, and the call itself."""

import asyncio
from datetime import UTC, datetime

from fastapi import APIRouter, WebSocket, WebSocketDisconnect
from fastapi.responses import PlainTextResponse
from loguru import logger
from starlette.websockets import WebSocketState

from api.access import check_twilio
from api.deps import Services, ServicesDep
from api.errors import ANSWERS, NotLocal, NotTwilio
from api.patience import database_in_time
from config.agent import AgentConfig
from pipelines.clock import CallClock
from storage.errors import DatabaseAway
from telemetry import metrics
from telemetry.logs import in_call
from telephony import stream_token
from telephony.media_stream import MalformedMessage, MediaStream, ProtocolViolation, Start
from telephony.next_step import NextStep
from transcripts.call import Call, Direction, EndReason
from transcripts.models import CallRow

router = APIRouter(prefix="/twilio", tags=["twilio"])

# RFC 6455, section 7.4.1
_NORMAL, _UNSUPPORTED, _POLICY, _INTERNAL, _TRY_LATER = 1000, 1003, 1008, 1011, 1013
_FLUSH_SECS = 2.0


class Refused(Exception):
    """The socket is closed before there is a call on it; the reason is told to the other side and to the log."""

    def __init__(self, code: int, reason: str) -> None:
        """Take the close code and a reason of at most 123 bytes."""
        super().__init__(reason)
        self.code = code
        self.reason = reason


@router.websocket("/stream")
async def stream(websocket: WebSocket, services: ServicesDep) -> None:
    """Run one call on one socket.

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
        call, agent = await _claim(services, start)
    except Refused as refusal:
        logger.bind(code=refusal.code, reason=refusal.reason).warning("media socket refused")
        await _close(websocket, refusal.code, refusal.reason)
        return
    except WebSocketDisconnect as gone:
        logger.bind(code=gone.code).warning("media socket closed before its start")
        return
    with in_call(call.call_id):
        code = await _run(services, websocket, start, call, agent, clock)
        await _close(websocket, code)


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
                    raise Refused(_UNSUPPORTED, "a binary message; a media stream speaks text")
                media.receive(text)
    except TimeoutError:
        raise Refused(_POLICY, f"no start within {timeout_secs:g} s") from None
    except MalformedMessage as error:
        raise Refused(_UNSUPPORTED, f"malformed message: {error}") from error
    except ProtocolViolation as error:
        raise Refused(_POLICY, str(error)) from error
    return media.start


async def _claim(services: Services, start: Start) -> tuple[Call, AgentConfig]:
    """Return the call that this socket belongs to; it is then live, admitted here, and no other socket can have it."""
    try:
        call_id = stream_token.verify(
            services.token_secret, start.parameters.get("token"), call_sid=start.call_sid, now=services.now()
        )
    except stream_token.BadToken as error:
        raise Refused(_POLICY, type(error).__doc__ or "") from error
    if start.parameters.get("call_id", call_id) != call_id:
        raise Refused(_POLICY, "the token was issued for another call")
    try:
        async with database_in_time():
            row, agent = await _admit(services, call_id)
    except DatabaseAway as error:
        raise Refused(_INTERNAL, "the database is away") from error
    call = Call(
        call_id=row.call_id,
        call_sid=row.call_sid,
        agent_name=row.agent_name,
        direction=Direction(row.direction),
        from_number=row.from_number,
        to_number=row.to_number,
        variables=dict(row.variables),
        started_at=row.created_at,
    )
    return call, agent


async def _admit(services: Services, call_id: str) -> tuple[CallRow, AgentConfig]:
    row = await services.store.get_call(call_id)
    # The one transition ringing -> live is what makes a token good for a single socket.
    if row is None or not await services.store.go_live(call_id):
        raise Refused(_POLICY, "the stream's token was used already, or its call is over")
    agent = services.agents.catalog.by_name(row.agent_name)
    if agent is None:
        await services.store.finish_call(call_id, EndReason.FAILED, ended_at=datetime.now(UTC))
        raise Refused(_INTERNAL, "the agent of this call was removed")
    if services.live.admit(call_id) is None:
        await services.store.set_next_step(call_id, NextStep("busy").as_json())
        await services.store.finish_call(call_id, EndReason.REFUSED_BUSY, ended_at=datetime.now(UTC))
        metrics.REFUSED_TOTAL.inc()
        raise Refused(_TRY_LATER, "every slot is taken")
    return row, agent


async def _run(
    services: Services, websocket: WebSocket, start: Start, call: Call, agent: AgentConfig, clock: CallClock
) -> int:
    """Run the call, give its slot back, and return the code to close the socket with."""
    code = _NORMAL
    try:
        reason = await services.run_stream(websocket, start, call, agent, clock)
        metrics.CALLS_TOTAL.labels(end_reason=reason.value).inc()
        logger.bind(agent=agent.name, reason=reason.value).info("call ended")
    except asyncio.CancelledError:
        # The process ends and could not wait; the row shall not say "live" for ever.
        services.log_writer.open(call.call_id).finish(EndReason.DRAINED)
        raise
    except Exception:
        # run_stream raises on our own bugs only; the caller must not be left on a dead line for one.
        logger.exception("call ended by a fault of the server")
        services.log_writer.open(call.call_id).finish(EndReason.FAILED)
        metrics.CALLS_TOTAL.labels(end_reason=EndReason.FAILED.value).inc()
        code = _INTERNAL
    finally:
        services.live.release(call.call_id)
    # Twilio asks what comes next as soon as the socket closes; the answer is in the call's row.
    if not await services.log_writer.flush(_FLUSH_SECS):
        logger.warning("the end of the call is not yet in the database")
    return code


async def _close(websocket: WebSocket, code: int, reason: str | None = None) -> None:
    is_open = websocket.client_state is websocket.application_state is WebSocketState.CONNECTED
    if not is_open:
        return
    try:
        await websocket.close(code, reason)
    except WebSocketDisconnect:
        logger.debug("the media socket was closed by the other side at the same moment")
