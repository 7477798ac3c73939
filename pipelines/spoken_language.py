"""An agent as it speaks another of its languages."""

from collections.abc import Iterator

from config.agent import AgentConfig
from config.listening import phrases_in


def in_language(agent: AgentConfig, code: str) -> AgentConfig:
    """Return the agent as it is when it speaks that one of its languages; its own: as its file has it."""
    if code == agent.language:
        return agent
    return agent.model_copy(update={"language": code, "phrases": phrases_in(code, agent.listening)})


def in_all_languages(agent: AgentConfig) -> Iterator[AgentConfig]:
    """Yield the agent, then as it is in each other language that it may switch to."""
    yield agent
    for code in agent.listening.languages:
        if code != agent.language:
            yield in_language(agent, code)
