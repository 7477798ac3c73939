"""How long somebody who is busy asks to be left alone."""

from datetime import UTC, datetime

import pytest

from net.retry_after import read_wait_secs

pytestmark = pytest.mark.unit

NOW = datetime(2026, 3, 1, 9, 0, tzinfo=UTC)
DAY_SECS = 86_400.0


@pytest.mark.parametrize(
    ("given", "secs"),
    [
        ("0", 0.0),
        ("30", 30.0),
        (" 30 ", 30.0),
        ("0030", 30.0),
        ("86401", DAY_SECS),
        ("999999999", DAY_SECS),
        ("9" * 5000, DAY_SECS),
    ],
)
def test_seconds_are_at_most_a_day(given: str, secs: float) -> None:
    assert read_wait_secs(given, NOW) == secs


@pytest.mark.parametrize(
    ("given", "secs"),
    [
        ("Sun, 01 Mar 2026 09:01:00 GMT", 60.0),
        ("Sunday, 01-Mar-26 09:01:00 GMT", 60.0),
        ("Sun Mar  1 09:01:00 2026", 60.0),
        ("Sun, 01 Mar 2026 10:01:00 +0100", 60.0),
        ("Sun, 01 Mar 2026 08:00:00 GMT", 0.0),
        ("Sun, 01 Mar 0001 00:00:00 +2359", 0.0),
        ("Fri, 31 Dec 9999 23:59:59 -2359", DAY_SECS),
    ],
)
def test_a_date_is_what_is_left_until_then(given: str, secs: float) -> None:
    assert read_wait_secs(given, NOW) == secs


@pytest.mark.parametrize(
    "given",
    [
        "",
        " ",
        "soon",
        "-1",
        "-86400",
        "+30",
        "1.5",
        "1e3",
        "30s",
        "0x10",
        "nan",
        "inf",
        "٣٠",
        "²",
        "30, 60",
        "Sun, 99 Mar 2026 09:01:00 GMT",
        "Sun, 01 Mar 99999999999 09:01:00 GMT",
        "Sun, 01 Mar 2026 09:01:00 +9999999999999999",
        "\x00",
    ],
)
def test_nonsense_says_nothing(given: str) -> None:
    assert read_wait_secs(given, NOW) is None
