"""The tool `hand_over_to`: the model gives the call to another agent of the same server."""

from pipecat.services.llm_service import FunctionCallParams

from config.agent import AgentConfig
from pipelines.tools import Tool, resources

_SECS = 40.0
"""The last words of agent and caller are heard out meanwhile, and a model is connected."""

_WHAT = """Hand the caller over to a colleague who takes this call from you, when the matter is that colleague's.

    Say first, in one short sentence, with whom you connect the caller; then use this, and say nothing more. The
    colleague knows all that was said. When it is refused, the caller is still with you: help him yourself.

    Args:
        params: Given by the pipeline.
        agent: One of these names. {names}
        summary: What the colleague should know: who calls, what he wants, what was done. Two or three sentences.
"""


def hand_over_to_for(agent: AgentConfig) -> Tool:
    """Return the tool as this agent's model sees it, with the agents of its `handoff.to`."""

    async def hand_over_to(params: FunctionCallParams, agent: str, summary: str) -> None:
        handing_over = resources(params).handing_over
        if handing_over is None:
            await params.result_callback({"error": "This call cannot be handed over. Help the caller yourself."})
            return
        is_told = await handing_over.hand_over(agent, summary)
        await params.result_callback({"handed_over_to": agent})
        is_told()

    described = (f"{name}: {' '.join(agent.render(what).split())}" for name, what in agent.handoff.to.items())
    setattr(hand_over_to, "_pipecat_timeout_secs", _SECS)  # noqa: B010 - what `@tool_options` does, typed
    hand_over_to.__doc__ = _WHAT.format(names=" ".join(described))
    return hand_over_to
