"""What the routes are given: one object, built at start and kept in `app.state`."""

import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Annotated

from fastapi import Depends, WebSocket
from starlette.requests import HTTPConnection

from aftercall.desk import AfterCall
from api.audit_log import Audit
from api.gate import Gate
from api.news import News
from api.phone_calls import PhoneCalls
from api.rescue import Rescue
from api.talks import Talks
from api.transfer_desk import TransferDesk
from calling.dialler import Dialler
from config.agent import AgentConfig
from config.agents_folder import AgentCatalog, AgentWatch
from config.settings import Settings
from net.signed_question import Asker
from pipelines.answering import Answering
from pipelines.clock import CallClock
from pipelines.live import LiveCalls
from pipelines.sentences import Sentences
from privacy.erasure import Eraser
from storage.agent_desk import AgentDesk
from storage.agents_in_force import AgentsInForce
from storage.engine import Database
from storage.idempotency import RepeatStore
from storage.keys import KeyStore
from switchboard.colleagues import Alone, Colleagues
from telemetry.traces import Tracer
from telephony.media_stream import Start
from transcripts.call import Call, EndReason
from transcripts.do_not_call import DoNotCall
from transcripts.log import LogWriter
from transcripts.models import CallRow
from transcripts.recording_store import RecordingStore
from transcripts.store import CallStore
from transcripts.sweeper import Sweeper

RunStream = Callable[[WebSocket, Start, Call, AgentConfig, CallClock], Awaitable[EndReason]]


@dataclass(frozen=True, slots=True)
class Services:
    """Everything that a route may use.

    `run_stream` (of `answering`) runs one call on an accepted socket whose `start` was read, with a
    clock that was started when it arrived; returns why it ended.
    `talks` are the calls of the playground.
    `token_secret` signs the stream tokens; every process of one data folder has the same.
    `instance` is the name of this process: letters, digits and -, so it may stand in a URL's path.
    `transfers` rings people for callers.
    `sentences` are those that are there as sound.
    `after_call` makes of calls what comes after them: analyses, costs, messages for receivers.
    `sweeper` closes the calls of processes that are proven dead.
    `colleagues` are the other processes of this server; `news` tells of new rows of calls, theirs and ours.
    `dialler` places calls, and `keys` knows who may ask for them.
    `audit` writes down who changed what, and who heard which recording.
    `repeats` keeps what requests with an Idempotency-Key were answered.
    `recordings` are those of this data folder, and of the bucket if there is one.
    `gate` has what doors look at besides keys: tokens, and how often somebody asks or was wrong.
    `rescue` saves callers on a dead line; `phone_calls` are those whose streams came here.
    `agents` are those in use, and `in_force` has those among them that are stored, as the database has them now;
    `agent_desk` changes them.
    `do_not_call` has the numbers that nobody calls; `eraser` erases people.
    `asker` asks the operator's own webhooks.
    `end_grace_secs`: how long Twilio's questions about a call wait for its stream to have ended here.
    `tracer` takes spans, where there is a collector for them.
    `now` is Unix time in seconds.
    """

    settings: Settings
    database: Database
    agents: AgentWatch
    in_force: AgentsInForce
    agent_desk: AgentDesk
    store: CallStore
    log_writer: LogWriter
    news: News
    live: LiveCalls
    answering: Answering
    run_stream: RunStream
    token_secret: bytes
    talks: Talks
    instance: str
    rescue: Rescue
    sweeper: Sweeper
    dialler: Dialler
    keys: KeyStore
    audit: Audit
    gate: Gate
    repeats: RepeatStore
    after_call: AfterCall
    transfers: TransferDesk
    recordings: RecordingStore
    do_not_call: DoNotCall
    eraser: Eraser
    tracer: Tracer | None = None
    sentences: Sentences | None = None
    colleagues: Colleagues = field(default_factory=Alone)
    phone_calls: PhoneCalls = field(default_factory=PhoneCalls)
    end_grace_secs: float = 3.0
    asker: Asker = field(default_factory=Asker)
    now: Callable[[], float] = time.time

    async def current_agents(self) -> AgentCatalog:
        """Return the agents as their files and the database have them now; asked once per new call."""
        return await self.in_force.current()

    async def agent_of(self, row: CallRow) -> AgentConfig | None:
        """Return the agent that a call began with; None when there is none of that name. Raises `DatabaseAway`."""
        return await self.in_force.of_call(row.agent_name, row.agent_version)


def services_of(connection: HTTPConnection) -> Services:
    """Return the services of the app that serves this request or socket."""
    services: Services = connection.app.state.services
    return services


ServicesDep = Annotated[Services, Depends(services_of)]
