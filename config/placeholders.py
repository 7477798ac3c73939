"""The `{variables}` in an agent's texts. `{name}` is replaced; `{{name}}` says `{name}`; any other brace is plain text,
so that a prompt may hold JSON."""

import re
from collections.abc import Iterator, Mapping

from config.errors import UnknownVariable

NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_PLACEHOLDER = re.compile(rf"\{{\{{({NAME.pattern})\}}\}}|\{{({NAME.pattern})\}}")


def placeholders(text: str) -> Iterator[tuple[str, bool]]:
    """Yield each placeholder's name and whether it is escaped with double braces, in the order of the text."""
    for match in _PLACEHOLDER.finditer(text):
        yield match[1] or match[2], match[1] is not None


def fill_placeholders(text: str, values: Mapping[str, str]) -> str:
    """Return `text` with every `{name}` replaced. A value is never searched for placeholders again: it may come from
    a stranger.

    Raises:
        UnknownVariable: when `values` lacks a name that the text uses.
    """

    def replace(match: re.Match[str]) -> str:
        if match[1] is not None:
            return f"{{{match[1]}}}"
        if match[2] not in values:
            raise UnknownVariable(match[2], values)
        return values[match[2]]

    return _PLACEHOLDER.sub(replace, text)
