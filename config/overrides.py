"""What one placed call changes of its agent."""

from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from config.agent import AgentConfig
from config.language_code import LanguageCode
from config.phrases import Phrases, Sentence, default_announcement, default_disclosure, default_phrases
from config.pipeline import PipelineDefinition


class Overrides(BaseModel):
    """Fields of the agent that are others for one call; what is left out is the agent's own."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)

    greeting: str | None = Field(default=None, description="Its first words.")
    instructions: str | None = Field(default=None, description="What the model is told.")
    language: LanguageCode | None = Field(default=None, description="What it speaks: a BCP 47 code.")
    voice: Sentence | None = Field(default=None, description="The model's voice.")
    max_call_secs: float | None = Field(default=None, ge=10, le=14_400, description="The longest call, in seconds.")
    disclosure: Sentence | None = Field(default=None, description="What is said first of all.")

    def as_json(self) -> dict[str, Any]:
        """Return what is overridden, as the call's row keeps it."""
        return self.model_dump(exclude_none=True)


def with_overrides(agent: AgentConfig, overrides: Mapping[str, Any]) -> AgentConfig:
    """Return the agent as it is for a call that brings these overrides; the agent itself when there are none.

    An agent in another language says the phrases of that language, but for those that its file words itself.
    """
    if not overrides:
        return agent
    given = Overrides.model_validate(dict(overrides))
    changes: dict[str, Any] = {}
    if given.language is not None:
        changes |= _spoken_in(agent, given.language)
    changes |= {name: getattr(given, name) for name in ("greeting", "instructions", "disclosure") if name in overrides}
    if given.voice is not None:
        changes["pipeline"] = _with_voice(agent.pipeline, given.voice)
    if given.max_call_secs is not None:
        changes["limits"] = agent.limits.model_copy(update={"max_call_secs": given.max_call_secs})
    return agent.model_copy(update=changes)


def _spoken_in(agent: AgentConfig, language: str) -> dict[str, Any]:
    before, after = default_phrases(agent.language), default_phrases(language)
    phrases = {
        name: getattr(after, name)
        for name in Phrases.model_fields
        if getattr(agent.phrases, name) == getattr(before, name)
    }
    changes: dict[str, Any] = {"language": language, "phrases": agent.phrases.model_copy(update=phrases)}
    if agent.recording.announcement == default_announcement(agent.language):
        announcement = {"announcement": default_announcement(language)}
        changes["recording"] = agent.recording.model_copy(update=announcement)
    if agent.disclosure == default_disclosure(agent.language):
        changes["disclosure"] = default_disclosure(language)
    return changes


def _with_voice(pipeline: PipelineDefinition, voice: str) -> PipelineDefinition:
    stages = [
        stage.model_copy(update={"settings": {**stage.settings, "voice": voice}})
        if stage.name == "gemini_live"
        else stage
        for stage in pipeline.stages
    ]
    return PipelineDefinition.model_construct(root=tuple(stages))
