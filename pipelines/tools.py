"""What a bot is made of: its tools, the settings it reads from the agent's YAML, and what a tool may reach."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

from pipecat.adapters.llm.schemas.function_schema import FunctionSchema
from pipecat.services.llm_service import FunctionCallParams
from pydantic import BaseModel

from config.agent import AgentConfig
from pipelines.call_recording import CallRecording
from pipelines.confirmation import Confirmations
from pipelines.keys import Keys
from pipelines.scribe import Scribe
from transcripts.call import Call, EndReason
from transcripts.do_not_call import DoNotCall
from transcripts.records import Records

if TYPE_CHECKING:
    from pipelines.callbacks import Callbacks

Tool = Callable[..., Awaitable[None]]
"""`async def tool(params: FunctionCallParams, day: str) -> None`: name, docstring and arguments are what the model
sees; it answers through `params.result_callback({...})`."""


OfferedTool = Tool | FunctionSchema
"""A tool as a call's model is offered it: a function, or for one without Python its schema with what runs it."""


class Texting(Protocol):
    """Who sends text messages."""

    async def send_message(self, to_number: str, from_number: str, text: str) -> str:
        """Send one; returns its id. Raises TwilioFailed."""
        ...


class CallEnding(Protocol):
    """How a tool brings the call to its end."""

    def end_after_goodbye(self, reason: EndReason) -> None:
        """End the call once what the agent says next (or is saying) was heard to its last word."""
        ...


class Transferring(Protocol):
    """How a tool puts the caller through to somebody."""

    async def begin(self, destination: str, summary: str = "") -> dict[str, Any]:
        """Begin to put the caller through to a destination of the agent's `transfers:`; returns what the model is told.

        Either `{"transferring": True, "to": ..., "now": what to say before}`, or `{"error": why not, ...}`. Returns at
        once: the caller leaves when the agent has said its last words. A warm transfer returns when nobody has taken
        the call, with `outcome`; `summary` is what the person hears before he decides.
        """
        ...


class Attending(Protocol):
    """How a tool changes the way in which the agent listens and speaks."""

    def wait_longer(self, secs: float) -> None:
        """Give the caller time: for so long he is not asked whether he is there, and his pauses end nothing."""
        ...

    async def speak_language(self, code: str) -> str | None:
        """Go on in another of the agent's languages; returns what is wrong with `code`, if anything."""
        ...


class HandingOver(Protocol):
    """How a tool gives the call to another agent of this server."""

    async def hand_over(self, agent_name: str, summary: str) -> Callable[[], None]:
        """Prepare it, and return when the other agent is about to take over.

        What is returned is to be called once the model was told. Raises `ToolRefused`; the call stays where it is.
        """
        ...


@dataclass
class CallResources:
    """What a tool may reach through `resources(params)`.

    Attributes:
        settings: The agent's `settings:`, validated by the bot's own model; None for a bot without one.
        records: The agent's own rows in the database, shared by all its calls.
        state: The bot's memory of this one call.
        handing_over: How the call is given to another agent.
        confirmations: What the caller was asked to agree to.
        callbacks: Who arranges calls back; None for an agent that may place no calls.
        do_not_call: The list of numbers that nobody calls; None in a test of a tool alone.
        texting: Who sends text messages; None without an account at Twilio.
        sms_count: How many were sent in this call.
        transfers: Whom the caller may be put through to; None where the line cannot do that.
        recording: What is kept of the call: it can be paused and stopped.
        attending: How the agent listens; None in a test of a tool alone.
        keys: Presses the telephone's keys and collects the caller's, and keeps those that are secret.
    """

    call: Call
    agent: AgentConfig
    settings: BaseModel | None
    records: Records
    scribe: Scribe
    ending: CallEnding
    state: dict[str, Any] = field(default_factory=dict[str, Any])
    confirmations: Confirmations = field(default_factory=Confirmations)
    texting: Texting | None = None
    sms_count: int = 0
    transfers: Transferring | None = None
    recording: CallRecording | None = None
    attending: Attending | None = None
    handing_over: HandingOver | None = None
    keys: Keys | None = None
    callbacks: "Callbacks | None" = None
    do_not_call: DoNotCall | None = None


def resources(params: FunctionCallParams) -> CallResources:
    """Return what the call of this tool may reach."""
    found = params.app_resources
    if not isinstance(found, CallResources):
        raise TypeError("this tool was called outside a Trunkline call")
    return found


@dataclass(frozen=True)
class Bot:
    """Behaviour of an agent.

    Attributes:
        tools: Functions the model may call.
        settings: A pydantic model for the agent's `settings:`; an agent of a bot without one may have none.
        hints: Sentences added to the instructions of every agent of this bot.
    """

    tools: Sequence[Tool] = ()
    settings: type[BaseModel] | None = None
    hints: str = ""


async def end_call(params: FunctionCallParams) -> None:
    """End the phone call. Use it when the caller has said goodbye or has nothing more to ask; then say goodbye.

    A caller who speaks again takes it back: go on then, and use it again when the call is over.
    """
    desk = resources(params)
    desk.ending.end_after_goodbye(EndReason.BOT_ENDED)
    await params.result_callback({"ended": True, "now": "Say one short goodbye, unless you just did."})
