"""Which agent answers an incoming call: its row if it has one, else the rules, else the agent that lists the number."""

import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from loguru import logger
from pydantic import ValidationError

from api.action_url import ActionUrl
from api.deps import Services
from api.patience import database_in_time
from config.agent import AgentConfig
from config.agents_folder import AgentCatalog
from config.routing import Ask, AskAnswer, Choice, Result, Ringing, choose, default_of
from config.wording import describe, shown
from net.outgoing import OutgoingFailed, OutgoingRefused
from storage.errors import DatabaseAway
from telemetry import metrics
from telemetry.moments import moment_text
from telephony import twiml
from telephony.webhooks import IncomingCall
from transcripts.call import CallEvent

_LOOK_SECS = 1.5
_IN_ALL_SECS = 12.0
"""Twilio gives a webhook 15 s; what asking has taken of them is the database's loss."""


@dataclass(frozen=True, slots=True)
class Answerer:
    """Who answers, or what Twilio does instead.

    Attributes:
        agent: The agent; None when nobody answers, or when `twiml` says what happens.
        variables: Values that came with it.
        events: What the call's log is to tell of the choice.
        twiml: The whole answer to Twilio, without an agent.
        left_secs: How long the rest of the webhook may take.
    """

    agent: AgentConfig | None = None
    variables: Mapping[str, str] = field(default_factory=dict[str, str])
    events: tuple[CallEvent, ...] = ()
    twiml: str | None = None
    left_secs: float = _IN_ALL_SECS


async def find_answerer(services: Services, incoming: IncomingCall) -> Answerer:
    """Return who answers. A call that has a row, because Twilio asks twice, gets the agent of the first time."""
    began = time.monotonic()
    catalog = await services.current_agents()
    call = Ringing(incoming.to_number, incoming.from_number, incoming.call_sid)
    if catalog.routing.route_of(call.to_number) is None:
        return Answerer(catalog.by_number(call.to_number))
    if (known := await _known(services, call.call_sid)) is not None:
        return known
    now = datetime.fromtimestamp(services.now(), UTC)
    choice = choose(catalog.routing, call, now=now, key=services.token_secret) or Choice("numbers")
    told: dict[str, Any] = {}
    events: list[CallEvent] = []
    if choice.result is not None and choice.result.ask is not None:
        asked = await _ask(services, catalog, call, choice.result.ask, now)
        told["asked_ms"] = round((time.monotonic() - began) * 1000)
        if isinstance(asked, str):
            metrics.ROUTED_TOTAL.labels(outcome="ask_failed").inc()
            logger.bind(call_sid=call.call_sid, rule=choice.place, problem=asked).warning(
                "the webhook that says which agent answers was of no use: the default takes the call"
            )
            events.append(CallEvent("route.ask_failed", 0, {"rule": choice.place, "problem": asked, **told}))
            choice = default_of(catalog.routing, call)
        else:
            metrics.ROUTED_TOTAL.labels(outcome="asked").inc()
            choice = Choice(choice.place, asked.agent, asked.variables)
    if choice.result is not None:
        return Answerer(twiml=_carry_out(services, call, choice.place, choice.result))
    agent = catalog.by_name(choice.agent) if choice.agent is not None else None
    agent = agent or catalog.by_number(call.to_number)
    if agent is not None:
        metrics.ROUTED_TOTAL.labels(outcome="agent").inc()
        events.append(CallEvent("route.chosen", 0, {"rule": choice.place, "agent": agent.name, **told}))
    left_secs = _IN_ALL_SECS - (time.monotonic() - began)
    return Answerer(agent, choice.variables, tuple(events), left_secs=left_secs)


async def _known(services: Services, call_sid: str) -> Answerer | None:
    try:
        async with database_in_time(_LOOK_SECS):
            row = await services.store.find_call(call_sid)
            agent = await services.agent_of(row) if row is not None else None
    except DatabaseAway:
        return None  # whoever writes the call down will know
    return Answerer(agent) if agent is not None else None


async def _ask(services: Services, catalog: AgentCatalog, call: Ringing, ask: Ask, now: datetime) -> AskAnswer | str:
    """Return what the operator's webhook answers, or why it is of no use."""
    fallback = default_of(catalog.routing, call).agent or _name_of(catalog.by_number(call.to_number))
    data = {"call_sid": call.call_sid, "from": call.from_number, "to": call.to_number, "default": fallback}
    body = {"type": "call.ringing", "timestamp": moment_text(now), "data": data}
    try:
        answer = await services.asker.ask(
            ask.url,
            body,
            secret=ask.secret.get_secret_value(),
            message_id=f"msg_{call.call_sid}",
            now=now,
            deadline_secs=ask.timeout_secs,
        )
        found = AskAnswer.model_validate(answer)
    except (OutgoingFailed, OutgoingRefused) as error:
        return str(error)
    except ValidationError as error:
        line = error.errors()[0]
        # What it answered may be about the caller, and is not repeated.
        what, _cure = describe(line, is_secret=True)
        where = ".".join(str(part) for part in line["loc"])
        return f"the answer cannot be used: {where} {what}" if where else f"the answer cannot be used: it {what}"
    if catalog.by_name(found.agent) is None:
        return f"the answer cannot be used: there is no agent {shown(found.agent)}"
    return found


def _name_of(agent: AgentConfig | None) -> str | None:
    return agent.name if agent is not None else None


def _carry_out(services: Services, call: Ringing, place: str, result: Result) -> str:
    language = result.language or "en-US"
    if result.transfer is not None:
        kind = "transfer"
        action_url = ActionUrl(language=language).at(services.settings.effective_public_base_url)
        text = twiml.transfer(result.transfer, None, action_url, text=result.say, language=language)
    elif result.say is not None:
        kind, text = "say", twiml.say(result.say, language)
    else:
        kind, text = "busy", twiml.reject()
    metrics.ROUTED_TOTAL.labels(outcome=kind).inc()
    logger.bind(call_sid=call.call_sid, rule=place, answer=kind).info("a rule answers the call without an agent")
    return text
