"""Values that a check of YAML would put right in silence, and that are refused over the API: `true` for a number, say.

The check of an agent takes "5" for a whole number and `true` for 1, as whoever types YAML expects it to. What a program
sends is meant as it is. It is held against the JSON Schema of an agent, which knows no such kindness.
"""

from collections.abc import Iterator, Mapping
from functools import cache
from typing import Any, cast

from jsonschema import Draft202012Validator, FormatChecker, ValidationError
from pydantic import BaseModel

from config.agent_schema import agent_schema
from config.errors import Fault
from config.wording import shown
from config.written_refusals import IN_A_FILE_ONLY

_KINDS = {
    "boolean": "true or false",
    "integer": "a whole number",
    "number": "a number",
    "string": "text",
    "array": "a list",
    "object": "a mapping",
    "null": "null",
}


def _is_never_right(_value: object) -> bool:
    return False


_FILES = FormatChecker(formats=())
for _name in ("path", "file-path", "directory-path"):
    _FILES.checks(_name)(_is_never_right)


def type_faults(content: Mapping[str, Any]) -> Iterator[Fault]:
    """Yield the values of another type than the field has, in a content that is sound otherwise."""
    for error in _agent_validator().iter_errors(content):
        yield from _told(error, ())


def settings_faults(model: type[BaseModel], settings: Mapping[str, Any]) -> Iterator[Fault]:
    """Yield the same of a bot's settings, and each value that names a file."""
    for error in Draft202012Validator(model.model_json_schema(), format_checker=_FILES).iter_errors(settings):
        yield from _told(error, ("settings",))


@cache
def _agent_validator() -> Draft202012Validator:
    return Draft202012Validator(agent_schema())


def _told(error: ValidationError, above: tuple[str | int, ...]) -> Iterator[Fault]:
    leaves = list(_leaves(error))
    deepest = max(len(leaf.absolute_path) for leaf in leaves)
    # Of several forms that a value may have the one that it was meant as is the one that it follows furthest.
    leaves = [leaf for leaf in leaves if len(leaf.absolute_path) == deepest]
    path = (*above, *leaves[0].absolute_path)
    value = cast(object, leaves[0].instance)
    if any(leaf.validator == "format" for leaf in leaves):
        message = "a file of the server's is not accepted over the API"
        yield Fault(path, message, f"remove it, {IN_A_FILE_ONLY}")
    elif isinstance(value, str | int | float | bool):
        kinds = [kind for leaf in leaves if leaf.validator == "type" for kind in _listed(leaf.validator_value)]
        if kinds:
            wanted = " or ".join(dict.fromkeys(_KINDS.get(kind, kind) for kind in kinds))
            yield Fault(
                path,
                f"must be {wanted} (got {shown(value)})",
                "write it without quotes" if _is_quoted(value, kinds) else "",
            )


def _is_quoted(value: object, kinds: list[str]) -> bool:
    return isinstance(value, str) and bool({"integer", "number", "boolean"} & set(kinds))


def _leaves(error: ValidationError) -> Iterator[ValidationError]:
    if not error.context:
        yield error
    for inner in error.context or ():
        yield from _leaves(inner)


def _listed(kinds: object) -> list[str]:
    return [kinds] if isinstance(kinds, str) else cast(list[str], kinds)
