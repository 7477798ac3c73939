"""Which bytes of a file a request asks for: RFC 9110, section 14, for one range; of several, the whole file. Pure."""

import re
from dataclasses import dataclass
from datetime import datetime
from email.utils import format_datetime

from api.errors import NotThatFar

_ONE = re.compile(r"bytes\s*=\s*([0-9]{0,18})\s*-\s*([0-9]{0,18})", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class FileState:
    """What a file is known by: its size in bytes, its entity tag with its quotes, and when it was last changed."""

    size: int
    tag: str
    changed_at: datetime

    @property
    def last_modified(self) -> str:
        """As HTTP writes it."""
        return format_datetime(self.changed_at, usegmt=True)


def wanted_bytes(file: FileState, range_: str | None, if_range: str | None) -> tuple[int, int] | None:
    """Return the bytes [start, stop) that are wanted; None: the whole file, for that is what was asked or can be had.

    Args:
        file: what is asked of.
        range_: the header `Range`. One that cannot be read, or has several ranges, counts as not sent.
        if_range: the header `If-Range`: for another state of the file there is no range.

    Raises:
        NotThatFar: the range begins behind the file's end, or is empty.
    """
    if range_ is None or (if_range is not None and if_range.strip() not in (file.tag, file.last_modified)):
        return None
    found = _ONE.fullmatch(range_.strip())
    if found is None or not (found[1] or found[2]):
        return None
    if not found[1]:
        length = int(found[2])
        if not length:
            raise NotThatFar(file.size)
        return max(file.size - length, 0), file.size
    first, last = int(found[1]), int(found[2]) if found[2] else file.size - 1
    if found[2] and last < first:
        return None
    if first >= file.size:
        raise NotThatFar(file.size)
    return first, min(last + 1, file.size)


def is_unchanged(file: FileState, if_none_match: str | None) -> bool:
    """Return whether the one who asks has the file as it is: the header `If-None-Match`."""
    if if_none_match is None:
        return False
    tags = [tag.strip().removeprefix("W/") for tag in if_none_match.split(",")]
    return "*" in tags or file.tag in tags
