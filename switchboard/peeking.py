"""Where a connection wants to go, from its first bytes, which are looked at and left where they are."""

import re

PEEK_BYTES = 2048
_STREAM = re.compile(rb"GET [^ ?]*/twilio/stream/([A-Za-z0-9-]{1,128})[ ?]")


def is_enough(head: bytes) -> bool:
    """Whether the request line is there, or will not come in what can be looked at."""
    return b"\n" in head or len(head) >= PEEK_BYTES


def stream_of(head: bytes) -> str | None:
    """Return the name of the process that a media stream's path names; None for anything else."""
    found = _STREAM.match(head)
    return found[1].decode() if found else None
