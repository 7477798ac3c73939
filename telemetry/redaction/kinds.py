"""What is taken out of a text, and what stands in its place."""

from enum import StrEnum
from typing import NamedTuple


class Kind(StrEnum):
    """What a piece of text says of a person. The names are those of an agent's `privacy.redact`."""

    CARD = "card"
    PHONE = "phone"
    EMAIL = "email"
    NATIONAL_ID = "national_id"

    @property
    def placeholder(self) -> str:
        """What stands in its place."""
        return f"[{self.value.replace('_', ' ')}]"


ALL = frozenset(Kind)


class Span(NamedTuple):
    """Characters [start, end) of a text, and what they are."""

    start: int
    end: int
    kind: Kind
