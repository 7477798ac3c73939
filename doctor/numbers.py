"""`cli.py numbers`: which numbers the account has and who answers them; connecting one with this server, or not."""

import re
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from urllib.parse import urlsplit

from config.agents_folder import AgentCatalog
from config.settings import Settings
from config.twilio_credentials import twilio_credentials
from doctor.number_settings import STATUS_PATH, VOICE_PATH, answerer_of, faults_of, is_ours, numbers_in
from telephony.rest import OwnedNumber, TwilioFailed, TwilioRest, open_rest


class CannotConnect(Exception):
    """It cannot be done, and nothing was changed; `str()` is one line with the cure."""


async def list_numbers(settings: Settings, agents: AgentCatalog) -> list[str]:
    """Return a line for each number of the account, then for each that only our files name. Raises `CannotConnect`."""
    base_url = "" if settings.is_public_url_loopback_or_unset else settings.public_base_url or ""
    async with _account(settings) as rest:
        owned = await _owned(rest)
    lines = [_describe(number, agents, base_url) for number in owned]
    known = {number.number for number in owned}
    missing = [number for number in numbers_in(agents) if number not in known]
    lines += [f"{number}  is not on this account; named by {answerer_of(number, agents)}" for number in missing]
    return lines or ["the account has no numbers; buy one in Twilio's console"]


async def connect(
    settings: Settings, agents: AgentCatalog, wanted: str, agent_name: str | None, fallback_url: str | None
) -> list[str]:
    """Have Twilio ask this server about calls to a number, and tell it of their ends; returns what to print.

    `agent_name`: who shall answer; its file must list the number already. Raises `CannotConnect`.
    """
    base_url = _public_base_url(settings)
    if fallback_url is not None and (urlsplit(fallback_url).scheme != "https" or not urlsplit(fallback_url).hostname):
        raise CannotConnect(f"--fallback-url must be a whole https URL (got {fallback_url!r})")
    if fallback_url is not None and is_ours(fallback_url, base_url):
        raise CannotConnect("--fallback-url leads to this server, which is the one that failed then; use another one")
    async with _account(settings) as rest:
        number = _find(await _owned(rest), wanted)
        _check_agent(agents, number.number, agent_name)
        if number.trunk_sid:
            raise CannotConnect(f"{number.number} belongs to a SIP trunk; take it out of the trunk in Twilio's console")
        changes = {
            "voice_url": base_url + VOICE_PATH,
            "voice_method": "POST",
            "status_callback": base_url + STATUS_PATH,
            "status_callback_method": "POST",
        }
        if number.application_sid:
            changes["voice_application_sid"] = ""  # it would get the calls in our place
        if fallback_url is not None:
            changes |= {"voice_fallback_url": fallback_url, "voice_fallback_method": "POST"}
        number = await _change(rest, number, changes)
    lines = [f"{number.number} is connected: Twilio asks {number.voice_url}"]
    lines.append(
        f"  it is answered by {answerer_of(number.number, agents)}, and its calls' ends go to {number.status_callback}"
    )
    if number.fallback_url:
        lines.append(f"  when this server does not answer, Twilio asks {number.fallback_url}")
    else:
        lines.append(
            "  it has no fallback: `cli.py doctor` prints TwiML for a TwiML Bin, and --fallback-url sets its URL"
        )
    return lines


async def disconnect(settings: Settings, wanted: str) -> list[str]:
    """Clear what of a number leads to this server, and nothing else; returns what to print. Raises `CannotConnect`."""
    base_url = _public_base_url(settings)
    async with _account(settings) as rest:
        number = _find(await _owned(rest), wanted)
        ours = {
            "voice_url": number.voice_url,
            "voice_fallback_url": number.fallback_url,
            "status_callback": number.status_callback,
        }
        changes = {name: "" for name, url in ours.items() if is_ours(url, base_url)}
        if not changes:
            return [f"{number.number} was not connected with {base_url}: nothing is changed"]
        number = await _change(rest, number, changes)
    lines = [f"{number.number} is disconnected: {', '.join(changes)} cleared"]
    kept = [url for url in (number.voice_url, number.fallback_url, number.status_callback) if url]
    return lines + [f"  {url} is left as it is" for url in kept]


