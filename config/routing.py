"""Which agent answers a call: rules for each number, in `routing.yaml`. Pure: number, moment and key are arguments."""

import hashlib
import hmac
import ipaddress
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Annotated, Literal, Self
from urllib.parse import urlsplit

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, SecretStr, model_validator

from config.agent import AGENT_NAME
from config.calling_codes import language_of
from config.identifier import Identifier
from config.language_code import LanguageCode
from config.opening_hours import OpeningHours
from config.phrases import Sentence
from config.signing_secret import key_of_secret
from config.telephone_number import PhoneNumber
from config.wording import problem, shown

ROUTING_FILE = "routing.yaml"
"""Its name in the folder of agents; no agent can be called so."""

_PREFIX = re.compile(r"\+[1-9][0-9]{0,14}")
_LANGUAGE_ONLY = re.compile(r"[a-z]{2,3}")
_MOST_SECS = 5.0
"""Twilio waits 15 s for its TwiML, and the database may take its part of that."""


def _prefix(value: object) -> object:
    if isinstance(value, int) and not isinstance(value, bool):
        raise problem(f"must be in quotes (got {value})", f'write "+{value}"')
    if isinstance(value, str) and not _PREFIX.fullmatch(value):
        raise problem(f"must be the beginning of a number in E.164 form (got {shown(value)})", 'write it like "+49"')
    return value


def _agent_name(name: str) -> str:
    if AGENT_NAME.fullmatch(name):
        return name
    raise problem(f"{shown(name)} is not a usable agent name", "the agent's name is its file's name without .yaml")


def _language_only(code: str) -> str:
    if _LANGUAGE_ONLY.fullmatch(code):
        return code
    raise problem(f"must be a language alone (got {shown(code)})", "write it like en or de, without a region")


def _own_url(url: str) -> str:
    try:
        parts = urlsplit(url)
        host, is_sound = parts.hostname or "", parts.port is None or parts.port > 0
    except ValueError:
        parts, host, is_sound = urlsplit(""), "", False
    if parts.scheme not in ("http", "https") or not host or not is_sound or re.search(r"\s", url):
        raise problem(f"must be a URL such as https://crm.example.com/route (got {shown(url)})")
    if parts.username is not None or parts.fragment:
        raise problem("must be a plain URL", "leave out user name and '#...'; the request is signed instead")
    if parts.scheme == "http" and not _is_near(host):
        raise problem(
            f"must begin with https:// (got {shown(url)})", "the caller's number would travel in the clear otherwise"
        )
    return url


def _is_near(host: str) -> bool:
    """Whether the host is of the operator's own machine or network, where there may be no certificate."""
    try:
        return ipaddress.ip_address(host).is_private
    except ValueError:
        return "." not in host or host.endswith((".localhost", ".internal", ".local", ".lan"))


def _signing_secret(secret: SecretStr) -> SecretStr:
    key_of_secret(secret.get_secret_value())
    return secret


Prefix = Annotated[str, BeforeValidator(_prefix), Field(json_schema_extra={"pattern": f"^{_PREFIX.pattern}$"})]
AgentName = Annotated[str, AfterValidator(_agent_name)]
LanguageOnly = Annotated[str, AfterValidator(_language_only)]


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class Ask(_Part):
    """A webhook of the operator's that names the agent."""

    url: Annotated[str, AfterValidator(_own_url)] = Field(description="Where to POST; https, or http nearby.")
    secret: Annotated[SecretStr, AfterValidator(_signing_secret)] = Field(description="Signs the question: whsec_...")
    timeout_secs: float = Field(default=3.0, gt=0, le=_MOST_SECS, description="For everything, name lookup included.")


