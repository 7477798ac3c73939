"""YAML text to plain values, strictly: the JSON-like part of YAML 1.2 (https://yaml.org/spec/1.2.2/#103-core-schema).

Differences to PyYAML's `safe_load`, each of which has silently changed somebody's configuration: `no`, `off` and dates
stay text, a name given twice is an error, and aliases, tags and merge keys are refused (a few lines of them can expand
to gigabytes).
"""

import re
from collections.abc import Iterator
from typing import cast

import yaml
from yaml.events import (
    AliasEvent,
    DocumentStartEvent,
    Event,
    MappingEndEvent,
    MappingStartEvent,
    ScalarEvent,
    SequenceEndEvent,
    SequenceStartEvent,
)

from config.errors import Fault

MAX_DEPTH = 24

_NULLS = frozenset({"", "~", "null", "Null", "NULL"})
_BOOLS = {"true": True, "True": True, "TRUE": True, "false": False, "False": False, "FALSE": False}
# A leading zero or more than 18 digits is a code or an identifier, never a quantity: such a scalar stays text.
_INT = re.compile(r"[-+]?(?:0|[1-9][0-9]{0,17})")
_FLOAT = re.compile(r"[-+]?(?:(?:0|[1-9][0-9]*)?\.[0-9]+|(?:0|[1-9][0-9]*)\.?)(?:[eE][-+]?[0-9]{1,3})?")
_INTEGRAL = re.compile(r"[-+]?[0-9]+")


def is_plain_text(text: str) -> bool:
    """Whether the text, written without quotes, is read as this very text, and not as a number or as nothing."""
    is_other = text in _NULLS or text in _BOOLS
    is_int = _INT.fullmatch(text) is not None
    return not (is_other or is_int or (_FLOAT.fullmatch(text) and not _INTEGRAL.fullmatch(text)))


class FaultyYaml(Exception):
    """The text is not the YAML that an agent file may hold."""

    def __init__(self, faults: list[Fault]) -> None:
        self.faults: list[Fault] = faults
        super().__init__("\n".join(fault.message for fault in faults))


def parse_yaml(text: str) -> object:
    """Return the document as dicts with str keys, lists, str, int, float, bool and None; None for an empty text.

    Raises:
        FaultyYaml: with every repeated or non-text name, or the first thing that is not YAML, with line and column.
    """
    try:
        # Lazily, so that hostile nesting is refused before PyYAML has followed it, which takes it quadratic time.
        reader = _Reader(cast(Iterator[Event], yaml.parse(text, Loader=yaml.SafeLoader)))  # pyright: ignore[reportUnknownMemberType]
        value = reader.read()
    except yaml.MarkedYAMLError as error:
        cure = "look for a missing quote, colon or indentation there"
        raise FaultyYaml([Fault((), _sentence(error), cure)]) from error
    # PyYAML lets a ValueError escape for some escapes ("\UFFFFFFFF") and directives (%YAML 9...9).
    except (yaml.YAMLError, ValueError, OverflowError) as error:
        why = str(error).splitlines()[0]
        raise FaultyYaml([Fault((), f"is not YAML ({why})", "save it as plain UTF-8 text")]) from error
    if reader.faults:
        raise FaultyYaml(reader.faults)
    return value


def _sentence(error: yaml.MarkedYAMLError) -> str:
    mark = error.problem_mark or error.context_mark
    place = f" at line {mark.line + 1}, column {mark.column + 1}" if mark else ""
    return f"is not YAML{place} ({error.problem or error.context})"


def _line(event: Event) -> int:
    return event.start_mark.line + 1


class _Reader:
    """Builds values from PyYAML's events, so that none of its constructors ever runs."""

    def __init__(self, events: Iterator[Event]) -> None:
        self._events = events
        self.faults: list[Fault] = []

    def read(self) -> object:
        value: object = None
        documents = 0
        for event in self._events:
            if isinstance(event, DocumentStartEvent):
                documents += 1
                if documents > 1:
                    raise FaultyYaml(
                        [Fault((), f"line {_line(event)}: begins a second document", "one agent per file")]
                    )
                value = self._value(next(self._events), (), 1)
        return value

    def _value(self, event: Event, path: tuple[str | int, ...], depth: int) -> object:
        line = _line(event)
        if depth > MAX_DEPTH:
            raise FaultyYaml([Fault((), f"line {line}: is nested more than {MAX_DEPTH} levels deep", "flatten it")])
        if isinstance(event, AliasEvent):
            cure = "write the value out, or quote text that begins with *"
            raise FaultyYaml([Fault((), f"line {line}: aliases (*{event.anchor}) are not supported", cure)])
        if isinstance(event, ScalarEvent | SequenceStartEvent | MappingStartEvent) and event.tag is not None:
            tag = str(event.tag).replace("tag:yaml.org,2002:", "!!")
            cure = "remove it, or quote text that begins with !"
            raise FaultyYaml([Fault((), f"line {line}: tags ({tag}) are not supported", cure)])
        if isinstance(event, ScalarEvent):
            return self._scalar(event, path)
        if isinstance(event, SequenceStartEvent):
            return self._sequence(path, depth)
        return self._mapping(path, depth)

    def _sequence(self, path: tuple[str | int, ...], depth: int) -> list[object]:
        values: list[object] = []
        while not isinstance(event := next(self._events), SequenceEndEvent):
            values.append(self._value(event, (*path, len(values)), depth + 1))
        return values

    def _mapping(self, path: tuple[str | int, ...], depth: int) -> dict[str, object]:
        values: dict[str, object] = {}
        lines: dict[str, int] = {}
        while not isinstance(event := next(self._events), MappingEndEvent):
            line = _line(event)
            key = self._value(event, path, depth + 1)
            value = self._value(next(self._events), (*path, key) if isinstance(key, str) else path, depth + 1)
            if not isinstance(key, str):
                self.faults.append(Fault(path, f"line {line}: a name must be text", "put the name in quotes"))
            elif key in values:
                message = f"is given twice (lines {lines[key]} and {line})"
                self.faults.append(Fault((*path, key), message, "keep one of them"))
            else:
                values[key], lines[key] = value, line
        return values

    def _scalar(self, event: ScalarEvent, path: tuple[str | int, ...]) -> object:
        text = str(event.value)
        is_plain = bool(event.implicit[0])
        if is_plain and text in _NULLS:
            return None
        if is_plain and text in _BOOLS:
            return _BOOLS[text]
        if is_plain and _INT.fullmatch(text):
            return int(text)
        if is_plain and _FLOAT.fullmatch(text) and not _INTEGRAL.fullmatch(text):
            return float(text)
        if any("\ud800" <= character <= "\udfff" for character in text):
            self.faults.append(Fault(path, "holds half of a surrogate pair", r"write \U0001F600, not \uD83D\uDE00"))
        return text