def _describe(number: OwnedNumber, agents: AgentCatalog, base_url: str) -> str:
    def shown(url: str) -> str:
        return "-" if not url else "here" if base_url and is_ours(url, base_url) else url

    who = answerer_of(number.number, agents) or "nobody"
    voice = "a SIP trunk" if number.trunk_sid else "a TwiML application" if number.application_sid else ""
    method = "" if number.voice_method == "POST" or voice else f" by {number.voice_method}"
    line = (
        f"{number.number}  answered by {who}; voice: {voice or shown(number.voice_url)}{method}; "
        f"fallback: {shown(number.fallback_url)}; status: {shown(number.status_callback)}"
    )
    is_wrong = bool(base_url) and who != "nobody" and any(True for _ in faults_of(number, base_url))
    return f"{line}  (not connected: cli.py numbers connect {number.number})" if is_wrong else line


def _check_agent(agents: AgentCatalog, number: str, agent_name: str | None) -> None:
    owner = agents.by_number(number)
    if agent_name is None:
        if not answerer_of(number, agents):
            raise CannotConnect(f'no agent answers {number}: add "{number}" to numbers: of one, or to routing.yaml')
        return
    agent = agents.by_name(agent_name)
    if agent is None:
        names = ", ".join(agent.name for agent in agents.agents) or "none"
        raise CannotConnect(f"there is no agent {agent_name!r}; agents are: {names}")
    route = agents.routing.route_of(number)
    results = [rule.then for rule in route[1].rules] + [route[1].default] if route is not None else []
    by_route = {name for result in results if result is not None for _, name in result.agents()}
    if agent is owner or agent_name in by_route:
        return
    if owner is not None:
        raise CannotConnect(
            f"{number} belongs to {owner.name}: move it from numbers: of {owner.name} to {agent_name}'s"
        )
    raise CannotConnect(f'{agent_name} does not list the number: add numbers: ["{number}"] to its file, then try again')


def _find(owned: Sequence[OwnedNumber], wanted: str) -> OwnedNumber:
    digits = re.sub(r"[^0-9]", "", wanted)
    exact = [number for number in owned if number.number == f"+{digits}"]
    found = exact or [number for number in owned if len(digits) >= 4 and number.number.endswith(digits)]
    if len(found) == 1:
        return found[0]
    if found:
        listed = ", ".join(number.number for number in found)
        raise CannotConnect(f"{wanted} may be any of {listed}; write the whole number, with + and the country code")
    has = ", ".join(number.number for number in owned) or "none"
    raise CannotConnect(f"{wanted} is not a number of this account, which has: {has}")


def _public_base_url(settings: Settings) -> str:
    url = settings.public_base_url or ""
    if settings.is_public_url_loopback_or_unset or not url.startswith("https://"):
        raise CannotConnect("TRUNKLINE_PUBLIC_BASE_URL must be the https address at which Twilio reaches this server")
    return url


@asynccontextmanager
async def _account(settings: Settings) -> AsyncGenerator[TwilioRest]:
    credentials = twilio_credentials(settings)
    if credentials is None:
        raise CannotConnect(
            "set TWILIO_ACCOUNT_SID, and TWILIO_AUTH_TOKEN or TWILIO_API_KEY_SID and its secret, in .env"
        )
    async with open_rest(credentials, settings.twilio_api_base) as rest:
        assert rest is not None
        yield rest


async def _owned(rest: TwilioRest) -> list[OwnedNumber]:
    try:
        await rest.check()  # a refused list does not say why
        return await rest.list_numbers()
    except TwilioFailed as error:
        raise CannotConnect(f"{error}; check TWILIO_ACCOUNT_SID and its token or key") from error


async def _change(rest: TwilioRest, number: OwnedNumber, changes: dict[str, str]) -> OwnedNumber:
    try:
        return await rest.change_number(number.sid, **changes)
    except TwilioFailed as error:
        raise CannotConnect(f"{number.number} could not be changed: {error}; see it in Twilio's console") from error
