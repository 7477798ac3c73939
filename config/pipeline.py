"""PipelineDefinition: the list of stages that one call runs through, and the settings of every named stage."""

import re
from collections.abc import Mapping
from typing import Any, Literal, Self, cast

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    GetJsonSchemaHandler,
    RootModel,
    ValidationError,
    field_validator,
    model_validator,
)
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema, InitErrorDetails, PydanticCustomError

from config.wording import describe, problem, suggest

_DOTTED = re.compile(r"[A-Za-z_][A-Za-z0-9_]*(\.[A-Za-z_][A-Za-z0-9_]*)+")


class StageSettings(BaseModel):
    """Base of every named stage's settings: frozen, and no name is taken that the stage does not know."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class TransportInput(StageSettings):
    """The caller's audio comes in here."""

    piece_ms: int = Field(
        default=40,
        ge=20,
        le=200,
        description="A telephone's audio is taken in pieces of this, in ms: longer ones cost less, and delay replies.",
    )
    quiet_piece_ms: int = Field(
        default=100,
        ge=20,
        le=200,
        description="The same while the caller has been silent for 1.5 s; any sound ends such a piece at once.",
    )


class SileroVad(StageSettings):
    """Says when the caller begins and stops to speak. Gemini has its own ears; this one drives silence and latency."""

    stop_secs: float = Field(default=0.3, ge=0.05, le=5, description="Quiet that ends the caller's speech, in seconds.")
    start_secs: float = Field(default=0.2, ge=0, le=5, description="Voice that begins speech, in seconds.")
    confidence: float = Field(default=0.7, ge=0, le=1, description="How sure the model must be that it is a voice.")
    min_volume: float = Field(default=0.6, ge=0, le=1, description="Quieter sound is never speech; 0 to 1.")


class UserTurns(StageSettings):
    """Gathers what the caller said into turns of the conversation."""


class GeminiVad(StageSettings):
    """Gemini's own detection of speech; what is left out is Google's default."""

    start_sensitivity: Literal["low", "high"] | None = Field(default=None, description="How readily speech begins.")
    end_sensitivity: Literal["low", "high"] | None = Field(default=None, description="How readily speech ends.")
    prefix_padding_ms: int | None = Field(
        default=None, ge=0, le=10_000, description="Voice before speech counts, in ms."
    )
    silence_duration_ms: int | None = Field(default=None, ge=0, le=10_000, description="Quiet that ends speech, in ms.")


class GeminiCompression(StageSettings):
    """Sliding-window compression; without it an audio conversation ends after 15 minutes
    (https://ai.google.dev/gemini-api/docs/live-session)."""

    enabled: bool = Field(default=True, description="Keep the conversation within the model's window.")
    trigger_tokens: int | None = Field(
        default=None, ge=1, description="Tokens that start it; null: 80 % of the window."
    )


class GeminiConnection(StageSettings):
    """How long the model is waited for. All of it is counted in seconds."""

    ready_secs: float = Field(default=3, gt=0, le=10, description="Connecting and becoming ready may take this long.")
    stall_secs: float = Field(
        default=3, ge=0.5, le=5, description="Silence after the caller's last word that makes the agent say its filler."
    )
    give_up_secs: float = Field(
        default=6, ge=1, le=30, description="Silence of the model, filler or not, after which `on_failure` begins."
    )
    renew_after_secs: float = Field(
        default=540,
        ge=5,
        description="A connection this old is renewed at a quiet moment; Google ends it at 10 minutes.",
    )

    @model_validator(mode="after")
    def _in_step(self) -> Self:
        if self.give_up_secs <= self.stall_secs:
            raise problem(
                f"give_up_secs ({self.give_up_secs:g}) must be longer than stall_secs ({self.stall_secs:g})",
                "the filler comes first, and the model gets a chance to answer under it",
            )
        return self


class GeminiLive(StageSettings):
    """The model that hears and speaks."""

    model: str = Field(default="gemini-3.8-live", min_length=1, description="Gemini Live model.")
    voice: str = Field(default="Aoede", min_length=1, description="One of Gemini's prebuilt voices.")
    temperature: float | None = Field(default=None, ge=0, le=2, description="0 to 2; null: the model's default.")
    vad: GeminiVad = Field(default_factory=GeminiVad, description="Gemini's own detection of speech.")
    compression: GeminiCompression = Field(default_factory=GeminiCompression, description="For calls over 15 minutes.")
    connection: GeminiConnection = Field(
        default_factory=GeminiConnection, description="How long the model is waited for."
    )


class TransportOutput(StageSettings):
    """The agent's audio leaves here."""

    lead_ms: int = Field(
        default=200,
        ge=40,
        le=2000,
        description="So far ahead of its playing audio is sent to a telephone, in ms; an interruption takes it back.",
    )


class Recorder(StageSettings):
    """Keeps what was really sent and heard; `recording.enabled` switches it."""


class Transcript(StageSettings):
    """Writes each turn as it ends."""


STAGES: dict[str, type[BaseModel]] = {
    "transport.input": TransportInput,
    "silero_vad": SileroVad,
    "user_turns": UserTurns,
    "gemini_live": GeminiLive,
    "transport.output": TransportOutput,
    "recorder": Recorder,
    "transcript": Transcript,
}
"""Every named stage and the model that checks its settings."""

_AFTER_OUTPUT = ("recorder", "transcript")
_BEFORE_OUTPUT = ("silero_vad", "user_turns", "gemini_live")