class Result(_Part):
    """What becomes of the call: one of agent, share, ask, say, transfer and busy; `say` may precede a transfer."""

    agent: AgentName | None = Field(default=None, description="This agent answers.")
    variables: dict[Identifier, str] = Field(default={}, description="Values for that agent's variables.")
    share: dict[AgentName, Annotated[float, Field(gt=0, le=100)]] | None = Field(
        default=None, description="Percent of the callers for each agent; the rest goes on with the next rule."
    )
    ask: Ask | None = Field(default=None, description="The operator's own webhook names the agent.")
    say: Sentence | None = Field(default=None, description="Twilio's voice says this and hangs up, or transfers.")
    language: LanguageCode | None = Field(default=None, description="What `say` is spoken in; en-US if left out.")
    transfer: PhoneNumber | None = Field(default=None, description="The caller is connected with this number.")
    busy: Literal[True] | None = Field(default=None, description="The caller hears the busy tone.")

    @model_validator(mode="after")
    def _is_one(self) -> Self:
        kinds = [name for name in ("agent", "share", "ask", "transfer", "busy") if getattr(self, name) is not None]
        if self.say is not None and kinds != ["transfer"]:
            kinds.append("say")
        if len(kinds) != 1:
            given = f"has {' and '.join(kinds)}" if kinds else "says nothing"
            raise problem(f"{given}, and one is needed", "write one of agent, share, ask, say, transfer or busy")
        if self.variables and self.agent is None:
            raise problem("has variables without an agent", "write 'agent:' beside them")
        if self.language is not None and self.say is None:
            raise problem("has a language without anything to say", "write 'say:' beside it, or remove it")
        if self.share is not None and sum(self.share.values()) > 100:
            raise problem(f"shares add up to {sum(self.share.values()):g} percent", "100 is all callers")
        return self

    def agents(self) -> Iterator[tuple[tuple[str | int, ...], str]]:
        """Yield every agent it names, with its path."""
        if self.agent is not None:
            yield ("agent",), self.agent
        for name in self.share or ():
            yield ("share", name), name


def _anything(value: object) -> object:
    return [value] if isinstance(value, str | int) else value


class When(_Part):
    """Conditions, all of which must hold; none at all always do."""

    open: str | None = Field(default=None, description="These hours are open.")
    closed: str | None = Field(default=None, description="These hours are closed.")
    caller: Annotated[tuple[Prefix, ...], BeforeValidator(_anything)] = Field(
        default=(), description="The caller's number begins with one of these."
    )
    called: Annotated[tuple[Prefix, ...], BeforeValidator(_anything)] = Field(
        default=(), description="The number that was called begins with one of these."
    )
    language: LanguageOnly | None = Field(
        default=None, description="Spoken where the caller's number is from, or the called one when his is withheld."
    )
    withheld: bool | None = Field(default=None, description="Whether the caller withholds his number.")


class Rule(_Part):
    """One rule of a number; the first one that applies is taken."""

    when: When = Field(default_factory=When, description="When it applies; always if left out.")
    then: Result = Field(description="What becomes of the call.")


class Route(_Part):
    """The rules of some numbers."""

    numbers: tuple[PhoneNumber, ...] = Field(min_length=1, description="Numbers that were called, E.164, quoted.")
    rules: tuple[Rule, ...] = Field(default=(), description="First to last.")
    default: Result | None = Field(
        default=None, description="When no rule applies; if left out, the agent that lists the number."
    )

    @model_validator(mode="after")
    def _ends(self) -> Self:
        if self.default is not None and (self.default.ask is not None or self.default.share is not None):
            raise problem("default must be one agent or answer", "put 'ask' or 'share' into the last rule instead")
        return self


