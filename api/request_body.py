"""What comes in with a request of `/v1`, read whole before any route sees it: bounded, in time, and well-formed."""

import asyncio
import json
import re
from collections.abc import Mapping
from email.message import Message as MailMessage
from typing import Any, NoReturn, cast
from urllib.parse import unquote_to_bytes

from starlette.datastructures import Headers
from starlette.types import Receive, Scope

from api.errors import BadJson, BadText, BodyEncoded, BodyTooLarge, NotJson, SlowBody

MOST_BYTES = 64 * 1024
"""The longest body that a request of `/v1` may have."""
_MOST_DEPTH = 40
_MOST_INT = 2**63 - 1
_YAML = frozenset({"application/yaml", "text/yaml", "application/x-yaml"})
_BROKEN = re.compile("[\x00\ud800-\udfff]")


class ClientGone(Exception):
    """Whoever asked has left before the request was whole."""


async def read_body(scope: Scope, receive: Receive, patience_secs: float) -> tuple[bytes, Any]:
    """Return the body, and what it says when it is JSON; None for an empty one and for YAML.

    It has `patience_secs` to come in.

    Raises:
        BodyTooLarge: it has more than `MOST_BYTES`, or says so.
        SlowBody: it did not come in time.
        NotJson: it is of another kind.
        BodyEncoded: it is compressed.
        BadJson: it is none, nests too deep, or has a name twice.
        BadText: it holds NUL, half surrogates, or numbers that do not fit.
        ClientGone: nobody waits for an answer.
    """
    headers = Headers(scope=scope)
    told = headers.get("content-length", "0")
    if told.isascii() and told.isdigit() and (len(told) > 18 or int(told) > MOST_BYTES):
        raise BodyTooLarge(_too_large())
    body = await _receive_all(receive, patience_secs)
    if not body:
        return body, None
    if headers.get("content-encoding", "identity").strip().lower() not in ("", "identity"):
        raise BodyEncoded
    kind = MailMessage()
    kind["content-type"] = headers.get("content-type", "")
    name, charset = kind.get_content_type(), kind.get_content_charset("utf-8")
    is_json = name == "application/json" or (name.startswith("application/") and name.endswith("+json"))
    if not headers.get("content-type") or not (is_json or name in _YAML) or charset not in ("utf-8", "us-ascii"):
        raise NotJson
    try:
        text = body.decode("utf-8")
    except UnicodeDecodeError as error:
        raise BadJson(f"The body is not UTF-8 (byte {error.start}).") from error
    if not is_json:
        _check_text(text, "the body")
        return body, None
    return body, _read_json(text)


def check_address(scope: Scope) -> None:
    """Raise `BadText` for a path or a query that holds what no text may hold, or a parameter twice."""
    raw = bytes(scope.get("raw_path") or b"")
    for part, where in ((raw, "the path"), (bytes(scope.get("query_string", b"")), "the query")):
        try:
            _check_text(unquote_to_bytes(part).decode("utf-8"), where)
        except UnicodeDecodeError as error:
            raise BadText(f"{where}: is not UTF-8.") from error


def _check_text(text: str, where: str) -> None:
    if found := _BROKEN.search(text):
        kind = "a NUL character" if found[0] == "\x00" else "half of a surrogate pair"
        raise BadText(f"{where}: holds {kind}, which no text may.")


async def _receive_all(receive: Receive, patience_secs: float) -> bytes:
    pieces: list[bytes] = []
    size = 0
    try:
        async with asyncio.timeout(patience_secs):
            while True:
                message = await receive()
                if message["type"] == "http.disconnect":
                    raise ClientGone
                pieces.append(message.get("body", b""))
                size += len(pieces[-1])
                if size > MOST_BYTES:
                    raise BodyTooLarge(_too_large())
                if not message.get("more_body", False):
                    return b"".join(pieces)
    except TimeoutError as error:
        raise SlowBody from error


def _too_large() -> str:
    return f"The body is larger than {MOST_BYTES // 1024} KiB."


def _read_json(text: str) -> Any:
    try:
        value: Any = json.loads(text, parse_constant=_no_constant, object_pairs_hook=_once_each)
    except RecursionError as error:
        raise BadJson(_too_deep()) from error
    except json.JSONDecodeError as error:
        raise BadJson(f"The body is not JSON: {error.msg.lower()} at character {error.pos}.") from error
    except ValueError as error:  # a number with thousands of digits
        raise BadJson("The body holds a number that is too long.") from error
    _check_values(value)
    return value


def _no_constant(name: str) -> NoReturn:
    raise BadJson(f"The body holds {name}, which is not JSON.")


def _once_each(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise BadJson("The body has a name twice in one object.")
    return found


def _too_deep() -> str:
    return f"The body nests deeper than {_MOST_DEPTH} levels."


def _check_values(whole: Any) -> None:
    """Look at every value, without recursion: what is looked at may be made to nest."""
    waiting: list[tuple[Any, str, int]] = [(whole, "", 0)]
    while waiting:
        value, where, depth = waiting.pop()
        if depth > _MOST_DEPTH:
            raise BadJson(_too_deep())
        match value:
            case str():
                _check_text(value, where or "the body")
            case float() if value in (float("inf"), float("-inf")):
                raise BadText(f"{where or 'the body'}: is too large a number.")
            case int() if not -_MOST_INT <= value <= _MOST_INT:
                raise BadText(f"{where or 'the body'}: must fit into 64 bit.")
            case dict():
                for name, inner in cast(Mapping[str, Any], value).items():
                    _check_text(name, f"a name in {where or 'the body'}")
                    waiting.append((inner, f"{where}.{name[:60]}" if where else name[:60], depth + 1))
            case list():
                waiting += [(inner, f"{where}[{i}]", depth + 1) for i, inner in enumerate(cast(list[Any], value))]
            case _:
                continue
