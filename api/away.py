"""Calls that are away from their streams: what Twilio is told meanwhile, and the stream that brings them back."""

import asyncio

from fastapi import WebSocket
from loguru import logger

from api.action_url import ActionUrl
from api.admission import POLICY, Refused, called_by
from api.deps import Services
from api.phone_calls import PhoneCall
from pipelines.away import PARAMETER, Away
from telephony import stream_token, twiml
from telephony.away_step import AwayStep, ComeBack, DialOut, PlayKeys
from telephony.media_stream import Start
from telephony.webhooks import StreamOver

_KEY_SECS = 0.6
_TALK_ELSEWHERE_SECS = 2.0


def step_away(services: Services, held: PhoneCall, over: StreamOver, attempt: int | None) -> str | None:
    """Return the TwiML for a call that left its stream for a while; None when that one is not away (any more).

    `attempt` is the number of the dialling that `over` reports, from the address that Twilio asked.
    """
    away = _away_of(services, held)
    if away is None or not away.is_away:
        return None
    is_same_stream = over.stream_sid in (None, held.stream_sid)
    step = away.ask(over.dial, attempt, is_same_stream=is_same_stream)
    return None if step is None else as_twiml(services, held, away, step)


async def somebody_answered(services: Services, call_sid: str) -> None:
    """Whoever is rung for this call has answered; told to the process that has the call."""
    held = services.phone_calls.find(call_sid)
    if held is not None:
        note_answered(services, held)
    else:
        await services.colleagues.run_errand("answered", call_sid=call_sid, timeout_secs=_TALK_ELSEWHERE_SECS)


def note_answered(services: Services, held: PhoneCall) -> None:
    """Whoever is rung for this call, which runs here, has answered."""
    if (away := _away_of(services, held)) is not None:
        away.answered()


async def tell_twilio(services: Services, held: PhoneCall, step: AwayStep) -> bool:
    """Have Twilio go on with the call although it did not ask; False when it cannot be told."""
    away = _away_of(services, held)
    return away is not None and await services.rescue.tell(held.call_sid, as_twiml(services, held, away, step))


async def come_back(services: Services, websocket: WebSocket, start: Start) -> None:
    """Give this socket to the call that waits for it, and return when the call has left it, or is over.

    Raises `Refused` when no call of this process waits for it: the token is bad, or it came too late, or twice.
    """
    call_id = called_by(services, start)
    held, live = services.phone_calls.find(start.call_sid), services.live.get(call_id)
    away = live.away if live is not None else None
    left = away.come_back(start.parameters[PARAMETER], websocket, start) if away is not None else None
    if held is None or left is None:
        raise Refused(POLICY, "no call waits for this stream")
    held.stream_sid = start.stream_sid
    over = asyncio.create_task(held.wait_over(), name=f"end of {call_id}")
    try:
        await asyncio.wait({left, over}, return_when=asyncio.FIRST_COMPLETED)
    finally:
        over.cancel()
    logger.debug("the call has left a stream that it had come back on")


def as_twiml(services: Services, held: PhoneCall, away: Away, step: AwayStep) -> str:
    """Return the TwiML of a step."""
    base_url = services.settings.effective_public_base_url
    match step:
        case DialOut():
            return twiml.dial(
                step.address,
                step.ring_secs,
                step.caller_id,
                action_url=ActionUrl.of(held.agent, attempt=str(step.attempt)).at(base_url),
                answered_url=f"{base_url}/twilio/answered",
            )
        case PlayKeys():
            return _connect(services, held, away, keys=step.keys)
        case ComeBack():
            return _connect(services, held, away)


def _connect(services: Services, held: PhoneCall, away: Away, keys: str = "") -> str:
    settings, call = services.settings, held.call
    token = stream_token.issue(
        services.token_secret,
        call_id=call.call_id,
        call_sid=held.call_sid,
        now=services.now(),
        ttl_secs=settings.stream_token_ttl_secs + len(keys) * _KEY_SECS,
    )
    return twiml.connect_stream(
        # It has to come back to this process, which has the call.
        stream_url=f"{settings.stream_base_url}/twilio/stream/{services.instance}",
        action_url=ActionUrl.of(held.agent).at(settings.effective_public_base_url),
        parameters={"call_id": call.call_id, "token": token, PARAMETER: str(away.number)},
        keys_first=keys,
    )


def _away_of(services: Services, held: PhoneCall) -> Away | None:
    live = services.live.get(held.call.call_id) if held.reason is None else None
    return None if live is None else live.away
