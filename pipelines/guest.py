"""Bots written for Pipecat's own runner: they build their own pipeline; row, end, time limit and drain are ours."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

from fastapi import WebSocket
from loguru import logger
from pipecat.runner.types import CallData, WebSocketRunnerArguments
from starlette.websockets import WebSocketState

from config.agent import AgentConfig
from pipelines.live import LiveCall
from pipelines.tools import Bot
from telephony.media_stream import Start
from transcripts.call import Call, EndReason
from transcripts.log import CallLog

_WIND_UP_SECS = 10.0
"""How long a bot may take to notice that its call is over; its own hang-up at Twilio may be slow to fail."""


@dataclass(frozen=True)
class GuestBot:
    """A bot written for Pipecat's own runner: `run` is its `async def bot(runner_args)`."""

    name: str
    run: Callable[[Any], Awaitable[None]]


AnyBot = Bot | GuestBot


async def run_guest(
    bot: GuestBot,
    call: Call,
    agent: AgentConfig,
    websocket: WebSocket,
    start: Start,
    log: CallLog,
    live: LiveCall,
) -> EndReason:
    """Hand the socket to the bot and wait for its end. Returns why the call ended; never raises what the bot raised."""
    log.event("call.live", 0, agent=agent.name, direction=call.direction.value, guest=True)
    loop = asyncio.get_running_loop()
    began = loop.time()
    asked: asyncio.Future[EndReason] = loop.create_future()

    def end(reason: EndReason) -> None:
        if not asked.done():
            asked.set_result(reason)

    live.end = end
    limit = loop.call_later(agent.limits.max_call_secs, end, EndReason.TIME_LIMIT)
    running = asyncio.create_task(_run(bot.run, call, websocket, start), name=f"guest {call.call_id}")
    try:
        await asyncio.wait({running, asked}, return_when=asyncio.FIRST_COMPLETED)
        if asked.done():
            reason = asked.result()
            await _stop(running)
        else:
            reason = running.result() or _reason_of(websocket)
    finally:
        limit.cancel()
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
    at_ms = round((loop.time() - began) * 1000)
    log.event("call.ended", at_ms, reason=reason.value)
    log.finish(reason, recording_status=None, recording_error=None)
    return reason


async def _run(
    bot: Callable[[Any], Awaitable[None]], call: Call, websocket: WebSocket, start: Start
) -> EndReason | None:
    body = {"from_number": call.from_number or "", "to_number": call.to_number or "", **call.variables}
    data = CallData.model_validate(
        {
            "stream_id": start.stream_sid,
            "call_id": start.call_sid,
            "body": body,
            "from": call.from_number,
            "to": call.to_number,
        }
    )
    # The handshake was read to check the token; Pipecat looks for an earlier parse on the socket before it reads.
    setattr(websocket, "_pipecat_parsed_telephony", ("twilio", data))  # noqa: B010
    arguments = WebSocketRunnerArguments(websocket=websocket, body=body)
    arguments.handle_sigint = False
    try:
        await bot(arguments)
    except Exception as error:
        logger.opt(exception=error).error("the guest bot of agent {} failed", call.agent_name)
        return EndReason.FAILED
    return None


def _reason_of(websocket: WebSocket) -> EndReason:
    """The bot returned: either because the caller left, or because it ended the call itself."""
    is_gone = websocket.client_state is WebSocketState.DISCONNECTED
    return EndReason.CALLER_HUNG_UP if is_gone else EndReason.BOT_ENDED


async def _stop(running: asyncio.Task[EndReason | None]) -> None:
    running.cancel()
    _, pending = await asyncio.wait({running}, timeout=_WIND_UP_SECS)
    if pending:
        logger.error("a guest bot did not stop within {} s", _WIND_UP_SECS)
