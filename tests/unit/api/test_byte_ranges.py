"""Every form of a range that RFC 9110 knows, and many that it does not."""

from datetime import UTC, datetime

import pytest

from api.byte_ranges import FileState, is_unchanged, wanted_bytes
from api.errors import NotThatFar

FILE = FileState(1000, '"tag"', datetime(2026, 3, 1, 9, 0, tzinfo=UTC))


@pytest.mark.parametrize(
    ("header", "wanted"),
    [
        (None, None),
        ("bytes=0-", (0, 1000)),
        ("bytes=0-0", (0, 1)),
        ("bytes=500-599", (500, 600)),
        ("bytes=999-", (999, 1000)),
        ("bytes=990-5000", (990, 1000)),
        ("bytes=-1", (999, 1000)),
        ("bytes=-1000", (0, 1000)),
        ("bytes=-5000", (0, 1000)),
        ("BYTES=1-2", (1, 3)),
        ("bytes = 1 - 2", (1, 3)),
        # What cannot be read counts as not sent, and so does more than one range.
        ("bytes=5-4", None),
        ("bytes=-", None),
        ("bytes=", None),
        ("bytes=a-b", None),
        ("bytes=1", None),
        ("bytes=1-2,4-5", None),
        ("items=0-5", None),
        ("bytes=--5", None),
        ("bytes=0x1-2", None),
        ("bytes=1-2-3", None),
        ("bytes=\u0661-\u0662", None),
        (f"bytes={'9' * 400}-", None),
    ],
)
def test_a_range(header: str | None, wanted: tuple[int, int] | None) -> None:
    assert wanted_bytes(FILE, header, None) == wanted


@pytest.mark.parametrize("header", ["bytes=1000-", "bytes=1000-2000", "bytes=-0", f"bytes={'9' * 18}-"])
def test_a_range_behind_the_end(header: str) -> None:
    with pytest.raises(NotThatFar) as caught:
        wanted_bytes(FILE, header, None)
    assert caught.value.headers == {"Content-Range": "bytes */1000"}


def test_a_range_of_another_state_is_the_whole_file() -> None:
    for same in ('"tag"', "Sun, 01 Mar 2026 09:00:00 GMT"):
        assert wanted_bytes(FILE, "bytes=0-9", same) == (0, 10)
    for other in ('"other"', 'W/"tag"', "Sun, 01 Mar 2026 09:00:01 GMT", "nonsense", ""):
        assert wanted_bytes(FILE, "bytes=0-9", other) is None
        assert wanted_bytes(FILE, "bytes=5000-", other) is None


def test_whoever_has_the_file_is_told_so() -> None:
    assert [is_unchanged(FILE, tags) for tags in ('"tag"', '"a", W/"tag"', "*")] == [True] * 3
    assert [is_unchanged(FILE, tags) for tags in (None, "", '"a"', "tag")] == [False] * 4
