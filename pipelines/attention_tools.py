"""The tools `wait_longer` and `speak_language`: more time for the caller, another language for the agent."""

from pipecat.services.llm_service import FunctionCallParams

from config.agent import AgentConfig
from pipelines.tools import Tool, resources

_LONGEST_SECS = 180.0

_LANGUAGES = """Go on in another language, when the caller speaks it or asks for it. Use it before you answer.

    Args:
        params: Given by the pipeline.
        code: One of these languages: {codes}.
"""


async def wait_longer(params: FunctionCallParams, secs: float) -> None:
    """Give the caller time: when he looks for something, or is about to spell or dictate something with pauses.

    For that long nobody asks whether he is still there, and short pauses do not end what he says.

    Args:
        params: Given by the pipeline.
        secs: How many seconds he needs, up to 180.
    """
    attending = resources(params).attending
    given = min(max(float(secs), 1.0), _LONGEST_SECS)
    if attending is not None:
        attending.wait_longer(given)
    await params.result_callback({"waiting_secs": given, "now": "Tell him briefly to take his time, then listen."})


def speak_language_for(agent: AgentConfig) -> Tool:
    """Return the tool as this agent's model sees it, with the languages there are."""

    async def speak_language(params: FunctionCallParams, code: str) -> None:
        attending = resources(params).attending
        wrong = "there is no other language here" if attending is None else await attending.speak_language(code)
        if wrong is not None:
            await params.result_callback({"error": f"You cannot switch to {code}: {wrong}."})
        else:
            await params.result_callback({"speaking": code, "now": "Answer the caller in that language."})

    codes = dict.fromkeys((agent.language, *agent.listening.languages))
    speak_language.__doc__ = _LANGUAGES.format(codes=", ".join(codes))
    return speak_language