class Stage(BaseModel):
    """One stage: a name from STAGES, or the dotted class name of a Pipecat FrameProcessor.

    In YAML `- name` or `- name: {settings}`. `settings` of a named stage are complete (defaults filled in); those of a
    dotted class are its constructor's keyword arguments, as written.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    settings: dict[str, Any] = {}

    @property
    def is_named(self) -> bool:
        """True for a name from STAGES, False for a dotted class name."""
        return self.name in STAGES

    def typed_settings(self) -> BaseModel:
        """Return the settings as the model of STAGES. Raises KeyError for a dotted class, which has none."""
        return STAGES[self.name].model_validate(self.settings)

    @model_validator(mode="before")
    @classmethod
    def _from_yaml(cls, value: object) -> object:
        if isinstance(value, str):
            value = {value: None}
        if isinstance(value, Stage) or not isinstance(value, Mapping):
            return value
        form = cast(Mapping[str, Any], value)
        if set(form) in ({"name"}, {"name", "settings"}):
            name, settings = form["name"], form.get("settings")
        elif len(form) == 1:
            [(name, settings)] = form.items()
        else:
            raise problem("must be one stage", "write '- name' or '- name: {setting: value}', one stage per dash")
        return {"name": name, "settings": _checked_settings(name, settings)}

    @classmethod
    def __get_pydantic_json_schema__(cls, core_schema: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        named = {name: handler(model.__pydantic_core_schema__) for name, model in STAGES.items()}
        pattern = f"^{_DOTTED.pattern}$"
        forms: list[JsonSchemaValue] = [{"enum": list(STAGES)}, {"type": "string", "pattern": pattern}]
        # A setting's mapping may be left empty, as in `- silero_vad:`.
        forms += [_one_key(name, {"anyOf": [schema, {"type": "null"}]}) for name, schema in named.items()]
        dotted = {"type": "object", "patternProperties": {pattern: {"type": ["object", "null"]}}, "maxProperties": 1}
        dotted |= {"additionalProperties": False, "not": {"anyOf": [{"required": [name]} for name in STAGES]}}
        return {"anyOf": [*forms, dotted], "description": "A stage's name, or {name: settings}."}


def _one_key(name: str, schema: JsonSchemaValue) -> JsonSchemaValue:
    return {"type": "object", "properties": {name: schema}, "required": [name], "additionalProperties": False}


def _checked_settings(name: object, settings: object) -> dict[str, Any]:
    """Return the stage's settings, complete. Raises with the stage's name in the path of every error."""
    if not isinstance(name, str):
        raise problem("a stage's name must be text", suggest("", STAGES, "stages are"))
    settings = {} if settings is None else settings
    if name in STAGES:
        try:
            return STAGES[name].model_validate(settings).model_dump()
        except ValidationError as error:
            raise _below(name, error) from error
    if not _DOTTED.fullmatch(name):
        cure = f"{suggest(name, STAGES, 'stages are')} Any other Pipecat service goes by its module.Class name"
        raise problem(f"there is no stage {name!r}", cure)
    if not isinstance(settings, Mapping):
        raise problem(f"settings of {name} must be a mapping", "write '- module.Class: {argument: value}'")
    return dict(cast(Mapping[str, Any], settings))


def _below(name: str, error: ValidationError) -> ValidationError:
    """Return the same errors with the stage's name before each path."""
    return ValidationError.from_exception_data(
        "Stage",
        [InitErrorDetails(type=_same(line), loc=(name, *line["loc"]), input=line["input"]) for line in error.errors()],
    )


def _same(line: Any) -> PydanticCustomError:
    if line["type"] == "extra_forbidden":
        return PydanticCustomError("extra_forbidden", "Extra inputs are not permitted")
    return problem(*describe(line))


class PipelineDefinition(RootModel[tuple[Stage, ...]]):
    """The stages of one call, in the order in which audio flows through them.

    Exactly one `transport.input` comes first; exactly one `transport.output` follows it; what listens and speaks stands
    between them, `recorder` and `transcript` after the output, because they keep what was really sent.
    """

    model_config = ConfigDict(frozen=True)

    @property
    def stages(self) -> tuple[Stage, ...]:
        """The stages, first to last."""
        return self.root

    def find(self, name: str) -> Stage | None:
        """Return the stage of that name, or None. A named stage occurs at most once."""
        return next((stage for stage in self.root if stage.name == name), None)

    @classmethod
    def default(cls) -> Self:
        """Return the pipeline that an agent without `pipeline:` runs."""
        return cls.model_validate(list(STAGES))

    @field_validator("root")
    @classmethod
    def _in_order(cls, stages: tuple[Stage, ...]) -> tuple[Stage, ...]:
        names = [stage.name for stage in stages]
        for name in ("transport.input", "transport.output"):
            if name not in names:
                raise problem(f"has no {name}", f"add '- {name}'")
        for name in STAGES:
            if names.count(name) > 1:
                raise problem(f"names {name} {names.count(name)} times", "keep one of them")
        if names[0] != "transport.input":
            raise problem("must begin with transport.input", "move '- transport.input' to the top of the list")
        output = names.index("transport.output")
        for name in (*_AFTER_OUTPUT, *_BEFORE_OUTPUT):
            is_after = name in names and names.index(name) > output
            if name in names and is_after != (name in _AFTER_OUTPUT):
                side = "below" if name in _AFTER_OUTPUT else "above"
                raise problem(f"has {name} on the wrong side of transport.output", f"move '- {name}' {side} it")
        if "gemini_live" in names and "user_turns" not in names:
            raise problem(
                "has gemini_live without user_turns: the model would hear nobody", "add '- user_turns' above it"
            )
        return stages
