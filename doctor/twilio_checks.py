"""Twilio: the account, its clock against ours, the numbers' settings, and what callers hear when nobody answers it."""

from collections.abc import Iterator, Sequence

from config.agent import AgentConfig
from config.agents_folder import AgentCatalog
from config.settings import Settings
from config.twilio_credentials import twilio_credentials
from doctor.findings import Finding, off, ok, problem
from doctor.number_settings import answerer_of, faults_of, is_ours, numbers_in
from pipelines.failure_step import failure_step
from telephony import twiml
from telephony.rest import OwnedNumber, TwilioFailed, TwilioRest, open_rest

_MOST_SKEW_SECS = 5.0
"""Twilio's signatures bear no time, but our tokens do, and so do the requests that other services sign and check."""


async def check_account(settings: Settings, agents: AgentCatalog) -> list[Finding]:
    """Ask Twilio for the account, with the credentials that calls are rescued with, and for its numbers."""
    credentials = twilio_credentials(settings)
    if credentials is None:
        told = "TWILIO_ACCOUNT_SID and a token or API key are not set"
        return [off("Twilio account", f"{told}; fine for local use, but no caller can be rescued")]
    findings: list[Finding] = []
    async with open_rest(credentials, settings.twilio_api_base) as rest:
        assert rest is not None
        try:
            status = await rest.check()
        except TwilioFailed as error:
            cure = "check TWILIO_ACCOUNT_SID, and TWILIO_AUTH_TOKEN or TWILIO_API_KEY_SID and its secret"
            return [problem("Twilio account", f"{error}; {cure}"), *_check_clock(rest.ahead_secs)]
        if status == "active":
            findings.append(ok("Twilio account", "active, and the credentials are good"))
        else:
            findings.append(problem("Twilio account", f"it is {status}; see to it in Twilio's console"))
        findings += _check_clock(rest.ahead_secs)
        if not settings.is_public_url_loopback_or_unset:
            findings += await _check_numbers(rest, settings, agents)
    told = "which countries may be called cannot be checked here; see Voice, Geo permissions in Twilio's console"
    findings.append(off("calls abroad", told))
    return findings


def _check_clock(ahead_secs: float | None) -> Iterator[Finding]:
    if ahead_secs is None:
        return
    if abs(ahead_secs) > _MOST_SKEW_SECS:
        told = f"this machine's is {abs(ahead_secs):.0f} s {'behind' if ahead_secs > 0 else 'ahead of'} Twilio's"
        yield problem("clock", f"{told}, and signatures and tokens fail by that; run: timedatectl set-ntp true")
    else:
        yield ok("clock", "in step with Twilio's")


async def _check_numbers(rest: TwilioRest, settings: Settings, agents: AgentCatalog) -> list[Finding]:
    try:
        owned = {number.number: number for number in await rest.list_numbers()}
    except TwilioFailed as error:
        return [problem("numbers", f"{error}; try again, or look at them in Twilio's console")]
    findings: list[Finding] = []
    for number in numbers_in(agents):
        if number in owned:
            findings += _check_number(owned[number], settings.public_base_url or "")
        else:
            who = answerer_of(number, agents)
            cure = "buy it there, take it out of the file, or use that account's TWILIO_ACCOUNT_SID"
            findings.append(problem(f"number {number}", f"{who} answers it, and the account does not have it; {cure}"))
    return findings


def _check_number(number: OwnedNumber, base_url: str) -> Iterator[Finding]:
    faults = list(faults_of(number, base_url))
    for fault in faults:
        yield problem(f"{fault.part} of {number.number}", fault.message)
    if not faults:
        yield ok(f"number {number.number}", "Twilio asks and tells this server")
    what = f"fallback of {number.number}"
    if is_ours(number.fallback_url, base_url):
        yield problem(what, "it is this server, which is what has failed then; set the URL of a TwiML Bin (see below)")
    elif not number.fallback_url and not number.application_sid:
        yield off(what, "none: callers hear Twilio's error when this server is down; see below for what to put there")


def fallback_documents(agents: Sequence[AgentConfig]) -> list[tuple[str, str]]:
    """Return, for each agent with a number, a heading and the static TwiML for that number's fallback URL."""
    documents: list[tuple[str, str]] = []
    for agent in agents:
        if agent.numbers:
            step = failure_step(agent, {})
            language = step.language or agent.language
            text = twiml.fallback(step.text or "", language, step.to, step.caller_id)
            documents.append((f"{agent.name}, {', '.join(agent.numbers)}", text))
    return documents
