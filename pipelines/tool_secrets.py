"""The secrets that tools may send, and how they are kept out of everything that comes back."""

from collections.abc import Iterable, Mapping
from typing import Any, cast

_MASK = "[secret]"
_SHORTEST = 4
"""What is shorter stands in any text by chance."""


def mask(value: Any, secrets: Iterable[str]) -> Any:
    """Return text, or all texts in lists and mappings, with every secret in them masked."""
    hidden = sorted({secret for secret in secrets if len(secret) >= _SHORTEST}, key=len, reverse=True)
    return _masked(value, hidden) if hidden else value


def _masked(value: Any, hidden: list[str]) -> Any:
    if isinstance(value, str):
        for secret in hidden:
            value = value.replace(secret, _MASK)
        return value
    if isinstance(value, Mapping):
        form = cast(Mapping[str, Any], value)
        return {_masked(key, hidden): _masked(inner, hidden) for key, inner in form.items()}
    if isinstance(value, list):
        return [_masked(inner, hidden) for inner in cast(list[Any], value)]
    return value
