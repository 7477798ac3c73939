"""The tool `transfer_call`: the model puts the caller through to one of the agent's destinations."""

from pipecat.services.llm_service import FunctionCallParams

from config.agent import AgentConfig
from pipelines.tools import Tool, resources

_WHAT = """Put the caller through to a person, when he asks for one or when you cannot help him.

    Call it once, then say one sentence that announces it; he is put through when you have said it. The result tells
    whether there is such a destination. When nobody answers you are told so, with the caller on the line.

    Args:
        params: Given by the pipeline.
        destination: One of these names, needed when there is more than one: {names}.
"""


def transfer_call_for(agent: AgentConfig) -> Tool:
    """Return the tool as this agent's model sees it, with the names and descriptions of its destinations."""

    async def transfer_call(params: FunctionCallParams, destination: str = "") -> None:
        transfers = resources(params).transfers
        if transfers is None:
            await params.result_callback({"error": "Nobody can be put through on this line. Say so, and go on."})
        else:
            await params.result_callback(await transfers.begin(destination))

    described = (
        f"{name} ({' '.join(agent.render(transfer.describe).split())})" for name, transfer in agent.transfers.items()
    )
    transfer_call.__doc__ = _WHAT.format(names="; ".join(described))
    return transfer_call
