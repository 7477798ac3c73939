"""Phones a running server with the stand-in Twilio: `cli.py call --simulate AGENT`."""

import asyncio
from collections.abc import Sequence
from contextlib import AsyncExitStack

from config.agent import AgentConfig
from config.settings import Settings
from demo.story import play
from demo.telling import Print, tell_call
from demo.trouble import NoTrouble, armed
from simulators.faults import Fault
from simulators.simulated_call import SimulatedCall
from simulators.twilio import TwilioSimulator
from storage.engine import Database
from storage.key_ring import KeyRing
from transcripts.models import CallRow
from transcripts.store import CallStore

CALLER = "+15557654321"
_CONNECT_SECS = 10.0
_ANY_ACCOUNT = "AC" + "0123456789abcdef" * 2


class NoAnswer(Exception):
    """Nobody answered the simulated call; str() says what happened instead and what cures it."""


async def phone(
    twilio: TwilioSimulator,
    agent: AgentConfig,
    store: CallStore,
    *,
    base_url: str,
    public_url: str,
    write: Print,
    fault: str | None = None,
) -> tuple[SimulatedCall, CallRow]:
    """Place one call to the agent's first number, play its story, tell it line by line.

    Args:
        twilio: The stand-in, with the auth token the server expects.
        agent: Whom to phone.
        store: Where the server keeps its calls.
        base_url: Where the server is reached from here.
        public_url: What the server calls itself; webhooks are signed for it.
        write: Takes each line.
        fault: What goes wrong at Twilio's side of this call.

    Raises:
        NoAnswer: the server refused, or is not there.
    """
    call = await twilio.dial(
        to=agent.numbers[0],
        from_=CALLER,
        voice_url=f"{base_url}/twilio/voice",
        status_callback=f"{base_url}/twilio/status",
        public_base_url=public_url,
        fault=fault,
    )
    try:
        await call.connected(timeout_secs=_CONNECT_SECS)
    except Exception as error:
        raise NoAnswer(_what_happened(call, base_url)) from error
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(play(agent.bot, call), name="story")
        telling = tasks.create_task(tell_call(store, call.sid, write), name="telling")
    await call.ended()
    row = telling.result()
    if row is None:
        raise NoAnswer("the server answered, but the call is not in this database; is TRUNKLINE_DATABASE_URL the same?")
    return call, row


def _what_happened(call: SimulatedCall, base_url: str) -> str:
    answers: Sequence[object] = call.twiml_log
    errors = "; ".join(error.message for error in call.errors)
    if not answers and not errors:
        return f"no server answers at {base_url}; start it with `make run`"
    said = "; ".join(f"{verb} {detail}".strip() for _, verb, detail in call.verbs)
    return f"the call did not connect at {base_url}: {errors or said or 'no answer'}"


def delays_line(call: SimulatedCall) -> str:
    """Each reply's delay as the caller heard it: his last loud frame sent -> the first loud frame back."""
    told = [f"{delay / 1000:.2f} s" if delay is not None else "none" for delay in call.reply_delays_ms]
    return "replies came after " + ", ".join(told) if told else "nothing was asked"


async def simulate_call(settings: Settings, agent: AgentConfig, *, write: Print, fault: Fault | None = None) -> int:
    """Phone an agent of the running server, into a fault if asked to; returns the exit code."""
    public_url = settings.effective_public_base_url
    base_url = settings.model_copy(update={"public_base_url": None}).effective_public_base_url
    token = settings.twilio_auth_token.get_secret_value() if settings.twilio_auth_token else "open-mode"
    database = Database(settings.database_url, await asyncio.to_thread(KeyRing.load, settings))
    account_sid = settings.twilio_account_sid or _ANY_ACCOUNT
    async with TwilioSimulator(auth_token=token, account_sid=account_sid) as twilio, AsyncExitStack() as trouble:
        on_the_line = fault.name if fault is not None and fault.side == "twilio" else None
        try:
            await database.connect(settings.database_wait_secs)
            store = CallStore(database)
            if fault is not None and on_the_line is None:
                await trouble.enter_async_context(armed(fault, settings.data_dir, write))
            call, row = await phone(
                twilio, agent, store, base_url=base_url, public_url=public_url, write=write, fault=on_the_line
            )
        except (NoAnswer, NoTrouble) as error:
            write(str(error))
            return 1
        finally:
            await database.close()
    write(f"The call ended: {row.end_reason}; {delays_line(call)}.")
    return 0
