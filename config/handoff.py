"""To whom an agent may hand a call over: `handoff:`."""

from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from config.phrases import Sentence
from config.wording import problem, shown

_MOST = 12


def _few(to: dict[str, str]) -> dict[str, str]:
    if len(to) > _MOST:
        raise problem(f"names {len(to)} agents, and a model chooses well among {_MOST} at most", "remove some")
    for name in to:
        if not name.strip():
            raise problem(f"{shown(name)} is no agent's name", "write the name of an agent's file without .yaml")
    return to


class Handoff(BaseModel):
    """The other agents, and how often a call may go to and fro."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    to: Annotated[dict[str, Sentence], AfterValidator(_few)] = Field(
        default={}, description="Agents that may take over, each with what it is for: the model reads it."
    )
    greeting: str = Field(
        default="", description="What this agent says first when it takes over; empty: its model finds the words."
    )
    most_visits: int = Field(
        default=2, ge=1, le=10, description="How often this agent may have one and the same call, first time included."
    )
