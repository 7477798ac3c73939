"""JSON that both databases take. Pure."""

import json
import math
from typing import cast


def dump_json(value: object) -> str:
    """Write a JSON column's value so that both databases take it.

    Infinities and NaN become null (PostgreSQL refuses them); what JSON does not know is written as its `str`.
    """
    try:
        return json.dumps(value, allow_nan=False, default=str)
    except ValueError:
        return json.dumps(_finite(value), allow_nan=False, default=str)


def _finite(value: object) -> object:
    match value:
        case float():
            return value if math.isfinite(value) else None
        case dict():
            return {key: _finite(item) for key, item in cast(dict[str, object], value).items()}
        case list() | tuple():
            return [_finite(item) for item in cast(list[object], value)]
        case _:
            return value
