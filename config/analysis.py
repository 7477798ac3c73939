"""The `analysis:` section of an agent: what is worked out from the transcript once a call is over."""

from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, model_validator

from config.identifier import Identifier
from config.language_code import LanguageCode
from config.phrases import Sentence
from config.wording import problem

TEXT_MODEL = "gemini-2.5-flash"
_MOST_FIELDS = 40
_MOST_VALUES = 50

FieldType = Literal["string", "integer", "number", "boolean", "enum", "date", "list"]


class _Section(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class AnalysisField(_Section):
    """One fact to find in the transcript."""

    type: FieldType = Field(description="What kind of value it is; `list`: texts, `date`: as 2026-03-01.")
    description: Sentence = Field(description="What is asked, as one would ask a person who had listened.")
    values: tuple[Sentence, ...] = Field(default=(), max_length=_MOST_VALUES, description="The values of an `enum`.")
    required: bool = Field(default=False, description="Whether there is always a value; else it may be null.")

    @model_validator(mode="after")
    def _in_step(self) -> Self:
        if self.type == "enum" and not self.values:
            raise problem("is an enum without values", "write values: [one, another]")
        if self.type != "enum" and self.values:
            raise problem(f"has values, and is of type {self.type}", "write type: enum, or remove values")
        if len(set(self.values)) != len(self.values):
            raise problem("has a value twice", "keep one of them")
        return self


class Analysis(_Section):
    """What is worked out by a text model; nothing, unless one of the first four is there."""

    summary: bool = Field(default=False, description="Write a short summary.")
    fields: Annotated[dict[Identifier, AnalysisField], Field(max_length=_MOST_FIELDS)] = Field(
        default={}, description="Facts to find, by name."
    )
    goal: Annotated[str, StringConstraints(max_length=2000)] = Field(
        default="", description="What a call is to achieve; the call is judged by it. Empty: it is not judged."
    )
    sentiment: bool = Field(default=False, description="Say how the caller felt in the end.")
    model: Sentence = Field(default=TEXT_MODEL, description="The text model that reads the transcript.")
    language: LanguageCode | None = Field(
        default=None, description="The language of what is written; the agent's own when left out."
    )

    @property
    def is_on(self) -> bool:
        """Whether there is anything to work out."""
        return self.summary or bool(self.fields) or bool(self.goal.strip()) or self.sentiment
