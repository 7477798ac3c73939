"""Templates and conditions of scripts: `{result.open:time}` and `not result.closed`. Pure."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any, cast

from simulators.speech import number_words

ROOTS = ("args", "result", "vars", "match", "quote", "speech")

_PLACEHOLDER = re.compile(r"\{([^{}]*)\}")
_FIELD = re.compile(r"([a-z]+(?:\.[A-Za-z0-9_]+)*)(?::([a-z]+))?")
_CONDITION = re.compile(r"(not +)?([a-z]+(?:\.[A-Za-z0-9_]+)*)(?: *(==|!=) *(.+))?")
_KEYS = {"*": "star", "#": "hash"}


class MissingValue(LookupError):
    """A template names a value that is not there, for example a field that a tool's result lacks."""


def _as_time(value: Any) -> str:
    """09:00 -> nine, 9:05 -> nine oh five, 14:30 -> two thirty. Anything else stays as it is."""
    match = re.fullmatch(r"(\d{1,2}):(\d{2})(?::\d{2})?", str(value).strip())
    if match is None:
        return str(value)
    hour, minute = int(match[1]) % 12 or 12, int(match[2])
    if minute == 0:
        return number_words(hour)[0]
    tail = ["oh", *number_words(minute)] if minute < 10 else number_words(minute)
    return " ".join([*number_words(hour), *tail])


def _as_times(value: Any) -> str:
    items = [_as_time(item) for item in cast(list[Any], value)] if isinstance(value, list) else [_as_time(value)]
    if len(items) < 2:
        return "".join(items)
    return f"{', '.join(items[:-1])} or {items[-1]}"


def _as_number(value: Any) -> str:
    text = str(value)
    return " ".join(number_words(int(text))) if text.isdecimal() else text


def _as_key(value: Any) -> str:
    return " ".join(_KEYS.get(key) or _as_number(key) for key in str(value))


FORMATS: dict[str, Callable[[Any], str]] = {
    "time": _as_time,
    "times": _as_times,
    "number": _as_number,
    "key": _as_key,
    "title": lambda value: str(value).capitalize(),
}


def check_template(template: str) -> None:
    """Raises ValueError, naming the placeholder, when a template could never be filled in."""
    for inside in _PLACEHOLDER.findall(template):
        field = _FIELD.fullmatch(inside)
        if field is None:
            raise ValueError(f"{{{inside}}} is not a placeholder like {{result.open:time}}")
        _check_path(field[1], f"{{{inside}}}")
        if field[2] is not None and field[2] not in FORMATS:
            raise ValueError(f"{{{inside}}}: no format {field[2]!r}; there are {sorted(FORMATS)}")


def check_condition(condition: str) -> None:
    """Raises ValueError when a condition is not `path`, `not path`, `path == value` or `path != value`."""
    match = _CONDITION.fullmatch(condition.strip())
    if match is None or (match[1] and match[3]):
        raise ValueError(f"`if: {condition}` is not `path`, `not path`, `path == value` or `path != value`")
    _check_path(match[2], f"`if: {condition}`")


def _check_path(path: str, where: str) -> None:
    root = path.split(".")[0]
    if root not in ROOTS:
        raise ValueError(f"{where}: starts with {root!r}; it must be one of {list(ROOTS)}")


def look_up(path: str, values: Mapping[str, Any]) -> Any:
    """The value at a dotted path; None when there is none."""
    found: Any = values
    for part in path.split("."):
        if isinstance(found, Mapping):
            found = cast(Mapping[str, Any], found).get(part)
        elif isinstance(found, list) and part.isdecimal() and int(part) < len(cast(list[Any], found)):
            found = cast(list[Any], found)[int(part)]
        else:
            return None
    return found


def holds(condition: str, values: Mapping[str, Any]) -> bool:
    """Is a (checked) condition true?"""
    match = _CONDITION.fullmatch(condition.strip())
    assert match is not None
    found = look_up(match[2], values)
    if match[3] is None:
        return bool(found) != bool(match[1])
    wanted = match[4].strip().strip("\"'")
    text = str(found).lower() if isinstance(found, bool) else str(found)
    return (text == wanted) == (match[3] == "==")


def fill(template: str, values: Mapping[str, Any]) -> str:
    """The template with its placeholders filled in.

    Raises:
        MissingValue: a placeholder has no value.
    """

    def replace(match: re.Match[str]) -> str:
        field = _FIELD.fullmatch(match[1])
        assert field is not None
        found = look_up(field[1], values)
        if found is None:
            raise MissingValue(f"{match[0]} has no value")
        return FORMATS[field[2]](found) if field[2] else str(found)

    return _PLACEHOLDER.sub(replace, template)


def fill_value(value: Any, values: Mapping[str, Any]) -> Any:
    """An argument of a tool call: a text is filled in; one that is a single bare placeholder keeps its value's type."""
    if not isinstance(value, str):
        return value
    alone = _PLACEHOLDER.fullmatch(value)
    if alone is not None and ":" not in alone[1]:
        found = look_up(alone[1], values)
        if found is None:
            raise MissingValue(f"{value} has no value")
        return found
    return fill(value, values)
