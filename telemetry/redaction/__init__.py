"""Cards, telephone numbers, e-mail addresses and national ids, written or spoken, out of a text. Pure."""

from telemetry.redaction.kinds import ALL, Kind
from telemetry.redaction.redact import find_spans, redact, redact_all, redact_with

__all__ = ["ALL", "Kind", "find_spans", "redact", "redact_all", "redact_with"]
