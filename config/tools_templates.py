"""The braces in an HTTP tool's request. `{order_id}` is what the model gave, or a variable of the call;
`{secret:SHOP_KEY}` a secret of the server; `{call:caller}` a fact of the call. `{{name}}` is plain `{name}`, any other
brace is text."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Annotated, cast

from pydantic import AfterValidator

from config.placeholders import NAME
from config.wording import problem, suggest

CALL_FACTS: Mapping[str, str] = {
    "id": "the call's id",
    "caller": "the number of the other party, E.164; empty in a browser",
    "number": "the agent's own number, E.164; empty in a browser",
    "direction": "inbound, outbound or browser",
    "agent": "the agent's name",
}
"""What `{call:...}` knows."""

SECRET_NAME = re.compile(r"[A-Z][A-Z0-9_]*")
_BRACES = re.compile(rf"\{{\{{(?P<escaped>{NAME.pattern})\}}\}}|\{{(?:(?P<kind>[a-z]+):)?(?P<name>{NAME.pattern})\}}")


@dataclass(frozen=True, slots=True)
class Slot:
    """One place to fill in. `kind` is "" for an argument or a variable, else "secret" or "call"."""

    kind: str
    name: str


def parts_of(text: str) -> Iterator[str | Slot]:
    """Yield a template's texts and slots, first to last."""
    at = 0
    for match in _BRACES.finditer(text):
        if match.start() > at:
            yield text[at : match.start()]
        at = match.end()
        yield f"{{{match['escaped']}}}" if match["escaped"] else Slot(match["kind"] or "", match["name"])
    if at < len(text):
        yield text[at:]


def slots_of(value: object) -> Iterator[Slot]:
    """Yield every slot of a template, or of all texts in lists and mappings of them."""
    if isinstance(value, str):
        yield from (part for part in parts_of(value) if isinstance(part, Slot))
    elif isinstance(value, Mapping):
        for inner in cast(Mapping[str, object], value).values():
            yield from slots_of(inner)
    elif isinstance(value, list | tuple):
        for inner in cast(list[object], value):
            yield from slots_of(inner)


def alone(text: str) -> Slot | None:
    """Return the slot that is all of this template, or None: then a value keeps its type, and may be left out."""
    parts = list(parts_of(text))
    return parts[0] if len(parts) == 1 and isinstance(parts[0], Slot) else None


def check_slots(text: object) -> None:
    """Raise for a slot that nothing can fill in, in a template or in lists and mappings of them."""
    for slot in slots_of(text):
        if slot.kind == "secret" and not SECRET_NAME.fullmatch(slot.name):
            raise problem(
                f"{{secret:{slot.name}}} is not a usable name", "write it in capitals, like {secret:SHOP_KEY}"
            )
        if slot.kind == "call" and slot.name not in CALL_FACTS:
            raise problem(f"there is no {{call:{slot.name}}}", suggest(slot.name, CALL_FACTS, "facts of a call are"))
        if slot.kind not in ("", "secret", "call"):
            cure = f"write {{secret:...}} or {{call:...}}, or {{{{{slot.name}}}}} for plain braces"
            raise problem(f"there is nothing of the kind {{{slot.kind}:...}}", cure)


def _known_slots(text: str) -> str:
    check_slots(text)
    return text


def _only_secrets(text: str) -> str:
    check_slots(text)
    for slot in slots_of(text):
        if slot.kind != "secret":
            raise problem(
                f"{{{slot.name}}} cannot be filled in here", "only {secret:NAME} can: the server outlives a call"
            )
    return text


def _no_slots(text: str) -> str:
    for slot in slots_of(text):
        what = f"{slot.kind}:{slot.name}" if slot.kind else slot.name
        raise problem(f"{{{what}}} cannot be filled in here", "put secrets into env: or headers:")
    return text


Template = Annotated[str, AfterValidator(_known_slots)]
"""Text with slots of every kind."""
SecretTemplate = Annotated[str, AfterValidator(_only_secrets)]
"""Text in which only secrets may stand."""
PlainText = Annotated[str, AfterValidator(_no_slots)]
"""Text in which nothing is filled in; others may see it."""
