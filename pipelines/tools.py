"""What a bot is made of: its tools, the settings it reads from the agent's YAML, and what a tool may reach."""

import asyncio
import functools
import inspect
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from loguru import logger
from pipecat.services.llm_service import FunctionCallParams
from pydantic import BaseModel

from config.agent import AgentConfig
from pipelines.scribe import Scribe
from transcripts.call import Call, EndReason
from transcripts.records import Records

TOOL_GRACE_SECS = 2.0
"""A tool is stopped here, and apologised for; only one that cannot be stopped is left to Pipecat, this much later."""

Tool = Callable[..., Awaitable[None]]
"""`async def tool(params: FunctionCallParams, day: str) -> None`: name, docstring and arguments are what the model
sees; it answers through `params.result_callback({...})`."""


class CallEnding(Protocol):
    """How a tool brings the call to its end."""

    def end_after_goodbye(self, reason: EndReason) -> None:
        """End the call once what the agent says next (or is saying) was heard to its last word."""
        ...


class Transferring(Protocol):
    """How a tool puts the caller through to somebody."""

    async def begin(self, destination: str) -> dict[str, Any]:
        """Begin to put the caller through to a destination of the agent's `transfers:`; returns what the model is told.

        Either `{"transferring": True, "to": ..., "now": what to say before}`, or `{"error": why not, ...}`. Returns at
        once: the caller leaves when the agent has said its last words.
        """
        ...


@dataclass
class CallResources:
    """What a tool may reach through `resources(params)`.

    Attributes:
        settings: The agent's `settings:`, validated by the bot's own model; None for a bot without one.
        records: The agent's own rows in the database, shared by all its calls.
        state: The bot's memory of this one call.
        transfers: Whom the caller may be put through to; None where the line cannot do that.
    """

    call: Call
    agent: AgentConfig
    settings: BaseModel | None
    records: Records
    scribe: Scribe
    ending: CallEnding
    state: dict[str, Any] = field(default_factory=dict[str, Any])
    transfers: Transferring | None = None


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

    def tools_for_call(self) -> list[Tool]:
        """The tools, each watched: its calls, results and failures become events of the call."""
        return [_watch(tool) for tool in self.tools]


def _watch(tool: Tool) -> Tool:
    name = tool.__name__
    # Pipecat's `@tool_options(timeout_secs=...)`.
    own_secs: float | None = getattr(tool, "_pipecat_timeout_secs", None)

    @functools.wraps(tool)
    async def watched(params: FunctionCallParams, **arguments: Any) -> None:
        desk = resources(params)
        started_ms = desk.scribe.now_ms
        desk.scribe.tool_started()
        desk.scribe.event("tool.called", name=name, arguments=arguments)
        answer = params.result_callback
        answers: list[Any] = []

        async def result_callback(result: Any, **options: Any) -> None:
            answers.append(result)
            took_ms = round(desk.scribe.now_ms - started_ms)
            desk.scribe.event("tool.result", name=name, result=result, took_ms=took_ms)
            desk.scribe.await_words()
            await answer(result, **options)

        params.result_callback = result_callback
        try:
            await _run_in_time(tool(params, **arguments), own_secs or desk.agent.limits.tool_timeout_secs)
            if not answers:
                raise RuntimeError("it returned without calling params.result_callback")
        except asyncio.CancelledError:
            desk.scribe.event("tool.cancelled", name=name)
            raise
        except Exception as error:
            # The model must get an answer whatever happens, or a BLOCKING call leaves the caller in silence.
            logger.opt(exception=error).error("tool {} failed", name)
            desk.scribe.agent.note_error(f"{name}: {type(error).__name__}: {error}")
            desk.scribe.event("tool.failed", name=name, error=f"{type(error).__name__}: {error}")
            if not answers:
                sorry = desk.agent.render(desk.agent.phrases.tool_failed, desk.call.variables)
                say = f'Apologise, in these words: "{sorry}"'
                desk.scribe.await_words()
                await answer({"error": f"The tool {name} failed.", "say": say})
        finally:
            desk.scribe.tool_ended()

    if not inspect.iscoroutinefunction(tool):
        raise TypeError(f"tool {name} must be an async function")
    if own_secs is not None:
        # Pipecat only stops a tool, without an answer; it is left to what we cannot stop.
        setattr(watched, "_pipecat_timeout_secs", own_secs + TOOL_GRACE_SECS)  # noqa: B010
    return watched


async def _run_in_time(work: Awaitable[None], limit_secs: float) -> None:
    limit = asyncio.timeout(limit_secs)
    try:
        async with limit:
            await work
    except TimeoutError as error:
        if not limit.expired():  # the tool's own, which says more
            raise
        raise TimeoutError(f"no result within {limit_secs:g} s") from error


async def end_call(params: FunctionCallParams) -> None:
    """End the phone call. Use it when the caller has said goodbye or has nothing more to ask; then say goodbye.

    A caller who speaks again takes it back: go on then, and use it again when the call is over.
    """
    desk = resources(params)
    desk.ending.end_after_goodbye(EndReason.BOT_ENDED)
    await params.result_callback({"ended": True, "now": "Say one short goodbye, unless you just did."})
