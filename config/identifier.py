"""A name that an operator gives to something and a model or a text refers to: a letter, then letters, digits, `_`."""

from typing import Annotated

from pydantic import AfterValidator, Field

from config.placeholders import NAME
from config.wording import problem, shown


def _identifier(name: str) -> str:
    if NAME.fullmatch(name):
        return name
    raise problem(f"{shown(name)} is not a usable name", "use letters, digits and underscores, a letter first")


Identifier = Annotated[str, AfterValidator(_identifier), Field(pattern=f"^{NAME.pattern}$")]
