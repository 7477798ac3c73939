"""What Twilio is told when a stream or a transfer is over: who knows how the call ended, and what follows from it."""

import asyncio
from dataclasses import replace
from datetime import UTC, datetime

from loguru import logger

from api.action_url import ActionUrl
from api.away import step_away
from api.deps import Services
from api.lines import give_up
from api.phone_calls import PhoneCall
from config.agent import AgentConfig
from pipelines.failure_step import failure_step, step_after
from telemetry.moments import moment_text
from telephony import twiml
from telephony.away_step import DialOutcome, DialReport
from telephony.next_step import BadStep, NextStep
from telephony.webhooks import StreamOver
from transcripts.call import CallStatus, EndReason
from transcripts.models import CallRow
from transcripts.outcomes import count_end

_POLL_SECS = 0.1
_ANOTHER_LANGUAGE = "en-US"  # of callers whose agent is not known
_WIND_UP_SECS = 2.0
"""How long a call that was told of its end just now is waited for, so that its own next step is not missed."""
_ELSEWHERE_SECS = 6.0
"""How long the process that has the call may take to answer; more than both of the times above."""
_HOLD_SECS = 5
"""How often Twilio asks about a call that goes on in another stream than the one that it says is over."""


async def decide_next(services: Services, over: StreamOver, origin: ActionUrl) -> str:
    """Return the TwiML that comes next. Raises `DatabaseAway` when only the database could tell.

    A call that ran in this process is answered from memory, one that ran in another process of this server from that
    one's. For any other its row is waited for: its process may be just about to write it.
    """
    over = replace(over, stream_sid=over.stream_sid or origin.over_stream_sid or None)
    held = services.phone_calls.find(over.call_sid)
    if held is not None:
        return await decide_held(services, held, over, origin.attempt_number)
    details = {} if over.dial is None else over.dial.as_details()
    elsewhere = await services.colleagues.run_errand(
        "next",
        call_sid=over.call_sid,
        stream_sid=over.stream_sid or "",
        attempt=origin.attempt,
        timeout_secs=_ELSEWHERE_SECS,
        **details,
    )
    if elsewhere is not None:
        return elsewhere["twiml"]
    note_heard(services, over.call_sid)
    if over.dial is not None:
        agent = services.agents.catalog.by_name(origin.agent_name)
        return after_dial(over.dial, agent, origin.language)
    row = await wait_until_ended(services, over.call_sid)
    if row is None:
        return twiml.hang_up()
    agent = await services.agent_of(row)
    reason = await end_without_stream(services, row)
    return tell(services, row.call_id, reason, agent, step_of(row, reason, agent))


def note_heard(services: Services, call_sid: str) -> None:
    """The caller is in Twilio's hands: nobody needs to rescue him."""
    services.rescue.heard_from(call_sid)
    services.colleagues.heard_from(call_sid)


def after_dial(report: DialReport, agent: AgentConfig | None, language: str = "") -> str:
    """Return what follows a transfer whose call is over here: nothing, or that nobody could take the call."""
    if report.outcome in (DialOutcome.ANSWERED, DialOutcome.CALLER_HUNG_UP):
        return twiml.hang_up()
    return twiml.not_reached((agent.language if agent else language) or _ANOTHER_LANGUAGE)


def apologise(services: Services, origin: ActionUrl) -> str:
    """Return what a caller hears while nothing can be known about the call: the agent's apology or transfer."""
    agent = services.agents.catalog.by_name(origin.agent_name)
    language = agent.language if agent else origin.language
    step = failure_step(agent, {})
    return step.as_twiml(language=language or _ANOTHER_LANGUAGE, action_url=_action_url(services, agent))


def step_of(row: CallRow, reason: EndReason, agent: AgentConfig | None) -> NextStep:
    """Return what the call itself asked for, else what follows from the reason of its end."""
    if row.next_step is None:
        return step_after(reason, agent, {name: str(value) for name, value in row.variables.items()})
    try:
        return NextStep.from_json(row.next_step)
    except BadStep as error:
        logger.bind(call_id=row.call_id, problem=str(error)).error("the call's next step cannot be told to Twilio")
        return NextStep("apology")


