"""JSON Merge Patch, RFC 7396: what a patch makes of a value."""

from collections.abc import Mapping
from typing import Any, cast


def merged(value: object, patch: object) -> Any:
    """Return the patched value: null removes a name, a mapping goes into a mapping, all else replaces."""
    if not isinstance(patch, Mapping):
        return patch
    result: dict[str, Any] = dict(cast(Mapping[str, Any], value)) if isinstance(value, Mapping) else {}
    for name, inner in cast(Mapping[str, Any], patch).items():
        if inner is None:
            result.pop(name, None)
        else:
            result[name] = merged(result.get(name), inner)
    return result
