"""The W3C `traceparent` header, read strictly. Pure. https://www.w3.org/TR/trace-context/#traceparent-header"""

import re

_FORM = re.compile(r"([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(-.*)?")


def read_traceparent(text: str | None) -> tuple[int, int] | None:
    """Return the ids of the caller's trace and span; None for none, and for what is none."""
    found = None if text is None else _FORM.fullmatch(text.strip())
    if found is None or found[1] == "ff" or (found[1] == "00" and found[5]):
        return None
    trace_id, span_id = int(found[2], 16), int(found[3], 16)
    return (trace_id, span_id) if trace_id and span_id else None
