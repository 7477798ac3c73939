"""The tool `transfer_call`: the model puts the caller through to one of the agent's destinations."""

from pipecat.services.llm_service import FunctionCallParams

from config.agent import AgentConfig
from pipelines.tools import Tool, resources
from pipelines.warm_transfer import longest_secs

_WHAT = """Put the caller through to a person, when he asks for one or when you cannot help him.

    Call it once, then say one sentence that announces it; he is put through when you have said it. The result tells
    whether there is such a destination. When nobody answers you are told so, with the caller on the line.

    Args:
        params: Given by the pipeline.
        destination: One of these names, needed when there is more than one: {names}.
"""
_WARM = """Put the caller through to a person, when he asks for one or when you cannot help him.

    Say that you are going to try it before you call this. The person is rung and hears your summary, while the caller
    waits; if the person takes the call, your part is over. Else the result tells why not, and the caller is back with
    you: tell him, and go on.

    Args:
        params: Given by the pipeline.
        destination: One of these names, needed when there is more than one: {names}.
        summary: One or two sentences for the person: who calls, what about, what was settled so far.
"""


def transfer_call_for(agent: AgentConfig) -> Tool:
    """Return the tool as this agent's model sees it, with the names and descriptions of its destinations."""

    async def transfer_call(params: FunctionCallParams, destination: str = "", summary: str = "") -> None:
        transfers = resources(params).transfers
        if transfers is None:
            await params.result_callback({"error": "Nobody can be put through on this line. Say so, and go on."})
        else:
            await params.result_callback(await transfers.begin(destination, summary))

    async def transfer_call_cold(params: FunctionCallParams, destination: str = "") -> None:
        await transfer_call(params, destination)

    described = (
        f"{name} ({' '.join(agent.render(transfer.describe).split())})" for name, transfer in agent.transfers.items()
    )
    is_warm = any(transfer.mode == "warm" for transfer in agent.transfers.values())
    tool: Tool = transfer_call if is_warm else transfer_call_cold
    tool.__name__ = "transfer_call"
    tool.__doc__ = (_WARM if is_warm else _WHAT).format(names="; ".join(described))
    if is_warm:
        longest = max(map(longest_secs, agent.transfers.values()))
        setattr(tool, "_pipecat_timeout_secs", longest)  # noqa: B010
    return tool
