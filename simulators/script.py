"""Scripts: what the stand-in model says and does, as typed YAML. Reading and checking; `mind.py` acts them out."""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Annotated, Any, cast

import yaml
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, field_validator, model_validator

from simulators.clips import caller_clips
from simulators.ear import DEFAULT_END_SILENCE_MS
from simulators.faults import find_fault
from simulators.wording import check_condition, check_template

SCRIPTS = Path(__file__).parent / "scripts"


class ScriptError(ValueError):
    """A script cannot be used; the text names the file, the place and what is wrong."""


class _Shape(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True)


def _as_list(value: Any) -> Any:
    return cast(Any, value) if isinstance(value, (list, tuple)) or value is None else [value]


def _as_steps(value: Any) -> Any:
    if value is None:
        return ()
    listed = cast(list[Any], value if isinstance(value, (list, tuple)) else [value])
    return [{"say": item} if isinstance(item, str) else item for item in listed]


class ToolCall(_Shape):
    """A function call to make. Texts in `args` are templates."""

    tool: str
    args: dict[str, Any] = Field(default_factory=dict)

    @field_validator("args")
    @classmethod
    def _templates(cls, args: dict[str, Any]) -> dict[str, Any]:
        for value in args.values():
            if isinstance(value, str):
                check_template(value)
        return args


class Step(_Shape):
    """Something to do: `set` variables, `say` a template, `call` a tool; `then` goes on, after the tool's result.

    `fault` arms a fault of the stand-in Gemini first, once; one for a turn hits the turn that has begun.

    With `if`, all of that happens only when the condition holds; otherwise `else` does.
    """

    condition: str | None = Field(default=None, alias="if")
    variables: dict[str, str] = Field(default_factory=dict, alias="set")
    fault: str | None = None
    say: str | None = None
    call: ToolCall | None = None
    then: Annotated[tuple[Step, ...], BeforeValidator(_as_steps)] = ()
    otherwise: Annotated[tuple[Step, ...], BeforeValidator(_as_steps)] = Field(default=(), alias="else")

    @model_validator(mode="after")
    def _wording(self) -> Step:
        if self.condition is not None:
            check_condition(self.condition)
        elif self.otherwise:
            raise ValueError("`else` needs an `if` in the same step")
        if self.fault is not None:
            find_fault(self.fault, "gemini")
        for template in [*self.variables.values(), *([] if self.say is None else [self.say])]:
            check_template(template)
        return self


class Rule(Step):
    """A step with the occasion for it: a caller clip (`hear`) or a text (`text`, a regular expression, any case).

    The first rule that matches is taken. Not matching: a rule whose own `call` is a tool that is not declared, one
    whose `if` fails and that has no `else`, and one that is `once` and was used. `quoted`: takes texts that ask for a
    passage in quotes to be spoken, which is {quote}; other text rules never do.
    """

    hear: Annotated[tuple[str, ...], BeforeValidator(_as_list)] = ()
    text: str | None = None
    quoted: bool = False
    once: bool = False

    @model_validator(mode="after")
    def _occasion(self) -> Rule:
        if not self.hear and self.text is None:
            raise ValueError("a rule needs `hear` or `text`")
        if self.quoted and self.text is None:
            raise ValueError("`quoted` is for rules with `text`")
        known = {clip_id for clip_id, clip in caller_clips().items() if clip.is_recognised}
        for clip_id in self.hear:
            if clip_id not in known:
                raise ValueError(f"`hear`: no recognised caller clip is called {clip_id!r}; there are {sorted(known)}")
        if self.text is not None:
            try:
                re.compile(self.text)
            except re.error as error:
                raise ValueError(f"`text`: not a regular expression: {error}") from error
        return self


class When(_Shape):
    """Which conversations a script is for. Empty: all of them."""

    tools: Annotated[tuple[str, ...], BeforeValidator(_as_list)] = ()
    instruction: str | None = None

    def score(self, tools: Collection[str], instruction: str) -> int | None:
        """How many of its demands are met, or None when one is not."""
        if not set(self.tools) <= set(tools):
            return None
        if self.instruction is None:
            return len(self.tools)
        return len(self.tools) + 1 if self.instruction.lower() in instruction.lower() else None


class Script(_Shape):
    """One stand-in model. `otherwise` is said to speech and text that no rule takes; `failed` to a tool's error.

    `end_silence_ms`: so much silence ends the caller's utterance, unless the client's setup says otherwise.
    """

    name: str
    when: When = Field(default_factory=When)
    end_silence_ms: int = Field(default=DEFAULT_END_SILENCE_MS, ge=100, le=5000)
    rules: tuple[Rule, ...]
    otherwise: str
    failed: str = "I am sorry, something went wrong on my side. Could you say that again?"

    @model_validator(mode="after")
    def _wording(self) -> Script:
        check_template(self.otherwise)
        check_template(self.failed)
        return self


def parse_script(text: str, *, source: str = "script") -> Script:
    """Reads one script from YAML.

    Raises:
        ScriptError: one line per problem, `source: place: what is wrong`.
    """
    try:
        loaded = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise ScriptError(f"{source}: not YAML: {error}") from error
    if not isinstance(loaded, dict):
        raise ScriptError(f"{source}: must be a mapping with name, rules and otherwise")
    try:
        return Script.model_validate(loaded)
    except ValidationError as error:
        problems = [
            f"{source}: {'.'.join(str(part) for part in problem['loc']) or 'script'}: {problem['msg']}"
            for problem in error.errors()
        ]
        raise ScriptError("\n".join(problems)) from error


def load_scripts(folder: Path = SCRIPTS) -> list[Script]:
    """Reads every `*.yaml` of a folder, by file name.

    Raises:
        ScriptError: a file is wrong, or the folder holds none.
    """
    scripts = [
        parse_script(path.read_text(encoding="utf-8"), source=path.name) for path in sorted(folder.glob("*.yaml"))
    ]
    if not scripts:
        raise ScriptError(f"{folder}: no scripts (*.yaml) here")
    return scripts


def choose_script(scripts: Sequence[Script], tools: Collection[str], instruction: str) -> Script:
    """The script that fits a conversation best: the one with most of its demands met; the first of equals.

    Raises:
        ScriptError: no script fits.
    """
    fitting = [(score, script) for script in scripts if (score := script.when.score(tools, instruction)) is not None]
    if not fitting:
        raise ScriptError(f"no script is for a conversation with the tools {sorted(tools)}")
    return max(fitting, key=lambda pair: pair[0])[1]
