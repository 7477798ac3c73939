"""From an accepted voice to a running call: finds the agent's bot, makes the transport, runs it."""

from collections.abc import Mapping
from dataclasses import dataclass

from fastapi import WebSocket
from loguru import logger

from config.agent import AgentConfig
from pipelines.call_services import CallServices
from pipelines.clock import CallClock
from pipelines.guest import AnyBot, GuestBot, run_guest
from pipelines.housekeeping import Housekeeping
from pipelines.live import LiveCalls
from pipelines.run import run_call
from pipelines.transports import CallTransport, phone_transport
from telemetry.redaction import Kind
from telephony.media_stream import MediaStream, Start
from transcripts.call import Call, EndReason
from transcripts.log import LogWriter


@dataclass
class Answering:
    """Runs the calls that `live` has admitted."""

    bots: Mapping[str, AnyBot]
    live: LiveCalls
    log_writer: LogWriter
    services: CallServices

    def __post_init__(self) -> None:
        """Somebody sees to what calls leave behind."""
        self._housekeeping = Housekeeping(lambda: self.live.count)

    def expect(self, call: Call, agent: AgentConfig) -> None:
        """Begin to connect the model of a call that rings. Immediate."""
        self.services.ringing.expect(call, agent)

    def forget(self, call_id: str) -> None:
        """The stream of this call will not come here."""
        self.services.ringing.forget(call_id)

    async def run_stream(
        self, websocket: WebSocket, start: Start, call: Call, agent: AgentConfig, clock: CallClock
    ) -> EndReason:
        """Run a phone call on its media socket, accepted and with `start` read. Returns why it ended.

        `clock` was started when `start` arrived.
        """
        bot = self.bots.get(agent.bot)
        if isinstance(bot, GuestBot):
            live = self.live.get(call.call_id)
            if live is None:
                raise RuntimeError(f"call {call.call_id} was not admitted")
            log = self.log_writer.open(call.call_id)
            log.leave_out([Kind(kind) for kind in agent.privacy.redact])
            try:
                return await run_guest(bot, call, agent, websocket, start, log, live)
            finally:
                self._housekeeping.call_ended()
        return await self.run_voice(phone_transport(websocket, MediaStream.after(start), clock), call, agent)

    async def run_voice(self, voice: CallTransport, call: Call, agent: AgentConfig) -> EndReason:
        """Run a call on any transport. Returns why it ended."""
        bot, log = self.bots.get(agent.bot), self.log_writer.open(call.call_id)
        log.leave_out([Kind(kind) for kind in agent.privacy.redact])
        live = self.live.get(call.call_id)
        if live is None:
            raise RuntimeError(f"call {call.call_id} was not admitted")
        if bot is None or isinstance(bot, GuestBot):
            # A bot removed since the agents were checked, or a phone bot asked for in the browser.
            logger.error("agent {} names a bot that cannot take this call: {}", agent.name, agent.bot)
            log.finish(EndReason.FAILED)
            return EndReason.FAILED
        try:
            return await run_call(call, agent, bot, voice, log, self.services, live)
        finally:
            self._housekeeping.call_ended()
