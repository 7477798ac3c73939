"""What is different between two versions of an agent: place by place, and as a person reads two files."""

import difflib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal, cast

from config.agent_file import dotted
from config.yaml_writing import write_yaml

Path = tuple[str | int, ...]


@dataclass(frozen=True, slots=True)
class Change:
    """One place: `path` as problems have it (`tools[0].http.url`); what there is not is None."""

    path: str
    kind: Literal["added", "removed", "changed"]
    before: Any = None
    after: Any = None


def changes(before: Mapping[str, Any], after: Mapping[str, Any]) -> list[Change]:
    """Return what is different, in the order of `before`, then what is new; lists are compared by position."""
    return list(_changes(before, after, ()))


def yaml_diff(before: Mapping[str, Any], after: Mapping[str, Any], names: tuple[str, str]) -> str:
    """Return both as YAML in a unified diff, empty when they are the same; `names` stand above."""
    old, new = (write_yaml(content).splitlines(keepends=True) for content in (before, after))
    return "".join(difflib.unified_diff(old, new, *names))


def _changes(before: object, after: object, path: Path) -> Iterator[Change]:
    both: tuple[Any, Any] = before, after
    if isinstance(before, Mapping) and isinstance(after, Mapping):
        old, new = cast(Mapping[str, object], before), cast(Mapping[str, object], after)
        for name, value in old.items():
            if name in new:
                yield from _changes(value, new[name], (*path, name))
            else:
                yield Change(dotted((*path, name)), "removed", before=value)
        yield from (Change(dotted((*path, name)), "added", after=new[name]) for name in new if name not in old)
    elif isinstance(before, list) and isinstance(after, list):
        first, second = cast(list[object], before), cast(list[object], after)
        for position, (one, other) in enumerate(zip(first, second, strict=False)):
            yield from _changes(one, other, (*path, position))
        for position in range(len(second), len(first)):
            yield Change(dotted((*path, position)), "removed", before=first[position])
        for position in range(len(first), len(second)):
            yield Change(dotted((*path, position)), "added", after=second[position])
    elif type(both[0]) is not type(both[1]) or before != after:
        yield Change(dotted(path), "changed", *both)