class Routing(_Part):
    """The whole file."""

    hours: dict[Identifier, OpeningHours] = Field(default={}, description="Opening hours by name.")
    languages: dict[Prefix, LanguageOnly] = Field(default={}, description="Language of a prefix, before our own guess.")
    routes: tuple[Route, ...] = Field(default=(), description="Rules, for some numbers each.")

    def route_of(self, to_number: str) -> tuple[int, Route] | None:
        """Return the route of a called number (E.164) with its position; None when no rules are about it."""
        return next(((i, route) for i, route in enumerate(self.routes) if to_number in route.numbers), None)

    def results(self) -> Iterator[tuple[tuple[str | int, ...], Result]]:
        """Yield every result with its path."""
        for position, route in enumerate(self.routes):
            for number, rule in enumerate(route.rules):
                yield ("routes", position, "rules", number, "then"), rule.then
            if route.default is not None:
                yield ("routes", position, "default"), route.default


@dataclass(frozen=True, slots=True)
class Ringing:
    """A call that asks which agent answers it. `from_number` is None when it is withheld."""

    to_number: str
    from_number: str | None
    call_sid: str


@dataclass(frozen=True, slots=True)
class Choice:
    """What the rules say.

    Attributes:
        place: Which rule said so, as a path in the file; "numbers" when the agent's own file did.
        agent: The agent that answers, by name; None when `result` is to be asked or told.
        variables: Values that come with it.
        result: The rule's result where no agent is named by it.
    """

    place: str
    agent: str | None = None
    variables: Mapping[str, str] = field(default_factory=dict[str, str])
    result: Result | None = None


def choose(routing: Routing, call: Ringing, *, now: datetime, key: bytes) -> Choice | None:
    """Return what the first rule that applies says; None when no route is about the number.

    `now` is aware. `key` keeps who has which share from being worked out from outside.
    """
    found = routing.route_of(call.to_number)
    if found is None:
        return None
    position, route = found
    for number, rule in enumerate(route.rules):
        place = f"routes[{position}].rules[{number}]"
        if _applies(rule.when, routing, call, now):
            choice = _taken(rule.then, place, call, key)
            if choice is not None:
                return choice
    return default_of(routing, call)


def default_of(routing: Routing, call: Ringing) -> Choice:
    """Return what the number's route says when no rule does, or when the webhook that was asked fails."""
    found = routing.route_of(call.to_number)
    if found is None or found[1].default is None:
        return Choice("numbers")
    place = f"routes[{found[0]}].default"
    default = found[1].default
    return Choice(place, default.agent, default.variables) if default.agent else Choice(place, result=default)


def _applies(when: When, routing: Routing, call: Ringing, now: datetime) -> bool:
    caller = call.from_number
    return (
        (when.open is None or routing.hours[when.open].is_open(now))
        and (when.closed is None or not routing.hours[when.closed].is_open(now))
        and (not when.caller or (caller is not None and caller.startswith(when.caller)))
        and (not when.called or call.to_number.startswith(when.called))
        and (when.withheld is None or when.withheld == (caller is None))
        and (when.language is None or when.language == language_of(caller or call.to_number, routing.languages))
    )


def _taken(result: Result, place: str, call: Ringing, key: bytes) -> Choice | None:
    if result.agent is not None:
        return Choice(place, result.agent, result.variables)
    if result.share is None:
        return Choice(place, result=result)
    percent, below = percent_of(result.share, call, key), 0.0
    for name, share in result.share.items():
        below += share
        if percent < below:
            return Choice(place, name)
    return None


def percent_of(share: Mapping[str, float], call: Ringing, key: bytes) -> float:
    """Return where a caller stands among all, 0 to 100: always at the same place for the same agents to choose from.

    Whoever withholds his number is a stranger with every call.
    """
    who = call.from_number or call.call_sid
    text = "\n".join(["share", *sorted(share), who])
    digest = hmac.new(key, text.encode(), hashlib.sha256).digest()
    return int.from_bytes(digest[:8]) / 2**64 * 100


class AskAnswer(BaseModel):
    """What a webhook answers, strictly: nothing else, and text for every variable."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    agent: AgentName
    variables: dict[Identifier, Annotated[str, Field(max_length=2000)]] = Field(default={}, max_length=50)
