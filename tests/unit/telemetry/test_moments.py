"""A moment as text: one form, whatever zone it is given in, that is read back as the same."""

from datetime import UTC, datetime, timedelta, timezone

import pytest

from telemetry.moments import moment_text

pytestmark = pytest.mark.unit


def test_a_moment_is_told_in_utc_to_the_millisecond() -> None:
    assert moment_text(datetime(2026, 3, 1, 9, 0, 5, 987_654, tzinfo=UTC)) == "2026-03-01T09:00:05.987Z"
    zone = timezone(timedelta(hours=-7))
    assert moment_text(datetime(2026, 2, 28, 23, 30, tzinfo=zone)) == "2026-03-01T06:30:00.000Z"
    at = datetime(2026, 3, 1, 9, 0, tzinfo=zone)
    assert datetime.fromisoformat(moment_text(at)) == at
