"""Pages of a list, newest first: a cursor says where the next page begins, whatever has been added meanwhile."""

import base64
import binascii
import hashlib
import json
from collections.abc import Mapping
from datetime import UTC, datetime

from api.errors import BadCursor
from storage.keyset import Position

_FILTER_BYTES = 9
_LONGEST_ID = 100


def cursor_after(last: Position, filters: Mapping[str, object]) -> str:
    """Return the cursor of the page behind this row; it is good for a list with the same filters only."""
    text = json.dumps([last.at.astimezone(UTC).isoformat(), last.row_id, _mark(filters)], separators=(",", ":"))
    return base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")


def position_of(cursor: str | None, filters: Mapping[str, object]) -> Position | None:
    """Return behind which row the page begins; None: it is the first one. Raises `BadCursor`."""
    if cursor is None:
        return None
    try:
        at, row_id, mark = json.loads(base64.b64decode(cursor + "=" * (-len(cursor) % 4), b"-_", validate=True))
        moment = datetime.fromisoformat(at)
    except (ValueError, TypeError, binascii.Error, RecursionError) as error:
        raise BadCursor from error
    is_id = isinstance(row_id, str) and 0 < len(row_id) <= _LONGEST_ID and row_id.isascii() and row_id.isprintable()
    if not is_id or moment.tzinfo is None or mark != _mark(filters):
        raise BadCursor
    return Position(moment, row_id)


def _mark(filters: Mapping[str, object]) -> str:
    plain = json.dumps({name: str(value) for name, value in filters.items() if value is not None}, sort_keys=True)
    return base64.urlsafe_b64encode(hashlib.sha256(plain.encode()).digest()[:_FILTER_BYTES]).decode()
