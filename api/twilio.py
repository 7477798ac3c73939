"""Twilio's webhooks: a call rings, its stream is over, its status changed."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import Annotated
from uuid import uuid4

from fastapi import APIRouter, Query, Response
from loguru import logger

from api import away, next_twiml
from api.access import SignedForm
from api.action_url import ActionUrl
from api.admission import ANNOUNCED, DISCLOSED, announcement_before
from api.deps import Services, ServicesDep
from api.lines import place
from api.patience import PATIENCE_SECS, database_in_time
from api.transfer_rows import caller_is_over
from api.which_agent import find_answerer
from config.agent import AgentConfig
from config.overrides import with_overrides
from pipelines.failure_step import busy_step, failure_step
from pipelines.script import Beforehand
from storage.errors import DatabaseAway
from switchboard.messages import Placed
from telephony import stream_token, twiml, webhooks
from telephony.next_step import NextStep
from transcripts.call import Call, CallEvent, CallStatus, Direction, EndReason
from transcripts.models import CallRow, call_of
from transcripts.outcomes import count_refusal

router = APIRouter(prefix="/twilio", tags=["twilio"])

_TELL_SECS = 2.0

CallId = Annotated[str, Query(max_length=64)]


@router.post("/voice")
async def answer(form: SignedForm, services: ServicesDep, call_id: CallId = "") -> Response:
    """Tell Twilio what to do with a ringing call: connect it to the media socket, or say why not.

    `call_id` is in the address that Twilio was given for a call that we place; such a call was answered.

    The call has its slot from here on, and its model is connected while it rings. A repeated webhook gets an
    equivalent answer (the same call with a fresh token) and takes nothing twice: Twilio carries out one answer. If it
    carries out the second while the stream of the first is open, that second stream is refused and the call goes on.
    """
    incoming = webhooks.parse_incoming_call(form)
    if call_id:
        try:
            async with database_in_time():
                return _xml(await _answer_placed(services, call_id, incoming.call_sid))
        except DatabaseAway as error:
            # Without its row nobody knows which agent speaks, or whether the call was called off.
            logger.bind(call_id=call_id, problem=str(error)).error("a call that was answered has no database to go on")
            return _xml(twiml.hang_up())
    answerer = await find_answerer(services, incoming)
    if answerer.twiml is not None:
        return _xml(answerer.twiml)
    agent = answerer.agent
    if agent is None:
        logger.bind(call_sid=incoming.call_sid).warning("no agent answers the number that was called")
        return _xml(twiml.unknown_number())
    try:
        async with database_in_time(min(PATIENCE_SECS, answerer.left_secs)):
            call = _new_call(incoming, agent, answerer.variables)
            return _xml(await _admit_incoming(services, call, agent, answerer.events))
    except DatabaseAway as error:
        logger.bind(call_sid=incoming.call_sid, problem=str(error)).error("a call cannot be taken without the database")
        return _xml(_as_twiml(services, failure_step(agent, {}), agent))


@router.post("/next")
async def next_step(
    form: SignedForm,
    services: ServicesDep,
    agent: Annotated[str, Query(max_length=100)] = "",
    language: Annotated[str, Query(max_length=50)] = "",
    stream: Annotated[str, Query(max_length=100)] = "",
    attempt: Annotated[str, Query(max_length=8)] = "",
) -> Response:
    """Tell Twilio what comes after the stream or after a transfer: hang up, transfer, busy, or an apology.

    The query string is that of the address that we gave Twilio, see `ActionUrl`.
    """
    over, origin = webhooks.parse_stream_over(form), ActionUrl(agent, language, stream, attempt)
    try:
        async with database_in_time():
            return _xml(await next_twiml.decide_next(services, over, origin))
    except DatabaseAway as error:
        next_twiml.note_heard(services, over.call_sid)
        logger.bind(call_sid=over.call_sid, problem=str(error)).error("what comes next is in a database that is away")
        return _xml(next_twiml.apologise(services, origin))


@router.post("/answered", status_code=204)
async def answered(form: SignedForm, services: ServicesDep) -> None:
    """Take note that somebody whom a call is being transferred to has answered."""
    await away.somebody_answered(services, webhooks.parse_answered_leg(form))


@router.post("/status", status_code=204)
async def status(form: SignedForm, services: ServicesDep, call_id: CallId = "") -> None:
    """Take note that the call is over at Twilio, for the calls whose own end nobody will write.

    Of a call that we placed (`call_id` is in the address that Twilio was given for it) every report counts.

    A call that never got its stream ends here. A live call is ended by its stream; one that goes on here for a while
    (a bot that does not look at its socket) is told to end, one that no process holds lost its connection. Late,
    repeated and out-of-order reports change nothing: a call ends once, and nothing but a final report matters.
    """
    report = webhooks.parse_status_report(form)
    if call_id:
        async with database_in_time():
            row = await services.dialler.take_webhook(call_id, report.call_sid)
            if row is None:
                return
            await services.dialler.take_status(row, report.status, report.duration_secs)
    if not report.is_final:
        return
    next_twiml.note_heard(services, report.call_sid)
    async with database_in_time():
        row = await next_twiml.wait_until_ended(services, report.call_sid)
        if row is None or await caller_is_over(services, row):
            return
        live = services.live.get(row.call_id)
        if live is None:
            if row.status == CallStatus.LIVE and await _end_elsewhere(services, row):
                return
            await next_twiml.end_without_stream(services, row)
        elif row.status != CallStatus.ENDED:
            live.end(EndReason.CALLER_HUNG_UP)


def _new_call(incoming: webhooks.IncomingCall, agent: AgentConfig, variables: Mapping[str, str]) -> Call:
    return Call(
        call_id=uuid4().hex,
        call_sid=incoming.call_sid,
        agent_name=agent.name,
        agent_version=agent.origin.version,
        direction=Direction.INBOUND,
        from_number=incoming.from_number,
        to_number=incoming.to_number,
        variables=dict(variables),
        started_at=datetime.now(UTC),
    )


async def _admit_incoming(services: Services, call: Call, agent: AgentConfig, events: Sequence[CallEvent]) -> str:
    """Write the call down and keep a slot for it; returns the TwiML that follows."""
    row = await services.store.open_call(call)
    is_new = row.call_id == call.call_id
    if is_new and events:
        # Before Twilio is answered: whichever process gets the stream goes on after them.
        await services.store.add_events(row.call_id, 0, events)
    if not is_new:
        # Two webhooks of one call may have been asking for its agent at once; the first to write it down decides.
        agent = await services.agent_of(row) or agent
    elif await services.after_call.budgets.refuses(agent, row.call_id):
        return await _refuse_for_money(services, row, agent)
    return await _admit(services, row, agent, is_new=is_new)


async def _answer_placed(services: Services, call_id: str, call_sid: str) -> str:
    """Go on with a call of ours that was answered. One that was called off meanwhile, or is another's, is hung up."""
    row = await services.dialler.take_webhook(call_id, call_sid)
    if row is None or row.status == CallStatus.ENDED:
        logger.bind(call_id=call_id, call_sid=call_sid).warning("somebody answered a call that is none any more")
        return twiml.hang_up()
    if row.status == CallStatus.QUEUED and await services.dialler.note_ringing(call_id):
        row = await services.store.get_call(call_id) or row
    await services.current_agents()
    agent = await services.agent_of(row)
    if agent is None:
        await services.store.finish_call(call_id, EndReason.FAILED, ended_at=datetime.now(UTC))
        logger.bind(call_id=call_id, agent=row.agent_name).error("the agent of a call that was answered was removed")
        return twiml.hang_up()
    return await _admit(services, row, with_overrides(agent, row.overrides or {}), is_new=True)


