"""What is left of an event when an agent's file says what of people is not written down. Pure."""

from collections.abc import Collection, Mapping
from typing import Any

from telemetry.redaction import Kind, redact_all

_KEY = "caller.digit"
_BY_KEYS = frozenset({Kind.CARD, Kind.PHONE, Kind.NATIONAL_ID})
HIDDEN_KEY = "*"


def redacted(data: Mapping[str, Any], kind: str, kinds: Collection[Kind]) -> dict[str, Any]:
    """Return an event's data without what is of these kinds.

    Keys are told one at a time, so no single one shows what it belongs to: none of them is told.
    """
    if kind == _KEY and not _BY_KEYS.isdisjoint(kinds):
        return {**data, "digit": HIDDEN_KEY}
    left: dict[str, Any] = redact_all(data, kinds)
    return left
