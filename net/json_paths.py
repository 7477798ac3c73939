"""A value out of JSON by its path: `$.order.status`, `$.items[0].name`, `$.items[*].name`, or the pointer
`/order/status` (RFC 6901). Pure."""

import re
from collections.abc import Iterator, Mapping
from typing import Any, cast

_STEP = re.compile(r"\.(?P<name>[^.\[\]]+)|\[(?P<at>\d+)\]|\[(?P<all>\*)\]|\['(?P<quoted>[^']+)'\]")


def find(value: Any, path: str) -> Any:
    """Return what `path` leads to, or None where there is nothing; after `[*]` a list with one for each."""
    return _walk(value, list(_steps(path)))


def _steps(path: str) -> Iterator[str | int | None]:
    """The steps of a path: a name, a position, or None for every element."""
    if path.startswith("/"):
        for part in path[1:].split("/"):
            yield part.replace("~1", "/").replace("~0", "~")
        return
    for match in _STEP.finditer(path.removeprefix("$")):
        if match["all"]:
            yield None
        elif match["at"]:
            yield int(match["at"])
        else:
            yield match["name"] or match["quoted"]


def _walk(value: Any, steps: list[str | int | None]) -> Any:
    for number, step in enumerate(steps):
        if isinstance(value, Mapping):
            value = cast(Mapping[str, Any], value).get(str(step)) if step is not None else None
        elif isinstance(value, list):
            listed = cast(list[Any], value)
            if step is None:
                return [_walk(inner, steps[number + 1 :]) for inner in listed]
            position = int(step) if isinstance(step, int) or step.isdecimal() else len(listed)
            value = listed[position] if position < len(listed) else None
        else:
            return None
    return value
