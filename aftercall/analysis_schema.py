"""What a text model is to answer, as JSON Schema; and its answer, checked field by field. Pure.

Nothing is guessed and nothing is put right: an answer that is not what was asked for is none.
"""

import json
import math
from collections.abc import Mapping
from datetime import date
from typing import Any, cast

from config.analysis import Analysis, AnalysisField

SUCCESS = ("reached", "not_reached", "unclear")
SENTIMENTS = ("positive", "neutral", "negative")
_LONGEST_TEXT = 8000
_LONGEST_LIST = 200
_MOST_DIGITS = 2**53

Schema = dict[str, Any]


class BadResult(Exception):
    """The answer is not what was asked for; the text names the place, and nothing of what stands there."""


def response_schema(analysis: Analysis) -> Schema:
    """Return the schema of an answer; every property is required, those that may be unknown may be null."""
    properties: Schema = {}
    if analysis.summary:
        properties["summary"] = {"type": "string", "description": "What the call was about and how it ended."}
    if analysis.fields:
        fields = {name: _field_schema(field) for name, field in analysis.fields.items()}
        properties["fields"] = _object(fields)
    if analysis.goal.strip():
        reason = {"type": "string", "description": "Why, in one sentence, by what was said in the call."}
        properties["goal"] = _object({"success": {"type": "string", "enum": list(SUCCESS)}, "reason": reason})
    if analysis.sentiment:
        how = "How the caller felt at the end of the call."
        properties["sentiment"] = {"type": "string", "enum": list(SENTIMENTS), "description": how}
    return _object(properties)


def read_result(analysis: Analysis, text: str) -> dict[str, Any]:
    """Return an answer's values, checked. Raises `BadResult`."""
    try:
        loaded: Any = json.loads(text, parse_constant=_refuse_constant)
    except (ValueError, RecursionError) as error:
        raise BadResult("the answer is no JSON") from error
    answer = _members(loaded, set(response_schema(analysis)["properties"]), "the answer")
    result: dict[str, Any] = {}
    if analysis.summary:
        result["summary"] = _text(answer["summary"], "summary")
    if analysis.fields:
        fields = _members(answer["fields"], set(analysis.fields), "fields")
        result["fields"] = {name: _value(field, fields[name], name) for name, field in analysis.fields.items()}
    if analysis.goal.strip():
        goal = _members(answer["goal"], {"success", "reason"}, "goal")
        success = _one_of(goal["success"], SUCCESS, "goal.success")
        result["goal"] = {"success": success, "reason": _text(goal["reason"], "goal.reason")}
    if analysis.sentiment:
        result["sentiment"] = _one_of(answer["sentiment"], SENTIMENTS, "sentiment")
    return result


def _object(properties: Schema) -> Schema:
    return {
        "type": "object",
        "properties": properties,
        "required": list(properties),
        "additionalProperties": False,
        "propertyOrdering": list(properties),
    }


def _field_schema(field: AnalysisField) -> Schema:
    kind: Schema = {
        "string": {"type": "string"},
        "integer": {"type": "integer"},
        "number": {"type": "number"},
        "boolean": {"type": "boolean"},
        "enum": {"type": "string", "enum": list(field.values)},
        "date": {"type": "string", "format": "date"},
        "list": {"type": "array", "items": {"type": "string"}},
    }[field.type]
    if not field.required:
        kind["type"] = [kind["type"], "null"]
        if "enum" in kind:
            kind["enum"] = [*kind["enum"], None]
    return kind | {"description": field.description}


def _value(field: AnalysisField, value: Any, name: str) -> Any:
    if value is None:
        if field.required:
            raise BadResult(f"{name} has no value, and must have one")
        return None
    match field.type:
        case "string":
            return _text(value, name)
        case "integer":
            if isinstance(value, bool) or not isinstance(value, int) or abs(value) >= _MOST_DIGITS:
                raise BadResult(f"{name} is no whole number")
            return value
        case "number":
            if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
                raise BadResult(f"{name} is no number")
            return value
        case "boolean":
            if not isinstance(value, bool):
                raise BadResult(f"{name} is neither true nor false")
            return value
        case "enum":
            return _one_of(value, field.values, name)
        case "date":
            return _date(value, name)
        case "list":
            items = cast(list[Any], value) if isinstance(value, list) else None
            if items is None or len(items) > _LONGEST_LIST:
                raise BadResult(f"{name} is no list")
            return [_text(item, name) for item in items]


def _members(value: Any, names: set[str], what: str) -> Mapping[str, Any]:
    if not isinstance(value, dict):
        raise BadResult(f"{what}: is no object")
    found = cast(dict[str, Any], value)
    if set(found) != names:
        raise BadResult(f"{what}: has other members than were asked for")
    return found


def _text(value: Any, name: str) -> str:
    if not isinstance(value, str) or len(value) > _LONGEST_TEXT:
        raise BadResult(f"{name} is no text")
    # PostgreSQL's text refuses NUL, and no UTF-8 can hold half a surrogate.
    return value.replace("\x00", "\ufffd").encode("utf-8", "replace").decode("utf-8")


def _one_of(value: Any, allowed: tuple[str, ...], name: str) -> str:
    if not isinstance(value, str) or value not in allowed:
        raise BadResult(f"{name} is none of the values")
    return value


def _date(value: Any, name: str) -> str:
    try:
        return date.fromisoformat(value).isoformat() if len(value) == 10 else _no_date(name)
    except (TypeError, ValueError) as error:
        raise BadResult(f"{name} is no date") from error


def _no_date(name: str) -> str:
    raise BadResult(f"{name} is no date")


def _refuse_constant(constant: str) -> float:
    raise ValueError(constant)
