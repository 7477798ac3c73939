"""A language code, as agents' files have it."""

import re
from typing import Annotated

from pydantic import AfterValidator, Field

from config.wording import problem, shown

_LANGUAGE = re.compile(r"[a-z]{2,3}(-[A-Za-z0-9]{2,8})*")


def _language(code: str) -> str:
    if _LANGUAGE.fullmatch(code):
        return code
    raise problem(f"must be a language code (got {shown(code)})", "write it like en-US or de-DE")


LanguageCode = Annotated[str, AfterValidator(_language), Field(json_schema_extra={"pattern": f"^{_LANGUAGE.pattern}$"})]
"""A BCP 47 code, such as de-AT."""
