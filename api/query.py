"""Query parameters of `/v1`: each of them is known, and is given once."""

import re
from collections.abc import Iterator
from typing import Any
from urllib.parse import parse_qsl

from fastapi import Request
from fastapi.dependencies.utils import get_flat_params
from fastapi.params import Query
from pydantic import BaseModel

from api.errors import BadText, UnknownParameter
from config.wording import suggest

_WHOLE = re.compile(r"-?[0-9]{1,18}")


async def check_query(request: Request) -> None:
    """Look at each query parameter of a request.

    Raises:
        UnknownParameter: the route does not have it, or it is given twice.
        BadText: it is to be a whole number, or true or false, and is none.
    """
    text = request.scope.get("query_string", b"").decode("latin-1")
    if not text:
        return
    known = dict(_fields(request.scope["route"]))
    seen: set[str] = set()
    for name, value in parse_qsl(text, keep_blank_values=True):
        if name not in known:
            cure = suggest(name[:60], known, "there are")
            cure = f"{cure[:1].upper()}{cure[1:]}".rstrip(".") + ("" if cure.endswith("?") else ".")
            raise UnknownParameter(f"{name[:60]}: is no query parameter of this path. {cure}")
        if name in seen:
            raise UnknownParameter(f"{name[:60]}: is given twice. Give it once.")
        if known[name] in (int, int | None) and not _WHOLE.fullmatch(value):
            # Pydantic would take 1.0, 1_0 and blanks for whole numbers as well.
            raise BadText(f"{name}: must be a whole number. Write it in digits.")
        if known[name] in (bool, bool | None) and value not in ("true", "false"):
            raise BadText(f"{name}: must be true or false. Write it in small letters.")
        seen.add(name)


def _fields(route: Any) -> Iterator[tuple[str, Any]]:
    for field in get_flat_params(route.dependant):
        if not isinstance(field.field_info, Query):
            continue
        kind = field.field_info.annotation
        if isinstance(kind, type) and issubclass(kind, BaseModel):
            yield from ((inner.alias or name, inner.annotation) for name, inner in kind.model_fields.items())
        else:
            yield field.alias, kind
