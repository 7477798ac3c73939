"""How an agent listens: when it is interrupted, how long it waits, what is heard behind its voice, which languages."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import PurePath
from typing import Annotated, Any, Literal, Self, cast

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, model_validator
from pydantic_core import InitErrorDetails

from config.language_code import LanguageCode
from config.phrases import Phrases, Sentence, default_phrases
from config.pipeline import PipelineDefinition
from config.wording import problem, shown, suggest

Path = tuple[str | int, ...]


@dataclass(frozen=True)
class Interrupting:
    """What it takes to interrupt the agent.

    Attributes:
        start_sensitivity, prefix_padding_ms: Google's, as in the `vad` of the stage `gemini_live`; None: its default.
        min_ms: Voice over the agent's speech that the model is told of only once it has lasted so long.
        min_words: The same for pipelines with a recognizer, in words; 0: any voice.
        may_interrupt: Whether the agent ever breaks off for a caller.
    """

    start_sensitivity: Literal["low", "high"] | None = None
    prefix_padding_ms: int | None = None
    min_ms: int = 0
    min_words: int = 0
    may_interrupt: bool = True


INTERRUPTIONS: Mapping[str, Interrupting] = {
    "easy": Interrupting(start_sensitivity="high", prefix_padding_ms=20),
    "normal": Interrupting(),
    "hard": Interrupting(min_ms=700, min_words=3),
    "never": Interrupting(may_interrupt=False),
}
"""The presets, written out."""


@dataclass(frozen=True)
class Patience:
    """When the caller has come to the end: Google's two values, None its default, and that of `silero_vad`."""

    stop_secs: float
    silence_duration_ms: int | None = None
    end_sensitivity: Literal["low", "high"] | None = None


_LONG_MS = 1000
"""Who waits so long for the end of speech also wants it told less readily."""

PATIENCE: Mapping[str, Patience] = {
    "quick": Patience(0.2, 300, "high"),
    "normal": Patience(0.3),
    "patient": Patience(1.5, 1500, "low"),
}
"""The presets, written out."""

SHIPPED_SOUNDS = ("office", "cafe", "none")


def _patience(value: object) -> object:
    if isinstance(value, str) and value in PATIENCE:
        return value
    if isinstance(value, int) and not isinstance(value, bool) and 100 <= value <= 5000:
        return value
    names = ", ".join(PATIENCE)
    raise problem(
        f"must be one of {names}, or milliseconds of silence from 100 to 5000 (got {shown(value)})",
        suggest(value, PATIENCE) if isinstance(value, str) else "write it like 'patience: patient' or 'patience: 1200'",
    )


def _sound(value: str) -> str:
    if value in SHIPPED_SOUNDS or PurePath(value).suffix:
        return value
    raise problem(
        f"there is no sound {shown(value)}",
        f"{suggest(value, SHIPPED_SOUNDS, 'shipped are')} Or name a file, such as office.wav, beside the agent's",
    )


def _wordings(value: dict[str, str]) -> dict[str, str]:
    for name in value:
        if name not in Phrases.model_fields:
            raise problem(f"there is no phrase {name!r}", suggest(name, Phrases.model_fields, "phrases are"))
    return value


