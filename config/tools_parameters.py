"""The JSON schema of a tool's parameters, checked when the agent is loaded."""

from collections.abc import Iterator, Mapping
from typing import Annotated, Any, cast

from jsonschema import Draft202012Validator
from jsonschema.exceptions import SchemaError
from pydantic import AfterValidator, Field

from config.placeholders import NAME
from config.wording import problem, shown

NO_PARAMETERS: dict[str, Any] = {"type": "object", "properties": {}}


def _schema(schema: dict[str, Any]) -> dict[str, Any]:
    given = {"type": "object", **schema}
    if given["type"] != "object":
        raise problem("must be the schema of an object", "write {type: object, properties: {...}}")
    try:
        Draft202012Validator.check_schema(given)
    except SchemaError as error:
        where = ".".join(str(part) for part in error.absolute_path)
        raise problem(
            f"is no JSON schema: {where + ': ' if where else ''}{error.message[:200]}", "correct it"
        ) from error
    properties = cast(Mapping[str, object], given.setdefault("properties", {}))
    for name in properties:
        if not NAME.fullmatch(name):
            raise problem(f"{shown(name)} is not a usable parameter name", "use letters, digits and underscores")
    for name in given.get("required", ()):
        if name not in properties:
            raise problem(f"{name} is required but not described", "add it under properties:")
    for reference in _references(given):
        if not reference.startswith("#"):
            raise problem(f"refers to {shown(reference)}", "write that schema here; nothing is fetched")
    return given


def _references(value: object) -> Iterator[str]:
    if isinstance(value, Mapping):
        for key, inner in cast(Mapping[str, object], value).items():
            if key in ("$ref", "$dynamicRef") and isinstance(inner, str):
                yield inner
            yield from _references(inner)
    elif isinstance(value, list):
        for inner in cast(list[object], value):
            yield from _references(inner)


Parameters = Annotated[
    dict[str, Any], AfterValidator(_schema), Field(json_schema_extra={"properties": {"properties": {"type": "object"}}})
]
"""A JSON schema of an object; only what is in it may be referred to."""


def properties_of(parameters: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the schemas of the parameters, by name."""
    return cast(Mapping[str, Any], parameters.get("properties", {}))


def required_of(parameters: Mapping[str, Any]) -> frozenset[str]:
    """Return the names that the model must give."""
    return frozenset(cast(list[str], parameters.get("required", [])))
