"""What callers entered by keys and nobody may keep: in the memory of one call, behind handles that say nothing."""

import re
from collections.abc import Mapping
from typing import Any, cast

from config.placeholders import NAME

_HANDLE = re.compile(rf"\{{digits:({NAME.pattern})\}}")
HIDDEN = "****"
"""What a model is told in place of the digits, however many there are."""


class NotEntered(LookupError):
    """The caller has not entered these digits in this call."""

    def __str__(self) -> str:
        """Return what is missing."""
        return f"the caller has not entered {self.args[0]}"


class SecretDigits:
    """The digits by the name of their field, for as long as the call lasts."""

    def __init__(self) -> None:
        self._entered: dict[str, str] = {}

    def __repr__(self) -> str:
        """Name the fields, not what is in them."""
        return f"SecretDigits({', '.join(self._entered)})"

    @property
    def values(self) -> list[str]:
        """What was entered, for whoever has to keep it out of something."""
        return list(self._entered.values())

    def keep(self, name: str, digits: str) -> str:
        """Keep the digits of a field; returns their handle: `{digits:pin}`."""
        self._entered[name] = digits
        return f"{{digits:{name}}}"

    def fill_in(self, value: Any) -> Any:
        """Return a text, or JSON with texts in it, in which every handle is replaced by what was entered.

        To be called at the moment of sending, and what it returns is to be written down nowhere. Raises `NotEntered`.
        """
        if isinstance(value, str):
            return _HANDLE.sub(lambda found: self._of(found[1]), value)
        if isinstance(value, Mapping):
            return {key: self.fill_in(below) for key, below in cast(Mapping[str, Any], value).items()}
        if isinstance(value, list | tuple):
            return [self.fill_in(below) for below in cast(list[Any], value)]
        return value

    def _of(self, name: str) -> str:
        if name not in self._entered:
            raise NotEntered(name)
        return self._entered[name]


def has_handle(text: str) -> bool:
    """Whether a text has a handle in it."""
    return _HANDLE.search(text) is not None