def tell(services: Services, call_id: str, reason: EndReason, agent: AgentConfig | None, step: NextStep) -> str:
    """Return the step as TwiML, and write down that Twilio was told: no other process shall do so again."""
    if step.told_at is None:
        told = {**step.as_json(), "told_at": moment_text(datetime.now(UTC))}
        log = services.log_writer.open(call_id)
        log.next_step(told)
        log.finish(reason)  # a log that was opened again is held until it is finished; the first reason stands
    language = agent.language if agent else _ANOTHER_LANGUAGE
    return step.as_twiml(language=language, action_url=_action_url(services, agent))


async def wait_until_ended(services: Services, call_sid: str) -> CallRow | None:
    """Return the call's row, once it has ended or the process with its stream has had a while to write so.

    Twilio may ask before that process has written its last row. A ringing call has no such process, and one whose
    process is proven dead is not waited for.
    """
    row = await services.store.find_call(call_sid)
    if row is not None and _is_held(row) and await _is_owner_dead(services, row):
        return await services.store.find_call(call_sid)
    deadline = services.now() + services.end_grace_secs
    while row is not None and _is_held(row) and services.now() < deadline:
        await asyncio.sleep(_POLL_SECS)
        row = await services.store.find_call(call_sid)
    return row


def _is_held(row: CallRow) -> bool:
    """Whether a process has this call, or had it when it died. One that was handed over to Twilio has none."""
    return row.status == CallStatus.LIVE and row.owner is not None


async def _is_owner_dead(services: Services, row: CallRow) -> bool:
    try:
        return row.owner is not None and await services.sweeper.close_calls_if_dead(row.owner)
    except OSError as error:
        logger.bind(owner=row.owner, problem=str(error)).warning("nobody can tell whether a server process lives")
        return False


async def end_without_stream(services: Services, row: CallRow) -> EndReason:
    """End a call that has no stream (any more), and return why it ended: as its row says, if that has ended before.

    Only to be called when Twilio itself says so: it asks what comes next, or the call is over there.
    """
    give_up(services, row.call_id)
    services.colleagues.give_up(row.call_id)
    if row.status == CallStatus.ENDED:
        return EndReason(row.end_reason)
    held = services.phone_calls.find(row.call_sid or "")
    if held is not None and held.reason is not None:
        # It ended here lately, and its log still waits for the database: the end comes after all that was said.
        services.log_writer.open(row.call_id).finish(held.reason)
        return held.reason
    reason = EndReason.CONNECTION_LOST if row.status == CallStatus.LIVE else EndReason.NEVER_CONNECTED
    is_first = await services.store.finish_call(row.call_id, reason, ended_at=datetime.now(UTC))
    if is_first:
        count_end(reason, row.agent_name)
        logger.bind(call_id=row.call_id, reason=reason.value).warning("call ended without its stream")
        return reason
    # Whoever was faster knew more.
    ended = await services.store.get_call(row.call_id)
    return EndReason(ended.end_reason) if ended and ended.end_reason else reason


async def decide_held(services: Services, held: PhoneCall, over: StreamOver, attempt: int | None) -> str:
    """Return the TwiML that comes after a stream of a call that runs in this process, or did lately.

    `attempt` is the dialling that `over` reports, if the call has that done while it is away.
    """
    if (on_its_way := step_away(services, held, over, attempt)) is not None:
        return on_its_way
    note_heard(services, over.call_sid)
    if over.dial is not None and (held.step is None or held.step.kind == "transfer"):
        return after_dial(over.dial, held.agent)
    if held.reason is None and over.stream_sid not in (None, held.stream_sid):
        # A repeated webhook led to a second stream, which was refused; the call goes on in the first one.
        logger.bind(call_id=held.call.call_id).warning("Twilio asks about a stream that the call is not in")
        again = replace(ActionUrl.of(held.agent), over_stream_sid=over.stream_sid)
        return twiml.hold(again.at(services.settings.effective_public_base_url), _HOLD_SECS)
    if not await held.wait_ended(services.end_grace_secs):
        # Twilio says that the stream is over, and the call has not noticed: a dead path, or a bot that does not look.
        live = services.live.get(held.call.call_id)
        if live is not None:
            live.end(EndReason.CONNECTION_LOST)
        await held.wait_ended(_WIND_UP_SECS)
    reason = held.reason or EndReason.CONNECTION_LOST
    step = held.step or step_after(reason, held.agent, held.call.variables)
    return tell(services, held.call.call_id, reason, held.agent, step)


def _action_url(services: Services, agent: AgentConfig | None) -> str:
    return ActionUrl.of(agent).at(services.settings.effective_public_base_url)
