"""What is left of an event when nothing that was said may be stored. Pure."""

from collections.abc import Mapping
from typing import Any

_EVERYWHERE = frozenset(
    """
    agent ahead_ms attempt attempts beginning by cause count direction end_ms for_ms interrupted is_dead kind lag_ms
    model ms outcome paused_ms quiet_ms start_ms step time_left_ms took_ms waited_ms
    """.split()
)
_BY_KIND: Mapping[str, frozenset[str]] = {
    "call": frozenset({"reason", "guest"}),
    "consent": frozenset({"answer"}),
    "do_not_call": frozenset({"is_written"}),
    "ladder": frozenset({"problem"}),
    "model": frozenset({"problem", "handle"}),
    "rescue": frozenset({"problem"}),
    "sms": frozenset({"characters"}),
    "tool": frozenset({"name"}),
}
"""First word of an event's kind -> what else may stay of it."""

_NUMBERS_ONLY = frozenset({"model.usage"})


def without_words(data: Mapping[str, Any], kind: str) -> dict[str, Any]:
    """Return an event's data without anything that either side said or pressed.

    Fields that are known to hold no such thing stay; one that nobody has thought of yet is left out.
    """
    if kind in _NUMBERS_ONLY:
        return dict(data)
    safe = _EVERYWHERE | _BY_KIND.get(kind.split(".", 1)[0], frozenset())
    return {name: value for name, value in data.items() if name in safe and not isinstance(value, dict | list)}
