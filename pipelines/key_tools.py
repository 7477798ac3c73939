"""The tools `press_digits` and `collect_digits`."""

from pipecat.services.llm_service import FunctionCallParams

from config.agent import AgentConfig
from pipelines.tools import Tool, resources

_LIMIT_SECS = 300.0
"""Both end by their own times; this is for what nobody thought of."""

_COLLECT = """Have the caller enter digits with the keys of the telephone, and wait for them.

    Ask for them in the same breath: keys count from now on, while you still speak. A secret field is never told to you;
    you get a placeholder for it that other tools understand.

    Args:
        params: Given by the pipeline.
        field: {fields}What it is for, in one word.
        count: How many keys; 0: until the caller presses #.
        timeout_secs: How long the first key is waited for, in seconds; 0: as usual.
"""


async def press_digits(params: FunctionCallParams, digits: str) -> None:
    """Press keys of the telephone, for example to choose from a phone menu or to dial an extension.

    Nothing can be heard while they are pressed. Wait until the menu has said which key it wants.

    Args:
        params: Given by the pipeline.
        digits: The keys, for example "1" or "4711#": 0-9, *, #; w waits half a second, W one second.
    """
    desk = resources(params)
    told = {"error": "This line has no keys."} if desk.keys is None else await desk.keys.press(digits)
    await params.result_callback(told)
    if "error" not in told:
        desk.scribe.await_nothing()  # the far end speaks next


# What Pipecat's `@tool_options(timeout_secs=...)` writes down.
setattr(press_digits, "_pipecat_timeout_secs", _LIMIT_SECS)  # noqa: B010


def collect_digits_for(agent: AgentConfig) -> Tool:
    """Return the tool as this agent's model sees it, with the names of the agent's fields."""

    async def collect_digits(params: FunctionCallParams, field: str, count: int = 0, timeout_secs: float = 0) -> None:
        keys = resources(params).keys
        if keys is None:
            await params.result_callback({"error": "This line has no keys."})
        else:
            await params.result_callback(await keys.collect(field, count, timeout_secs))

    described = [
        f"{name} ({' '.join(agent.render(entered.describe).split())})" if entered.describe else name
        for name, entered in agent.digits.fields.items()
    ]
    fields = f"One of these names, which know their length: {'; '.join(described)}. Or else: " if described else ""
    collect_digits.__doc__ = _COLLECT.format(fields=fields)
    setattr(collect_digits, "_pipecat_timeout_secs", _LIMIT_SECS)  # noqa: B010
    return collect_digits
