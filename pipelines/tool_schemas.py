"""JSON schemas of tools: as a model can be shown them, and as what it gives is checked against. Pure.

Gemini knows a part of JSON Schema only (https://ai.google.dev/api/caching#Schema) and refuses a whole connection for
anything else; the check still knows all of it.
"""

import re
from collections.abc import Mapping
from typing import Any, cast

from jsonschema import Draft202012Validator
from jsonschema.exceptions import (
    SchemaError,
    ValidationError,
    best_match,  # pyright: ignore[reportUnknownVariableType]
)
from referencing import Registry
from referencing.exceptions import Unresolvable

from pipelines.tool_failures import RefusalKind, ToolRefused

_PLAIN = (
    "description",
    "minimum",
    "maximum",
    "minItems",
    "maxItems",
    "minLength",
    "maxLength",
    "minProperties",
    "maxProperties",
    "pattern",
)
_TYPES = frozenset({"string", "number", "integer", "boolean", "array", "object"})
_FORMATS = {"string": {"date-time", "enum"}, "integer": {"int32", "int64"}, "number": {"float", "double"}}
_DEEPEST = 8
_MOST_SHOWN = 300


def check_arguments(schema: Mapping[str, Any], arguments: Mapping[str, Any], secret: tuple[str, ...]) -> None:
    """Raise ToolRefused, with what is wrong, when the arguments are not what the schema asks for."""
    try:
        # An empty registry: a schema that refers elsewhere has nothing fetched for it.
        validator = Draft202012Validator(dict(schema), registry=Registry[Any]())
        error = cast("ValidationError | None", best_match(validator.iter_errors(dict(arguments))))
    except (SchemaError, Unresolvable, re.error, RecursionError) as error:
        raise ToolRefused(RefusalKind.BAD_ARGUMENTS, "These arguments cannot be checked.") from error
    if error is None:
        return
    path = [str(part) for part in error.absolute_path]
    shows_a_value = path[:1] and path[0] in secret or (not path and secret and error.validator != "required")
    message = "is not of the form that is asked for" if shows_a_value else error.message[:_MOST_SHOWN]
    raise ToolRefused(RefusalKind.BAD_ARGUMENTS, f"{'.'.join(path)}: {message}" if path else message)


def for_model(schema: Mapping[str, Any]) -> dict[str, Any]:
    """Return the schema as a model is shown it: what it refers to written out, what Gemini does not know left out."""
    shown = _shown(schema, schema, 0)
    return shown if shown.get("type") == "object" else {"type": "object", "properties": {}}


def _shown(schema: Any, root: Mapping[str, Any], depth: int) -> dict[str, Any]:
    if not isinstance(schema, Mapping) or depth > _DEEPEST:
        return {"type": "string"} if depth <= _DEEPEST else {"type": "object"}
    given = dict(cast(Mapping[str, Any], schema))
    if isinstance(reference := given.pop("$ref", None), str):
        target = _target(reference, root)
        return _shown({**target, **given}, root, depth + 1)
    for part in cast(list[Any], given.pop("allOf", None) or []):
        given = _merged(given, _resolved(part, root))
    shown: dict[str, Any] = {name: given[name] for name in _PLAIN if name in given}
    choices = cast(list[Any], given.get("anyOf") or given.get("oneOf") or [])
    real = [choice for choice in choices if not _is_null(choice)]
    if len(real) < len(choices):
        shown["nullable"] = True
    if len(real) == 1:
        return {**_shown(real[0], root, depth + 1), **shown}
    if real:
        return {**shown, "anyOf": [_shown(choice, root, depth + 1) for choice in real]}
    kinds = given.get("type")
    listed = cast(list[Any], kinds if isinstance(kinds, list) else [kinds])
    types = [kind for kind in listed if kind in _TYPES]
    if "null" in listed:
        shown["nullable"] = True
    if len(types) > 1:
        return {**shown, "anyOf": [_shown({**given, "type": kind}, root, depth + 1) for kind in types]}
    values = [given["const"]] if "const" in given else cast(list[Any], given.get("enum") or [])
    kind = types[0] if types else _guessed(given, values)
    shown["type"] = kind
    if given.get("format") in _FORMATS.get(kind, ()):
        shown["format"] = given["format"]
    if kind == "string" and values and all(isinstance(value, str) for value in values):
        shown["enum"] = values
    elif values:
        allowed = "Allowed: " + ", ".join(str(value) for value in values if value is not None)
        shown["description"] = " ".join(filter(None, [str(shown.get("description", "")), allowed]))
    if kind == "object":
        properties = cast(Mapping[str, Any], given.get("properties") or {})
        shown["properties"] = {name: _shown(inner, root, depth + 1) for name, inner in properties.items()}
        required = [name for name in cast(list[str], given.get("required") or []) if name in properties]
        if required:
            shown["required"] = required
    elif kind == "array":
        items = given.get("items")
        shown["items"] = _shown(items if isinstance(items, Mapping) else {}, root, depth + 1)
    return shown


def _guessed(given: Mapping[str, Any], values: list[Any]) -> str:
    if "properties" in given:
        return "object"
    if "items" in given:
        return "array"
    if values and all(isinstance(value, bool) for value in values):
        return "boolean"
    if values and all(isinstance(value, int) for value in values):
        return "integer"
    return "string"


def _is_null(schema: Any) -> bool:
    return isinstance(schema, Mapping) and cast(Mapping[str, Any], schema).get("type") == "null"


def _resolved(schema: Any, root: Mapping[str, Any]) -> Mapping[str, Any]:
    if not isinstance(schema, Mapping):
        return {}
    given = cast(Mapping[str, Any], schema)
    reference = given.get("$ref")
    return _target(reference, root) if isinstance(reference, str) else given


def _target(reference: str, root: Mapping[str, Any]) -> Mapping[str, Any]:
    """What a reference into the schema itself means; nothing for any other."""
    here: Any = root
    if not reference.startswith("#"):
        return {}
    for part in reference[1:].strip("/").split("/"):
        if not part:
            continue
        name = part.replace("~1", "/").replace("~0", "~")
        here = cast(Mapping[str, Any], here).get(name) if isinstance(here, Mapping) else None
    return cast(Mapping[str, Any], here) if isinstance(here, Mapping) else {}


def _merged(one: dict[str, Any], other: Mapping[str, Any]) -> dict[str, Any]:
    merged = {**other, **one}
    for name in ("properties",):
        if name in one and name in other:
            merged[name] = {**other[name], **one[name]}
    if "required" in one and "required" in other:
        merged["required"] = [*one["required"], *(name for name in other["required"] if name not in one["required"])]
    return merged
