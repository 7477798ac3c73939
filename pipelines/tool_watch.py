"""One call of a tool, watched: its rules are kept, and what it is asked and answers becomes events of the call."""

import asyncio
import functools
import inspect
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from loguru import logger
from pipecat.adapters.llm.schemas.function_schema import FunctionSchema
from pipecat.services.llm_service import FunctionCallParams

from config.agent import Limits
from config.tools import ToolRules
from pipelines.confirmation import WORDS_WITHIN_SECS
from pipelines.scribe import ToolFiller
from pipelines.tool_failures import FailureKind, RefusalKind, ToolFailed, ToolRefused
from pipelines.tool_schemas import for_model
from pipelines.tools import CallResources, Tool, resources

TOOL_GRACE_SECS = 2.0
"""A tool is stopped here, and apologised for; only one that cannot be stopped is left to Pipecat, this much later."""

_HIDDEN = "[secret]"
NO_RULES = ToolRules()


def watch(tool: Tool, rules: ToolRules, limits: Limits) -> Tool:
    """Return a bot's or a built-in tool as a call has it: the same to the model, watched, and under `rules`."""
    name = tool.__name__
    if not inspect.iscoroutinefunction(tool):
        raise TypeError(f"tool {name} must be an async function")
    # Pipecat's `@tool_options(timeout_secs=...)`.
    own_secs: float | None = getattr(tool, "_pipecat_timeout_secs", None)
    limit_secs = rules.timeout_secs or own_secs or limits.tool_timeout_secs

    signature = inspect.signature(tool)

    @functools.wraps(tool)
    async def watched(params: FunctionCallParams, **arguments: Any) -> None:
        async def work() -> None:
            _check_names(signature, params, arguments)
            await tool(params, **arguments)

        await attend(params, name, arguments, rules, limit_secs, work)

    _leave_to_pipecat(watched, limit_secs, rules)
    return watched


def watch_made(
    name: str,
    description: str,
    parameters: Mapping[str, Any],
    rules: ToolRules,
    limits: Limits,
    work: Callable[[FunctionCallParams, Mapping[str, Any]], Awaitable[None]],
) -> FunctionSchema:
    """Return a tool that is no Python function, watched; `parameters` is its JSON schema, `work` is given arguments."""
    limit_secs = rules.timeout_secs or limits.tool_timeout_secs

    async def run(params: FunctionCallParams) -> None:
        arguments = dict(params.arguments)
        await attend(params, name, arguments, rules, limit_secs, lambda: work(params, arguments))

    _leave_to_pipecat(run, limit_secs, rules)
    shown = for_model(parameters)
    return FunctionSchema(name, description, shown["properties"], shown.get("required", []), handler=run)


class _Unforeseen(Exception):
    """What a tool raised without meaning to, by the name of its kind."""


def _check_names(signature: inspect.Signature, params: FunctionCallParams, arguments: Mapping[str, Any]) -> None:
    """Raise ToolRefused when the model left out an argument, or made one up: it may do better."""
    try:
        signature.bind(params, **arguments)
    except TypeError as error:
        raise ToolRefused(RefusalKind.BAD_ARGUMENTS, str(error)) from error


def _leave_to_pipecat(watched: Callable[..., Any], limit_secs: float, rules: ToolRules) -> None:
    """Pipecat only stops a tool, without an answer; it is left to what we cannot stop."""
    asking_secs = WORDS_WITHIN_SECS if rules.confirm else 0.0
    setattr(watched, "_pipecat_timeout_secs", limit_secs + asking_secs + TOOL_GRACE_SECS)  # noqa: B010


