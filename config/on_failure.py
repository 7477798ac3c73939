"""What happens when the model fails for good in mid-call: the agent's ladder, rung by rung, in `on_failure:`."""

from collections.abc import Mapping
from typing import Annotated, Any, Literal, cast

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field

from config.pipeline import PipelineDefinition
from config.telephone_number import PhoneNumber
from config.wording import problem, shown, suggest


class _Rung(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class ModelRung(_Rung):
    """Go on with another Gemini Live model, which is told what was said so far."""

    model: str = Field(min_length=1, description="Another Gemini Live model; the conversation goes on with it.")


class PipelineRung(_Rung):
    """Go on with other stages, for example recognizer, text model and synthesizer in a row."""

    pipeline: PipelineDefinition = Field(description="Other stages; the conversation goes on through them.")


class SayRung(_Rung):
    """Say something that needs no model."""

    say: Annotated[str, Field(min_length=1)] | None = Field(
        description="A sentence that needs no model; null: the one of `phrases` that fits what comes next."
    )


class TransferRung(_Rung):
    """Hand the caller to a person. Ends the ladder."""

    transfer: PhoneNumber = Field(description="Connect the caller with this number, E.164, quoted. Ends the ladder.")


class MessageLimits(_Rung):
    """How long a message may be."""

    max_secs: float = Field(default=90, ge=5, le=600, description="The longest message, in seconds.")
    silence_secs: float = Field(default=4, ge=1, le=30, description="Quiet after which the message is over.")


class TakeMessageRung(_Rung):
    """Ask for a message, as a voicemail does, keep it in the call's recording, and hang up. Ends the ladder."""

    take_message: MessageLimits = Field(description="Record a message after a tone, then hang up. Ends the ladder.")


class HangUpRung(_Rung):
    """Hang up. Ends the ladder."""

    hang_up: Literal[True] = Field(description="Hang up. Ends the ladder.")


Rung = ModelRung | PipelineRung | SayRung | TransferRung | TakeMessageRung | HangUpRung
"""One step of the ladder. In YAML `- name: value`; `- say`, `- take_message` and `- hang_up` may stand alone."""

RUNGS: dict[str, type[BaseModel]] = {
    "model": ModelRung,
    "pipeline": PipelineRung,
    "say": SayRung,
    "transfer": TransferRung,
    "take_message": TakeMessageRung,
    "hang_up": HangUpRung,
}
"""Every step by its name."""
_ALONE: dict[str, Any] = {"say": None, "take_message": {}, "hang_up": True}
"""Rungs that may stand without a value, and the value they then have."""

_LAST = (TransferRung, TakeMessageRung, HangUpRung)


def _from_yaml(value: object) -> object:
    if isinstance(value, _Rung):
        return value
    if isinstance(value, str):
        value = {value: None}
    if not isinstance(value, Mapping) or len(cast(Mapping[str, Any], value)) != 1:
        raise problem("must be one step", "write '- say' or '- transfer: \"+15551230199\"', one step per dash")
    [(kind, given)] = cast(Mapping[str, Any], value).items()
    if kind not in RUNGS:
        raise problem(f"there is no step {shown(kind)}", suggest(str(kind), RUNGS, "steps are"))
    if given is None and kind in _ALONE:
        given = _ALONE[kind]
    elif given is None:
        raise problem(f"{kind} needs a value", f"write '- {kind}: ...'")
    return RUNGS[kind].model_validate({kind: given})


def _ends_once(rungs: tuple[Rung, ...]) -> tuple[Rung, ...]:
    for position, rung in enumerate(rungs[:-1]):
        if isinstance(rung, _LAST):
            raise problem(
                f"step {position + 2} is never reached: the one before it ends the call", "move it up or remove it"
            )
    return rungs


Ladder = Annotated[
    tuple[Annotated[Rung, BeforeValidator(_from_yaml, json_schema_input_type=Rung | str)], ...],
    AfterValidator(_ends_once),
    Field(min_length=1),
]
"""Steps, first to last; after the last one the call is over in any case."""

DEFAULT_LADDER: tuple[Rung, ...] = (SayRung(say=None), HangUpRung(hang_up=True))
"""Apologise, then hang up."""