class _Section(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class Idle(_Section):
    """What is done about a silence in which nobody owes anybody a word. In seconds."""

    ask_secs: float = Field(default=8, gt=0, description="Silence before the first prompt, and before each further.")
    prompts: tuple[Sentence, ...] = Field(
        default=(), description="What is said, one after the other, each once; empty: `phrases.still_there`."
    )
    hang_up_secs: float = Field(
        default=20, gt=0, description="Silence of the caller, in all, after which it says goodbye."
    )

    @model_validator(mode="after")
    def _in_step(self) -> Self:
        last = self.ask_secs * max(1, len(self.prompts))
        if last >= self.hang_up_secs:
            raise problem(
                f"hang_up_secs ({self.hang_up_secs:g}) must be longer than {last:g}, when the last prompt is said",
                "raise hang_up_secs, lower ask_secs, or take out a prompt",
            )
        return self


class Ambient(_Section):
    """A quiet sound under all that the agent says, and between its sentences."""

    sound: Annotated[str, AfterValidator(_sound)] = Field(
        default="none", description="`office`, `cafe`, `none`, or an audio file beside the agent's."
    )
    volume_db: float = Field(
        default=-36, ge=-60, le=-12, description="How loud: root mean square in dB of full scale; speech is about -20."
    )


class Listening(_Section):
    """How the agent listens."""

    interruptions: Literal["easy", "normal", "hard", "never"] = Field(
        default="normal", description="How easily a caller interrupts it."
    )
    min_interruption_ms: int | None = Field(
        default=None, ge=0, le=5000, description="Voice over the agent's that counts, in ms; null: the preset's."
    )
    min_interruption_words: int | None = Field(
        default=None, ge=0, le=20, description="The same in words, for pipelines with a recognizer; null: the preset's."
    )
    protect_greeting: bool = Field(default=False, description="Nobody can interrupt its first words.")
    patience: Annotated[Literal["quick", "normal", "patient"] | int, BeforeValidator(_patience)] = Field(
        default="normal",
        description="Silence that ends what the caller says: a preset, or milliseconds.",
        json_schema_extra={"anyOf": [{"enum": list(PATIENCE)}, {"type": "integer", "minimum": 100, "maximum": 5000}]},
    )
    idle: Idle | None = Field(default=None, description="Prompts in a silence; null: `limits.silence_*` say.")
    ambient: Ambient = Field(default_factory=Ambient, description="A quiet sound behind its voice.")
    noise_suppression: Literal["off", "on"] = Field(
        default="off", description="Whether voices and noise much softer than the caller are silence to the model."
    )
    languages: tuple[LanguageCode, ...] = Field(
        default=(), description="Languages that it may switch to, beside its own."
    )
    phrases: dict[LanguageCode, Annotated[dict[str, Sentence], AfterValidator(_wordings)]] = Field(
        default={}, description="Its own phrases in those languages; what is left out is ours."
    )

    @property
    def interrupting(self) -> Interrupting:
        """The preset, with what was written beside it."""
        preset = INTERRUPTIONS[self.interruptions]
        least_ms, least_words = self.min_interruption_ms, self.min_interruption_words
        return replace(
            preset,
            min_ms=preset.min_ms if least_ms is None else least_ms,
            min_words=preset.min_words if least_words is None else least_words,
        )

    @property
    def has_gate(self) -> bool:
        """Whether something of what the caller says is kept from the model while the agent speaks."""
        return self.protect_greeting or self.interrupting.min_ms > 0

    def texts(self) -> Iterator[tuple[Path, str]]:
        """Every text of it in which {variables} are filled in, with its path."""
        for position, prompt in enumerate(self.idle.prompts if self.idle else ()):
            yield ("listening", "idle", "prompts", position), prompt
        for language, wordings in self.phrases.items():
            for name, text in wordings.items():
                yield ("listening", "phrases", language, name), text


def phrases_in(language: str, listening: Listening) -> Phrases:
    """Return what an agent says of its own accord once it has switched to this language."""
    return default_phrases(language).model_copy(update=listening.phrases.get(language, {}))


def listening_faults(listening: Listening, language: str, pipeline: PipelineDefinition) -> list[InitErrorDetails]:
    """Return what of it cannot be had with the agent's other fields."""
    faults: list[InitErrorDetails] = []

    def fault(path: Path, message: str, cure: str, value: object) -> None:
        faults.append(InitErrorDetails(type=problem(message, cure), loc=("listening", *path), input=value))

    is_live, has_ears = pipeline.find("gemini_live") is not None, pipeline.find("silero_vad") is not None
    if listening.has_gate and is_live and not has_ears:
        field = "protect_greeting" if listening.protect_greeting else "interruptions"
        message = "needs the stage silero_vad, which tells a voice from a noise"
        fault((field,), message, "add '- silero_vad' above user_turns", getattr(listening, field))
    for position, code in enumerate(listening.languages):
        if code in listening.languages[:position]:
            fault(("languages", position), f"{code} is listed twice", "keep one of them", code)
    for code in listening.phrases:
        if code == language or code not in listening.languages:
            cure = f"add {code} to listening.languages; phrases of the agent's own language stand under phrases:"
            fault(("phrases", code), f"{code} is no language that it may switch to", cure, code)
    return faults


# ---- presets become the values of stages, before those are checked: what a stage says itself goes first ----


def fill_in_listening(values: object) -> object:
    """Return an agent's unchecked fields with what `listening` means for its stages written into them.

    A value that a stage has of its own stays. What is of the wrong form stays too, for the check to find.
    """
    fields = _as_mapping(values) or {}
    listening = _as_mapping(fields.get("listening"))
    given = _stage_values(listening) if listening is not None else {}
    own = fields.get("pipeline")
    pipeline = _as_list(own) if own is not None else [stage.name for stage in PipelineDefinition.default().stages]
    if not given or pipeline is None:
        return values
    filled: dict[str, object] = {**fields, "pipeline": _filled(pipeline, given)}
    ladder = _as_list(fields.get("on_failure"))
    if ladder is not None:
        filled["on_failure"] = [_filled_rung(rung, given) for rung in ladder]
    return filled


def _as_mapping(value: object) -> Mapping[str, object] | None:
    return cast(Mapping[str, object], value) if isinstance(value, Mapping) else None


def _as_list(value: object) -> list[object] | None:
    return cast(list[object], value) if isinstance(value, list) else None


def _stage_values(listening: Mapping[str, object]) -> dict[str, dict[str, Any]]:
    """Stage -> its settings, as far as the presets say something other than nothing."""
    vad: dict[str, Any] = {}
    found: dict[str, dict[str, Any]] = {}
    preset = INTERRUPTIONS.get(str(listening.get("interruptions")))
    if preset is not None and preset.start_sensitivity is not None:
        vad |= {"start_sensitivity": preset.start_sensitivity, "prefix_padding_ms": preset.prefix_padding_ms}
    patience = listening.get("patience", "normal")
    chosen = PATIENCE.get(patience) if isinstance(patience, str) else None
    if isinstance(patience, int) and not isinstance(patience, bool):
        chosen = Patience(max(0.05, patience / 1000), patience, "low" if patience >= _LONG_MS else None)
    if chosen is not None and chosen.silence_duration_ms is not None:
        vad |= {"silence_duration_ms": chosen.silence_duration_ms, "end_sensitivity": chosen.end_sensitivity}
        found["silero_vad"] = {"stop_secs": min(chosen.stop_secs, 5.0)}
    if vad:
        found["gemini_live"] = {"vad": vad}
    return found


def _filled(stages: Sequence[object], given: Mapping[str, dict[str, Any]]) -> list[object]:
    filled: list[object] = []
    for stage in stages:
        form = _as_mapping({stage: None} if isinstance(stage, str) else stage) or {}
        name = next(iter(form), "") if len(form) == 1 else ""
        settings = _as_mapping(form.get(name) or {})
        if name in given and settings is not None:
            filled.append({name: _below(settings, given[name])})
        else:
            filled.append(stage)
    return filled


def _below(settings: Mapping[str, object], values: Mapping[str, Any]) -> dict[str, object]:
    """The settings, with `values` where they have none, in mappings within them too."""
    merged: dict[str, object] = {**values, **settings}
    for name, value in values.items():
        own, ours = _as_mapping(settings.get(name)), _as_mapping(value)
        if own is not None and ours is not None:
            merged[name] = {**ours, **own}
    return merged


def _filled_rung(rung: object, given: Mapping[str, dict[str, Any]]) -> object:
    fields = _as_mapping(rung) or {}
    pipeline = _as_list(fields.get("pipeline"))
    return rung if pipeline is None else {**fields, "pipeline": _filled(pipeline, given)}