async def _admit(services: Services, row: CallRow, agent: AgentConfig, *, is_new: bool) -> str:
    """Keep a slot for a call that was written down; returns the TwiML that follows."""
    if row.status == CallStatus.ENDED:
        return _as_twiml(services, next_twiml.step_of(row, EndReason(row.end_reason), agent), agent)
    call = call_of(row)
    before = announcement_before(services, call, agent)
    call = replace(call, is_announced=before.is_announced, is_disclosed=before.is_disclosed)
    # The stream of a call that is live already is at the process that has it; nothing is to be kept for it.
    is_live = row.status == CallStatus.LIVE
    placed = Placed(instance=row.owner or services.instance) if is_live else await place(services, call, agent)
    if is_new and placed.refusal:
        return await _refuse(services, row, agent, placed.refusal)
    # Another server may keep the slot of a call that is not new, so that one is not refused before its stream comes.
    logger.bind(call_id=row.call_id, call_sid=call.call_sid, agent=agent.name, is_new=is_new).info("call rings")
    return _connect(services, call, agent, placed.instance or services.instance, before)


async def _refuse(services: Services, row: CallRow, agent: AgentConfig, reason: str) -> str:
    await services.store.finish_call(row.call_id, EndReason.REFUSED_BUSY, ended_at=datetime.now(UTC))
    count_refusal(reason)
    logger.bind(call_id=row.call_id, reason=reason).warning("call refused: no process takes it")
    return _as_twiml(services, busy_step(agent, {}), agent)


async def _refuse_for_money(services: Services, row: CallRow, agent: AgentConfig) -> str:
    """Say the agent's sentence, or that all lines are busy; a repeated webhook gets the same."""
    step = busy_step(agent, row.variables)
    if sentence := agent.budget.sentence.strip():
        step = replace(step, text=agent.render(sentence, row.variables))
    await services.store.set_next_step(row.call_id, step.as_json())
    await services.store.finish_call(row.call_id, EndReason.REFUSED_BUSY, ended_at=datetime.now(UTC))
    count_refusal("budget")
    logger.bind(call_id=row.call_id, agent=agent.name).warning("call refused: the agent has cost what it may today")
    return _as_twiml(services, step, agent)


async def _end_elsewhere(services: Services, row: CallRow) -> bool:
    """Have the call ended by the process that has it; False when there is none."""
    told = await services.colleagues.run_errand(
        "caller_left", call_id=row.call_id, call_sid=row.call_sid or "", timeout_secs=_TELL_SECS
    )
    return told is not None


def _connect(services: Services, call: Call, agent: AgentConfig, instance: str, before: Beforehand) -> str:
    settings = services.settings
    token = stream_token.issue(
        services.token_secret,
        call_id=call.call_id,
        call_sid=call.call_sid or "",
        now=services.now(),
        ttl_secs=settings.stream_token_ttl_secs,
    )
    return twiml.connect_stream(
        # The process that connects the model while the call rings puts its name into the stream's path.
        stream_url=f"{settings.stream_base_url}/twilio/stream/{instance}",
        action_url=ActionUrl.of(agent).at(services.settings.effective_public_base_url),
        parameters={"call_id": call.call_id, "token": token}
        | ({ANNOUNCED: "yes"} if before.is_announced else {})
        | ({DISCLOSED: "yes"} if before.is_disclosed else {}),
        say_first=before.as_say,
    )


def _as_twiml(services: Services, step: NextStep, agent: AgentConfig) -> str:
    return step.as_twiml(
        language=agent.language, action_url=ActionUrl.of(agent).at(services.settings.effective_public_base_url)
    )


def _xml(text: str) -> Response:
    return Response(text, media_type=twiml.MEDIA_TYPE)
