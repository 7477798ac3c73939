"""A phone call's place in this process: kept when it rings, taken when its stream comes, given back when neither."""

from dataclasses import replace
from datetime import UTC, datetime

from api.deps import Services
from api.lines import give_up
from api.patience import database_in_time
from api.slots import admit
from config.agent import AgentConfig
from config.overrides import with_overrides
from pipelines import script
from pipelines.failure_step import busy_step
from storage.errors import DatabaseAway
from switchboard.refusal import Refusal
from telephony import stream_token
from telephony.media_stream import Start
from transcripts.call import Call, EndReason
from transcripts.models import CallRow, call_of
from transcripts.outcomes import count_refusal

# RFC 6455, section 7.4.1
UNSUPPORTED, POLICY, INTERNAL, TRY_LATER = 1003, 1008, 1011, 1013

ANNOUNCED, DISCLOSED = "announced", "disclosed"
"""The stream's parameters which say that before it began Twilio's voice told of the recording, or of who calls."""


class Refused(Exception):
    """The socket is closed before there is a call on it; the reason is told to the other side and to the log."""

    def __init__(self, code: int, reason: str) -> None:
        """Take the close code and a reason of at most 123 bytes."""
        super().__init__(reason)
        self.code = code
        self.reason = reason


class Busy(Refused):
    """Every slot is taken; `agent` has a sentence for that."""

    def __init__(self, start: Start, call: Call, agent: AgentConfig) -> None:
        """Take the stream and its call, whose row says busy already, and its agent."""
        super().__init__(TRY_LATER, "every slot is taken")
        self.start = start
        self.call = call
        self.agent = agent


def announcement_before(services: Services, call: Call, agent: AgentConfig) -> script.Beforehand:
    """Return what Twilio's voice has to say before the stream: who calls, and that it is recorded."""
    # A guest runs its own stream, and knows nothing of our sentences.
    is_guest = services.talks.is_phone_only(agent)
    return script.announcement_before(agent, call, None if is_guest else services.sentences)


def called_by(services: Services, start: Start) -> str:
    """Return the id of the call that this stream's token was issued for. Raises `Refused`."""
    try:
        call_id = stream_token.verify(
            services.token_secret, start.parameters.get("token"), call_sid=start.call_sid, now=services.now()
        )
    except stream_token.BadToken as error:
        raise Refused(POLICY, type(error).__doc__ or "") from error
    if start.parameters.get("call_id", call_id) != call_id:
        raise Refused(POLICY, "the token was issued for another call")
    return call_id


async def claim(services: Services, start: Start) -> tuple[Call, AgentConfig]:
    """Return the call that this socket belongs to; it is then live, admitted here, and no other socket can have it."""
    call_id = called_by(services, start)
    try:
        async with database_in_time():
            row, agent = await _admit(services, start, call_id)
    except DatabaseAway as error:
        raise Refused(INTERNAL, "the database is away") from error
    call = replace(call_of(row), is_announced=ANNOUNCED in start.parameters, is_disclosed=DISCLOSED in start.parameters)
    return call, agent


async def _admit(services: Services, start: Start, call_id: str) -> tuple[CallRow, AgentConfig]:
    row = await services.store.get_call(call_id)
    # The one transition ringing -> live is what makes a token good for a single socket.
    if row is None or not await services.store.go_live(call_id, owner=services.instance):
        raise Refused(POLICY, "the stream's token was used already, or its call is over")
    agent = await services.agent_of(row)
    if agent is None:
        give_up(services, call_id)
        await services.store.finish_call(call_id, EndReason.FAILED, ended_at=datetime.now(UTC))
        raise Refused(INTERNAL, "the agent of this call was removed")
    refusal = await _take_slot(services, call_id, start.call_sid)
    if refusal is not None:
        await services.store.set_next_step(call_id, busy_step(agent, row.variables).as_json())
        await services.store.finish_call(call_id, EndReason.REFUSED_BUSY, ended_at=datetime.now(UTC))
        count_refusal(refusal.value)
        raise Busy(start, call_of(row), agent)
    return row, with_overrides(agent, row.overrides or {})


async def _take_slot(services: Services, call_id: str, call_sid: str) -> Refusal | None:
    if services.live.is_reserved(call_id):
        services.live.collect(call_id)
        return None
    admitted = await admit(services.colleagues, services.live, call_id, call_sid)
    return admitted if isinstance(admitted, Refusal) else None
