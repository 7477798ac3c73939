"""A log line as one JSON object, for programs that collect logs.

{"time":"2026-03-02T09:00:00.123Z","level":"INFO","logger":"api.twilio","message":"call admitted",
 "call_id":"c1","fields":{"agent":"front-desk"}}
"""

import json
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from telemetry.moments import moment_text

_ON_TOP = ("call_id", "request_id", "trace_id", "process")
"""What lines of different places are joined by; everything else is in `fields`."""


def json_line(
    moment: datetime, level: str, logger: str, message: str, fields: Mapping[str, object], exception: str
) -> str:
    """Return the line, with its end.

    Args:
        moment: Aware; written in UTC, to the millisecond.
        level: Its name.
        logger: Whose line it is: a module of ours, or the name that a library logs under.
        message: What happened.
        fields: Facts; what JSON does not know is written as its text.
        exception: The traceback, if there is one.

    All of it has to be redacted before.
    """
    line: dict[str, Any] = {
        "time": moment_text(moment),
        "level": level,
        "logger": logger,
        "message": message,
    }
    line |= {name: fields[name] for name in _ON_TOP if name in fields}
    line["fields"] = {name: _plain(value) for name, value in fields.items() if name not in _ON_TOP}
    if exception:
        line["exception"] = exception
    return json.dumps(line, ensure_ascii=True, default=str) + "\n"


def _plain(value: object) -> object:
    """Return what any reader of JSON takes: of infinities and NaN, which it would not, their names."""
    if isinstance(value, float):
        return value if value - value == 0 else str(value)
    return value if isinstance(value, bool | int | str) or value is None else str(value)
