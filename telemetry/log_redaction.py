"""The step that every log record takes before it is written, in any form: nobody's number or address passes it."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from telemetry.redaction import redact, redact_all

if TYPE_CHECKING:
    from loguru import Record

HIDDEN = frozenset({"pii"})
"""Fields that are written in no form at all."""

_LONGEST_LINE = 20_000


def safe_text(text: str) -> str:
    """Return a line, a message or a traceback without numbers, addresses and ids of people."""
    if len(text) <= _LONGEST_LINE:
        return redact(text)
    # A monster would hold up the loop: it is looked at line by line, and what no eye would read is cut off.
    return "\n".join(redact(line[:_LONGEST_LINE]) for line in text.split("\n"))


def safe_message(record: "Record") -> str:
    """Return a record's message, redacted."""
    return safe_text(record["message"])


def safe_fields(record: "Record") -> dict[str, Any]:
    """Return a record's fields that may be written, redacted. Numbers that are numbers, not texts, stay."""
    return {key: _safe(value) for key, value in record["extra"].items() if key not in HIDDEN and key[:1] != "_"}


def _safe(value: Any) -> Any:
    if value is None or isinstance(value, bool | int | float):
        return value
    if isinstance(value, str):
        return safe_text(value)
    if isinstance(value, Mapping | list | tuple):
        return redact_all(value)
    return safe_text(str(value))