async def attend(
    params: FunctionCallParams,
    name: str,
    arguments: Mapping[str, Any],
    rules: ToolRules,
    limit_secs: float,
    work: Callable[[], Awaitable[None]],
) -> None:
    """Do `work`, which answers through `params.result_callback`, for at most `limit_secs`; never raises its errors."""
    desk = resources(params)
    started_ms = desk.scribe.now_ms
    desk.scribe.tool_started(ToolFiller(rules.filler, rules.filler_after_secs))
    desk.scribe.event("tool.called", name=name, arguments=hide(arguments, rules.secret))
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
        variables = {**desk.agent.variables, **desk.call.variables}
        if not rules.only.holds(desk.call.direction.value, variables):
            raise ToolRefused(RefusalKind.NOT_FOR_THIS_CALL, f"The tool {name} is not there in this call.")
        if rules.confirm:
            await desk.confirmations.require(name, arguments, rules.confirm, variables, desk.scribe)
        await _run_in_time(work(), limit_secs)
        if not answers:
            raise RuntimeError("it returned without calling params.result_callback")
    except asyncio.CancelledError:
        desk.scribe.event("tool.cancelled", name=name)
        raise
    except ToolRefused as refusal:
        desk.scribe.event("tool.refused", name=name, why=refusal.kind.value, reason=refusal.reason)
        desk.scribe.await_words()
        told = {"refused": refusal.kind.value, "reason": refusal.reason}
        await answer(told | ({"say": refusal.say} if refusal.say else {}))
    except Exception as error:
        # The model must get an answer whatever happens, or a BLOCKING call leaves the caller in silence.
        failure = _failure_of(error, name, is_told=not desk.scribe.discretion.hides_tools)
        desk.scribe.agent.note_error(f"{name}: {failure}")
        desk.scribe.event("tool.failed", name=name, error=failure)
        if not answers:
            desk.scribe.await_words()
            await answer(_told(error, name, desk))
    finally:
        desk.scribe.tool_ended()


async def refuse_unknown(params: FunctionCallParams) -> None:
    """Answer a model that calls what it was not offered in this call."""
    desk, name = resources(params), params.function_name
    reason = f"There is no tool {name} in this call."
    desk.scribe.event("tool.refused", name=name, why=RefusalKind.NOT_FOR_THIS_CALL.value, reason=reason)
    desk.scribe.await_words()
    await params.result_callback({"refused": RefusalKind.NOT_FOR_THIS_CALL.value, "reason": reason})


def hide(arguments: Mapping[str, Any], secret: tuple[str, ...]) -> dict[str, Any]:
    """Return the arguments as they may be written down."""
    return {name: _HIDDEN if name in secret else value for name, value in arguments.items()}


def _failure_of(error: Exception, name: str, *, is_told: bool) -> str:
    """What is written down of a failure. What a tool did not foresee is logged with its place.

    `is_told`: its words may be stored; they may be the caller's.
    """
    if not is_told:
        logger.bind(tool=name, problem=type(error).__name__).error("a tool failed, of whose call nothing is kept")
        return type(error).__name__
    if isinstance(error, ToolFailed):
        logger.bind(tool=name, kind=error.kind.value).warning("a tool failed")
        return f"{error.kind}: {error.reason}"
    # What an exception says may hold the caller's words, and a log never does; where it came from holds none.
    nameless = _Unforeseen(type(error).__name__).with_traceback(error.__traceback__)
    logger.opt(exception=nameless).error("tool {} failed", name)
    return f"{type(error).__name__}: {error}"


def _told(error: Exception, name: str, desk: CallResources) -> dict[str, Any]:
    """What the model is told of a failure."""
    sorry = desk.agent.render(desk.agent.phrases.tool_failed, desk.call.variables)
    told = {"error": f"The tool {name} failed.", "say": f'Apologise, in these words: "{sorry}"'}
    if isinstance(error, ToolFailed):
        told |= {"error": f"The tool {name} failed: {error.reason}", "kind": error.kind.value}
    elif isinstance(error, TimeoutError):
        told["kind"] = FailureKind.TIMEOUT.value
    return told


async def _run_in_time(work: Awaitable[None], limit_secs: float) -> None:
    limit = asyncio.timeout(limit_secs)
    try:
        async with limit:
            await work
    except TimeoutError as error:
        if not limit.expired():  # the tool's own, which says more
            raise
        raise TimeoutError(f"no result within {limit_secs:g} s") from error
