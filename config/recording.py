"""The `recording:` section of an agent: what is kept of a call, and how the other side is asked."""

from collections.abc import Iterator
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator
from pydantic_core import InitErrorDetails

from config.phrases import ANNOUNCEMENT, QUESTION, Sentence, is_default_question
from config.pipeline import STAGES, PipelineDefinition
from config.wording import problem, shown

_KEYS = "0123456789*#"
_ASKING = ("silero_vad", "user_turns", "recorder")
"""Stages without which `consent: ask` is in vain: nobody could tell that there was an answer, hear it, or act on it."""


def _key(text: str) -> str:
    if len(text) == 1 and text in _KEYS:
        return text
    raise problem(f"must be one key of a telephone (got {shown(text)})", f'write one of {_KEYS} in quotes, as "1"')


Key = Annotated[str, AfterValidator(_key), Field(json_schema_extra={"pattern": "^[0-9*#]$"})]


class _Section(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class WithoutConsent(_Section):
    """What is kept of a call whose caller did not agree to its recording."""

    transcript: Literal["keep", "drop"] = Field(
        default="drop",
        description="`drop`: no word that was said is stored; `keep`: turns are, from the end of the question on.",
    )


class Recording(_Section):
    """Whether the call is kept as stereo audio, caller left, agent right."""

    enabled: bool = Field(default=True, description="Keep the audio of the call.")
    consent: Literal["off", "announce", "ask"] = Field(
        default="off", description="`announce`: tell the caller first; `ask`: store nothing before he has said yes."
    )
    announcement: Sentence = Field(default=ANNOUNCEMENT, description="What `announce` says.")
    question: Sentence = Field(default=QUESTION, description="What `ask` asks.")
    yes_key: Key = Field(default="1", description="The key that says yes.")
    no_key: Key = Field(default="2", description="The key that says no.")
    yes_words: tuple[Sentence, ...] = Field(default=(), description="Words that say yes, beside the known ones.")
    no_words: tuple[Sentence, ...] = Field(default=(), description="Words that say no, beside the known ones.")
    answer_secs: float = Field(
        default=6, ge=1, le=30, description="Silence after the question that counts as no answer, in seconds."
    )
    without_consent: WithoutConsent = Field(
        default_factory=WithoutConsent, description="What is kept when the answer was no, or none."
    )
    on_withdrawal: Literal["keep", "delete"] = Field(
        default="keep", description="What becomes of the recording so far when the caller wants it stopped."
    )
    longest_pause_secs: float = Field(
        default=180, ge=5, le=1800, description="A pause of the recording ends by itself after this, in seconds."
    )

    @property
    def asks(self) -> bool:
        """Whether the caller is asked, and nothing is stored before he agrees."""
        return self.enabled and self.consent == "ask"

    @property
    def announces(self) -> bool:
        """Whether the caller is told."""
        return self.enabled and self.consent == "announce"

    @property
    def keeps_words_unrecorded(self) -> bool:
        """Whether turns are stored of a caller who did not agree to the recording."""
        return self.without_consent.transcript == "keep"

    @model_validator(mode="after")
    def _in_step(self) -> Self:
        if self.yes_key == self.no_key:
            raise problem(f"yes_key and no_key are both {shown(self.yes_key)}", "give them two different keys")
        has_other_keys = (self.yes_key, self.no_key) != ("1", "2")
        if self.consent == "ask" and has_other_keys and is_default_question(self.question):
            raise problem(
                f"question names the keys 1 and 2; yes_key is {shown(self.yes_key)}, no_key {shown(self.no_key)}",
                "write a question of your own that names your keys",
            )
        return self


def consent_faults(recording: Recording, pipeline: PipelineDefinition) -> Iterator[InitErrorDetails]:
    """Yield what is wrong with a pipeline that cannot ask, for an agent that is to."""
    if not recording.asks:
        return
    named = {stage.name for stage in pipeline.stages}
    if named <= STAGES.keys() and "gemini_live" not in named:
        lacks, cure = "no stage that could ask", "add '- gemini_live', or set consent to announce"
    elif missing := next((name for name in _ASKING if name not in named), None):
        lacks, cure = f"no {missing}", f"add '- {missing}', or set consent to announce"
    else:
        return
    error = problem(f"is ask, and the pipeline has {lacks}", cure)
    yield InitErrorDetails(type=error, loc=("recording", "consent"), input=recording.consent)
