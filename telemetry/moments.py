"""A moment as people and their programs are told it: in logs, webhooks, events and receipts alike."""

from datetime import UTC, datetime


def moment_text(at: datetime) -> str:
    """Return an aware moment in UTC, to the millisecond, as ISO 8601 has it: `2026-03-01T09:00:00.000Z`."""
    return at.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
