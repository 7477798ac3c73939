"""Query parameters of `/v1`: each of them is known, and is given once."""

from collections.abc import Iterator
from typing import Any
from urllib.parse import parse_qsl

from fastapi import Request
from fastapi.dependencies.utils import get_flat_params
from fastapi.params import Query
from pydantic import BaseModel

from api.errors import UnknownParameter
from config.wording import suggest


async def check_query(request: Request) -> None:
    """Raise `UnknownParameter` for a query parameter that the route does not have, or that is given twice."""
    text = request.scope.get("query_string", b"").decode("latin-1")
    if not text:
        return
    known = set(_names(request.scope["route"]))
    seen: set[str] = set()
    for name, _value in parse_qsl(text, keep_blank_values=True):
        if name not in known:
            cure = suggest(name[:60], known, "there are")
            raise UnknownParameter(f"{name[:60]}: is no query parameter of this path. {cure[:1].upper()}{cure[1:]}")
        if name in seen:
            raise UnknownParameter(f"{name[:60]}: is given twice. Give it once.")
        seen.add(name)


def _names(route: Any) -> Iterator[str]:
    for field in get_flat_params(route.dependant):
        if not isinstance(field.field_info, Query):
            continue
        kind = field.field_info.annotation
        if isinstance(kind, type) and issubclass(kind, BaseModel):
            yield from (inner.alias or name for name, inner in kind.model_fields.items())
        else:
            yield field.alias
