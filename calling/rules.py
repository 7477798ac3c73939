"""Whether a call may be placed: pure, and asked twice, when it is asked for and when it is dialled."""

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime

from calling.errors import BadValue, Forbidden, NotNow
from calling.zones import is_fictional, is_within, zones_of
from config.agent import AgentConfig
from config.placeholders import placeholders
from config.telephone_number import is_costly
from telephony.numbers import BadNumber, parse_e164

UNWANTED = (
    "to: whoever has this number asked not to be called; when he wishes it again, take the number off the list: "
    "DELETE /v1/do-not-call/{number}."
)
_E164 = re.compile(r"\+[1-9][0-9]{6,14}")


@dataclass(frozen=True, slots=True)
class Wish:
    """A call as somebody asks for it. `variables` are those of the call; `moment` (aware) is when it would ring.

    `is_unwanted`: whoever has the number asked not to be called.
    """

    to_number: str
    from_number: str | None
    variables: Mapping[str, str]
    moment: datetime
    is_unwanted: bool = False


def check(agent: AgentConfig, wish: Wish, our_numbers: Collection[str]) -> str:
    """Check everything that is known before anything is written down; returns the number that is shown, E.164.

    `agent` is the agent as it is for this call, overrides included; `our_numbers` are those of all agents. May read
    zone files: call it in a thread.

    Raises:
        Forbidden: the agent may not call, or not this number.
        BadValue: a number is none, the caller's is not ours, or a variable is missing.
        NotNow: it is not the hour for it, or nobody knows what hour it is there.
    """
    if not agent.outbound.enabled:
        raise Forbidden(f"The agent {agent.name} may not place calls; write outbound: {{enabled: true}} into its file.")
    to_number = _checked("to", wish.to_number)
    if wish.is_unwanted:
        raise Forbidden(UNWANTED)
    from_number = _caller_id(agent, wish.from_number, our_numbers)
    check_number(agent, to_number)
    check_hours(agent, to_number, wish.moment)
    missing = missing_variables(agent, wish.variables)
    if missing:
        names = ", ".join(missing)
        raise BadValue(f"variables: {names} has no value; give it in variables, or in the agent's file.")
    return from_number


def check_number(agent: AgentConfig, number: str) -> None:
    """Check the agent's lists and what the call would cost. Raises `Forbidden`."""
    outbound = agent.outbound
    if any(number.startswith(prefix) for prefix in outbound.block):
        raise Forbidden(f"to: outbound.block of the agent {agent.name} forbids this number.")
    if outbound.allow and not any(number.startswith(prefix) for prefix in outbound.allow):
        raise Forbidden(f"to: outbound.allow of the agent {agent.name} does not name this number; add how it begins.")
    if is_costly(number) and not outbound.allow_premium:
        raise Forbidden(
            "to: this is a premium-rate, shared-cost or satellite number; "
            "write outbound: {allow_premium: true} into the agent's file to call it all the same."
        )


def check_hours(agent: AgentConfig, number: str, moment: datetime) -> None:
    """Check the clock of the called person. Raises `NotNow`.

    Hours that nobody wrote down are there to let people sleep; a fictional number has nobody who could.
    """
    outbound = agent.outbound
    window = outbound.window
    if window is None or (not outbound.has_own_hours and is_fictional(number)):
        return
    zones = zones_of(number)
    if zones is None:
        raise NotNow(
            "to: nobody knows in which time zone this number is; write outbound: {hours: any} into the agent's file."
        )
    if not is_within(moment, window, zones):
        raise NotNow(
            f"to: it is not within {outbound.hours} where this number may be; call later, give a time in at, or change "
            f"outbound.hours of the agent {agent.name}."
        )


def missing_variables(agent: AgentConfig, variables: Mapping[str, str]) -> list[str]:
    """Name the {placeholders} of the agent's texts that have no value, or an empty one; in the order they occur."""
    values = {**agent.variables, **variables}
    named = [name for _, text in agent.texts() for name, is_escaped in placeholders(text) if not is_escaped]
    return [name for name in dict.fromkeys(named) if not values.get(name, "").strip()]


def _caller_id(agent: AgentConfig, wanted: str | None, our_numbers: Collection[str]) -> str:
    own = agent.outbound.from_number or next(iter(agent.numbers), None)
    if wanted is None:
        if own is None:
            raise BadValue(
                f"from: the agent {agent.name} has no number of its own; give from, or write outbound: {{from: ...}}."
            )
        return own
    number = _checked("from", wanted)
    if number not in our_numbers and number != own:
        raise BadValue("from: this number is none of ours; use one that an agent's file names.")
    return number


def _checked(name: str, text: str) -> str:
    try:
        if _E164.fullmatch(text):
            return parse_e164(text)
    except BadNumber:
        pass
    raise BadValue(f"{name}: this is no telephone number in E.164 form; write it like +15551230100.")
