"""An HTTP tool's request, filled in: every value encoded for the place where it stands. Pure."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, cast
from urllib.parse import quote, urlencode, urlsplit

from config.agent import AgentConfig
from config.tools_http import HttpRequest
from config.tools_templates import Slot, alone, parts_of
from net.tool_request import ToolRequest
from pipelines.tool_failures import RefusalKind, ToolRefused
from transcripts.call import Call, Direction

_NOTHING = object()
"""A parameter that the model left out."""


@dataclass(frozen=True)
class Values:
    """What the slots of one request stand for."""

    arguments: Mapping[str, Any]
    variables: Mapping[str, str]
    secrets: Mapping[str, str]
    facts: Mapping[str, str]

    def of(self, slot: Slot) -> Any:
        """The value of a slot; `_NOTHING` for a parameter without one."""
        if slot.kind == "secret":
            return self.secrets[slot.name]
        if slot.kind == "call":
            return self.facts[slot.name]
        value = self.arguments.get(slot.name, self.variables.get(slot.name, _NOTHING))
        return _NOTHING if value is None else value


def facts_of(call: Call, agent: AgentConfig) -> dict[str, str]:
    """What `{call:...}` stands for. A caller is who we talk with, whoever dialled."""
    is_outbound = call.direction is Direction.OUTBOUND
    caller, number = (call.to_number, call.from_number) if is_outbound else (call.from_number, call.to_number)
    facts = {"id": call.call_id, "direction": call.direction.value, "agent": agent.name}
    return facts | {"caller": caller or "", "number": number or ""}


def fill_request(http: HttpRequest, values: Values, *, idempotency_key: str) -> ToolRequest:
    """Return the request, ready to be sent.

    Raises:
        ToolRefused: a value cannot stand where it would have to; the model may give another.
    """
    url = "".join(_in_url(http.url, values))
    pairs = list(_pairs(http.query, values))
    if pairs:
        url = f"{url}?{urlencode(pairs, quote_via=quote)}"
    headers = {
        name: header for name, text in http.headers.items() if (header := _header(name, text, values)) is not None
    }
    given = {name.lower() for name in headers}
    if "accept" not in given:
        headers["Accept"] = "application/json, text/plain;q=0.5"
    body: bytes | None = None
    if http.body is not None:
        kind = "application/json" if http.body_as == "json" else "application/x-www-form-urlencoded"
        if http.body_as == "json":
            body = json.dumps(_filled(http.body, values), ensure_ascii=False).encode()
        else:
            body = urlencode(list(_pairs(http.body, values)), quote_via=quote).encode()
        if "content-type" not in given:
            headers["Content-Type"] = kind
    if http.idempotent:
        headers["Idempotency-Key"] = idempotency_key
    return ToolRequest(
        method=http.method,
        url=url,
        hosts=http.hosts,
        headers=headers,
        body=body,
        may_repeat=http.may_repeat,
        retries=http.retries,
        redirects=http.redirects,
        max_bytes=http.max_bytes,
    )


def _in_url(template: str, values: Values) -> Iterator[str]:
    """An address, piece by piece: a value is percent-encoded whole, so that it stays within its part."""
    path_ends = len(template) - len(urlsplit(template).query)
    at = 0
    for part in parts_of(template):
        if isinstance(part, str):
            at += len(part)
            yield part
            continue
        text = _text(values.of(part))
        if at < path_ends and text in ("", ".", ".."):
            raise ToolRefused(RefusalKind.BAD_ARGUMENTS, f"{part.name} cannot be {text!r} here.")
        at += len(part.name)
        yield quote(text, safe="")


def _pairs(mapping: Mapping[str, Any], values: Values) -> Iterator[tuple[str, str]]:
    """A query's or a form's names and values; a list becomes one pair for each of its elements."""
    for name, template in mapping.items():
        value = _filled(template, values)
        if value is _NOTHING:
            continue
        for one in cast(list[Any], value) if isinstance(value, list) else [value]:
            yield name, _text(one)


def _header(name: str, template: str, values: Values) -> str | None:
    value = _filled(template, values)
    if value is _NOTHING:
        return None
    text = _text(value)
    if not text.isascii() or not text.isprintable():
        raise ToolRefused(RefusalKind.BAD_ARGUMENTS, f"The header {name} holds plain letters and digits only.")
    return text


def _filled(template: Any, values: Values) -> Any:
    """A text, or all texts in lists and mappings, filled in; what the model left out is left out."""
    if isinstance(template, str):
        slot = alone(template)
        if slot is not None:
            return values.of(slot)
        return "".join(part if isinstance(part, str) else _text(values.of(part)) for part in parts_of(template))
    if isinstance(template, Mapping):
        filled = {key: _filled(inner, values) for key, inner in cast(Mapping[str, Any], template).items()}
        return {key: value for key, value in filled.items() if value is not _NOTHING}
    if isinstance(template, list | tuple):
        listed = [_filled(inner, values) for inner in cast(list[Any], template)]
        return [value for value in listed if value is not _NOTHING]
    return template


def _text(value: Any) -> str:
    if isinstance(value, str):
        return value
    return json.dumps(value, ensure_ascii=False)
