"""Bots written for Pipecat's own runner: they build their own pipeline; row, end, time limit and drain are ours."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any

from fastapi import WebSocket
from loguru import logger
from pipecat.runner.types import CallData, WebSocketRunnerArguments
from pydantic import BaseModel
from starlette.websockets import WebSocketState

from config.agent import AgentConfig
from config.agent_file import GuestSettings
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

    @property
    def settings(self) -> type[GuestSettings]:
        """What the check of agents is told of a guest's settings: that there are none."""
        return GuestSettings


AnyBot = Bot | GuestBot


def settings_of_bots(bots: Mapping[str, AnyBot]) -> dict[str, type[BaseModel] | None]:
    """Return each bot's settings model by name, as the check of agents wants it."""
    return {name: bot.settings for name, bot in bots.items()}


_left_behind: set[asyncio.Task[None]] = set()


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
    log.belong_to(agent.name, is_searched=agent.search, started_at=call.started_at)
    log.event("call.live", 0, agent=agent.name, direction=call.direction.value, guest=True)
    loop = asyncio.get_running_loop()
    began = loop.time()
    asked: asyncio.Future[EndReason] = loop.create_future()

    def end(reason: EndReason) -> None:
        if not asked.done():
            asked.set_result(reason)

    live.on_end(end)
    limit = loop.call_later(agent.limits.max_call_secs, end, EndReason.TIME_LIMIT)
    running = asyncio.create_task(_run(bot.run, call, websocket, start), name=f"guest {call.call_id}")
    try:
        await asyncio.wait({running, asked}, return_when=asyncio.FIRST_COMPLETED)
        if running.done():
            reason = _result_of(running, call.agent_name) or _reason_of(websocket)
        else:
            reason = asked.result()
    finally:
        limit.cancel()
        await _stop(running, call.agent_name)
    at_ms = round((loop.time() - began) * 1000)
    log.event("call.ended", at_ms, reason=reason.value)
    log.finish(reason, recording_status=None, recording_error=None)
    return reason


async def _run(bot: Callable[[Any], Awaitable[None]], call: Call, websocket: WebSocket, start: Start) -> None:
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
    except SystemExit as error:
        # A script may end its process; here that would be every other call's.
        raise RuntimeError(f"it asked the process to exit ({error.code})") from error


def _result_of(running: asyncio.Task[None], agent_name: str) -> EndReason | None:
    """FAILED for a bot that raised, which is told; None for one that returned."""
    failure = asyncio.CancelledError() if running.cancelled() else running.exception()
    if failure is None:
        return None
    logger.opt(exception=failure).error("the guest bot of agent {} failed", agent_name)
    return EndReason.FAILED


def _reason_of(websocket: WebSocket) -> EndReason:
    """The bot returned: either because the caller left, or because it ended the call itself."""
    is_gone = websocket.client_state is WebSocketState.DISCONNECTED
    return EndReason.CALLER_HUNG_UP if is_gone else EndReason.BOT_ENDED


async def _stop(running: asyncio.Task[None], agent_name: str) -> None:
    if running.done():
        return
    running.cancel()
    _, pending = await asyncio.wait({running}, timeout=_WIND_UP_SECS)
    if pending:
        # It is left behind, with its socket closed: neither the row nor the slot of the call may wait for it.
        _left_behind.add(running)
        running.add_done_callback(_left_behind.discard)
        logger.error("the guest bot of agent {} did not stop within {} s", agent_name, _WIND_UP_SECS)
    elif not running.cancelled() and running.exception() is not None:
        logger.opt(exception=running.exception()).warning("the guest bot of agent {} failed as it ended", agent_name)
