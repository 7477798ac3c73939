"""Twilio: how it reaches us, how we reach it, and what it tells callers when nobody answers it."""

from collections.abc import Sequence

from config.agent import AgentConfig
from config.settings import Settings
from config.twilio_credentials import twilio_credentials
from doctor.findings import Finding, off, ok, problem
from pipelines.failure_step import failure_step
from telephony import twiml
from telephony.rest import TwilioFailed, open_rest


def check_address(settings: Settings) -> Finding:
    """See whether Twilio could reach this server; its media streams want TLS."""
    if settings.is_public_url_loopback_or_unset:
        return off("public address", "TRUNKLINE_PUBLIC_BASE_URL is not set; fine for local use, needed for real calls")
    if not (settings.public_base_url or "").startswith("https://"):
        return problem(
            "public address", "TRUNKLINE_PUBLIC_BASE_URL is not https, and Twilio streams to wss only; use an https one"
        )
    return ok("public address", f"{settings.public_base_url}")


async def check_account(settings: Settings) -> Finding:
    """Ask Twilio for the account, with the credentials that calls are rescued with."""
    credentials = twilio_credentials(settings)
    if credentials is None:
        return off(
            "Twilio account",
            "TWILIO_ACCOUNT_SID and a token or API key are not set; fine for local use, but no caller can be rescued",
        )
    async with open_rest(credentials, settings.twilio_api_base) as rest:
        assert rest is not None
        try:
            status = await rest.check()
        except TwilioFailed as error:
            cure = "check TWILIO_ACCOUNT_SID, and TWILIO_AUTH_TOKEN or TWILIO_API_KEY_SID and its secret"
            return problem("Twilio account", f"{error}; {cure}")
    if status != "active":
        return problem("Twilio account", f"it is {status}; see to it in Twilio's console")
    return ok("Twilio account", "active, and the credentials are good")


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
