"""How large and how deep an agent written over the API may be, and what its texts may hold."""

import json
import math
from collections.abc import Iterator, Mapping
from typing import Any, cast

from config.errors import Fault

MAX_DEPTH = 24
MAX_ENTRIES = 256
MAX_TOOLS = 64
MAX_PROMPT_CHARACTERS = 32_000
MAX_TEXT_CHARACTERS = 4_000
MAX_NAME_CHARACTERS = 200
MAX_BYTES = 256 * 1024
_LARGEST_WHOLE = 2**53 - 1  # what every reader of JSON can hold (RFC 8259, section 6)
_PROMPTS = {("instructions",)}
_MOST_FAULTS = 50

Path = tuple[str | int, ...]


def bound_faults(content: Mapping[str, Any]) -> list[Fault]:
    """Return where the content is too large, too deep, or holds what no text may; at most 50 places."""
    faults: list[Fault] = []
    for fault in _below(content, (), 1):
        faults.append(fault)
        if len(faults) == _MOST_FAULTS:
            return faults
    tools = content.get("tools")
    if isinstance(tools, list) and len(cast(list[Any], tools)) > MAX_TOOLS:
        faults.append(Fault(("tools",), f"has more than {MAX_TOOLS} tools", "a model chooses badly among so many"))
    if not faults and len(json.dumps(content, ensure_ascii=False).encode()) > MAX_BYTES:
        faults.append(Fault((), f"is larger than {MAX_BYTES // 1024} KiB", "move long texts into the bot"))
    return faults


def _below(value: object, path: Path, depth: int) -> Iterator[Fault]:
    if depth > MAX_DEPTH:
        yield Fault(path, f"is nested more than {MAX_DEPTH} levels deep", "flatten it")
    elif isinstance(value, str):
        longest = MAX_PROMPT_CHARACTERS if path in _PROMPTS else MAX_TEXT_CHARACTERS
        yield from _text_faults(value, path, longest)
    elif isinstance(value, Mapping):
        form = cast(Mapping[str, object], value)
        if len(form) > MAX_ENTRIES:
            yield Fault(path, f"has more than {MAX_ENTRIES} names", "remove some")
            return
        for name, inner in form.items():
            if wrong := next(_text_faults(name, path, MAX_NAME_CHARACTERS), None):
                yield Fault(path, f"has a name that {wrong.message}", wrong.cure)
            else:
                yield from _below(inner, (*path, name), depth + 1)
    elif isinstance(value, list):
        entries = cast(list[object], value)
        if len(entries) > MAX_ENTRIES:
            yield Fault(path, f"has more than {MAX_ENTRIES} entries", "remove some")
            return
        for position, inner in enumerate(entries):
            yield from _below(inner, (*path, position), depth + 1)
    elif isinstance(value, float) and not math.isfinite(value):
        yield Fault(path, "is no number that JSON knows", "write a finite one")
    elif isinstance(value, int) and abs(value) > _LARGEST_WHOLE:
        yield Fault(path, "is too large a number", "put it in quotes, if it is no quantity")


def _text_faults(text: str, path: Path, longest: int) -> Iterator[Fault]:
    if len(text) > longest:
        yield Fault(path, f"has {len(text)} characters, more than {longest}", "shorten it")
    elif any("\ud800" <= character <= "\udfff" for character in text):
        yield Fault(path, "holds half of a surrogate pair", "write the whole character")
    elif any(character < " " and character not in "\t\n\r" for character in text):
        yield Fault(path, "holds a control character", "remove it; line breaks and tabs may stay")
