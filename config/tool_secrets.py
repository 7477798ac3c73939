"""Secrets that tools may send: every variable that begins with TRUNKLINE_SECRET_, in the environment or `.env`."""

import re
from collections.abc import Iterable
from typing import Any

from pydantic.fields import FieldInfo
from pydantic_settings import BaseSettings, EnvSettingsSource, PydanticBaseSettingsSource

_PREFIX = "trunkline_secret_"
_NAME = re.compile(r"(?!NAME$)[A-Z][A-Z0-9_]*")


def secret_variable(name: str) -> str:
    """Return the environment variable that holds the secret `{secret:NAME}`."""
    return f"{_PREFIX.upper()}{name}"


class ToolSecrets(PydanticBaseSettingsSource):
    """Gathers them into one field, for their names are the operator's own. The first source that has one wins."""

    def __init__(self, settings: type[BaseSettings], field: str, sources: Iterable[PydanticBaseSettingsSource]) -> None:
        """Take the field that they go into, and where variables are read, the most important first."""
        super().__init__(settings)
        self._field = field
        self._sources = [source for source in sources if isinstance(source, EnvSettingsSource)]

    def get_field_value(self, field: FieldInfo, field_name: str) -> tuple[Any, str, bool]:
        """No field is one variable here; all of them come by calling this."""
        return None, field_name, False

    def __call__(self) -> dict[str, Any]:
        """Return the secrets by name, under the field's name; empty when there are none."""
        found: dict[str, str] = {}
        for source in self._sources:
            for variable, value in source.env_vars.items():
                name = variable.lower().removeprefix(_PREFIX).upper()
                if variable.lower().startswith(_PREFIX) and _NAME.fullmatch(name) and value:
                    found.setdefault(name, value)
        return {self._field: found} if found else {}
