"""Values that satisfy a response schema (JSON Schema or Google's OpenAPI subset), guessed from the prompt. Pure."""

from __future__ import annotations

import re
from typing import Any, cast

from simulators.gemini_wire import camel

Schema = dict[str, Any]

_DULL = frozenset(
    "about after also been caller call could customer does each from have into more only should such than that their "
    "them then there these they this want wanted were what when where which will with would your".split()
)


def answer_schema(schema: Schema, prompt: str) -> Any:
    """A value of the schema's type. Booleans are true when the description's words occur in the prompt, numbers and
    enum members are taken from the prompt where it has them, texts are its last line; bounds are kept.
    """
    schema = _camel_keywords(schema)
    return _answer(schema, prompt, schema, name="")


def _camel_keywords(schema: Any) -> Any:
    """google-genai sends min_items where the REST reference says minItems; names of properties stay as they are."""
    if isinstance(schema, list):
        return [_camel_keywords(item) for item in cast(list[Any], schema)]
    if not isinstance(schema, dict):
        return schema
    found: Schema = {}
    for key, value in cast(Schema, schema).items():
        if key in ("properties", "$defs", "defs") and isinstance(value, dict):
            found[key] = {name: _camel_keywords(inner) for name, inner in cast(Schema, value).items()}
        elif key in ("enum", "const", "default", "example"):
            found[key] = value
        else:
            found[camel(key)] = _camel_keywords(value)
    return found


def _answer(schema: Schema, prompt: str, root: Schema, *, name: str) -> Any:
    schema = _resolved(schema, root)
    if "const" in schema:
        return schema["const"]
    if schema.get("enum"):
        return _member(cast(list[Any], schema["enum"]), prompt)
    kind = schema.get("type")
    if isinstance(kind, list):
        kind = next((item for item in cast(list[str], kind) if str(item).lower() != "null"), "string")
    match str(kind or ("object" if "properties" in schema else "string")).lower():
        case "object":
            properties = cast(dict[str, Schema], schema.get("properties") or {})
            return {key: _answer(value, prompt, root, name=key) for key, value in properties.items()}
        case "array":
            count = max(int(schema.get("minItems") or 0), 1)
            if schema.get("maxItems") is not None:
                count = min(count, int(schema["maxItems"]))
            items = cast(Schema, schema.get("items") or {"type": "string"})
            return [_answer(items, prompt, root, name=name) for _ in range(count)]
        case "boolean":
            return _is_mentioned(f"{name} {schema.get('description') or schema.get('title') or ''}", prompt)
        case "integer":
            return int(_number(schema, prompt, whole=True))
        case "number":
            return _number(schema, prompt, whole=False)
        case "null":
            return None
        case _:
            return _text(schema, prompt)


def _resolved(schema: Schema, root: Schema) -> Schema:
    reference = schema.get("$ref") or schema.get("ref")
    if isinstance(reference, str):
        found: Any = root
        for part in reference.removeprefix("#/").split("/"):
            found = found[part]
        return _resolved(cast(Schema, found), root)
    for key in ("anyOf", "oneOf", "allOf"):
        choices = cast(list[Schema], schema.get(key) or [])
        for choice in choices:
            if str(choice.get("type")).lower() != "null":
                return _resolved({**{k: v for k, v in schema.items() if k != key}, **choice}, root)
    return schema


def _member(members: list[Any], prompt: str) -> Any:
    words = prompt.lower()
    return next((member for member in members if str(member).lower() in words), members[0])


def _is_mentioned(question: str, prompt: str) -> bool:
    words = {word for word in re.findall(r"[a-z]{4,}", question.lower().replace("_", " ")) if word not in _DULL}
    said = " ".join(line for line in prompt.splitlines() if "?" not in line or ":" in line).lower()
    return any(re.search(rf"\b{word}", said) for word in words)


def _number(schema: Schema, prompt: str, *, whole: bool) -> float:
    found = re.search(r"(?<![\w.])\d+" if whole else r"(?<![\w.])\d+(?:\.\d+)?", prompt)
    number = float(found[0]) if found else 0.0
    low, high = schema.get("minimum"), schema.get("maximum")
    number = max(number, float(low)) if low is not None else number
    return min(number, float(high)) if high is not None else number


def _text(schema: Schema, prompt: str) -> str:
    kind = str(schema.get("format") or "")
    if kind == "date":
        return "2026-01-01"
    if kind == "date-time":
        return "2026-01-01T00:00:00Z"
    lines = [line.strip() for line in prompt.splitlines() if line.strip()]
    text = lines[-1] if lines else "Nothing was said."
    least, most = int(schema.get("minLength") or 0), schema.get("maxLength")
    text = text.ljust(least, ".")
    return text[: int(most)] if most is not None else text
