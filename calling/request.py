"""What somebody asks for who wants a call placed: read strictly, or refused with the place and the cure."""

import hashlib
import json
from collections.abc import Iterable
from typing import Annotated, Any

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, StringConstraints, ValidationError

from calling.errors import BadRequest
from config.identifier import Identifier
from config.overrides import Overrides
from config.wording import describe, suggest

_LONGEST_VALUE = 4000
_MOST_VARIABLES = 100

_Value = Annotated[str, StringConstraints(max_length=_LONGEST_VALUE)]


class CallRequest(BaseModel):
    """One call to be placed. Nothing is guessed: a number is text, seconds are no booleans, no field is unknown."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)

    agent: str = Field(min_length=1, max_length=63, description="Which agent speaks.")
    to: str = Field(min_length=1, max_length=40, description="Whom to call, E.164.")
    from_number: str | None = Field(
        default=None, alias="from", max_length=40, description="What they see, E.164; one of our numbers."
    )
    variables: Annotated[dict[Identifier, _Value], Field(max_length=_MOST_VARIABLES)] = Field(
        default={}, description="Values for the {names} in the agent's texts."
    )
    overrides: Overrides = Field(default_factory=Overrides, description="What is otherwise in this one call.")
    ring_secs: Annotated[int, Field(ge=5, le=120)] | None = Field(
        default=None, description="How long the phone rings; the agent's own when left out."
    )
    at: AwareDatetime | None = Field(default=None, description="When to place it, ISO 8601 with zone; now.")

    @property
    def fingerprint(self) -> str:
        """A text that is the same for the same request, however its JSON was written."""
        plain = self.model_dump(mode="json", exclude_unset=True)
        return hashlib.sha256(json.dumps(plain, sort_keys=True).encode("utf-8")).hexdigest()


def read_request(body: bytes) -> CallRequest:
    """Read a request's JSON. Raises `BadRequest` with every fault, one sentence each."""
    try:
        return CallRequest.model_validate_json(body)
    except ValidationError as error:
        faults = [(_where(fault["loc"]), *_describe(fault)) for fault in error.errors()]
        raise BadRequest(" ".join(_sentence(*fault) for fault in faults), faults=faults) from error


def _describe(fault: Any) -> tuple[str, str]:
    match fault["type"]:
        case "json_invalid":
            return "the body is not JSON", 'send an object such as {"agent": "front-desk", "to": "+15551230100"}'
        case "model_type" | "model_attributes_type" if not fault["loc"]:
            return "the body must be an object", 'such as {"agent": "front-desk", "to": "+15551230100"}'
        case "extra_forbidden":
            model = Overrides if fault["loc"][0] == "overrides" else CallRequest
            return "is not a field", suggest(str(fault["loc"][-1]), _names(model), "fields are")
        case "timezone_aware":
            return "has no time zone", "write it like 2026-03-01T09:00:00+01:00"
        case "datetime_from_date_parsing" | "datetime_parsing" | "datetime_type":
            return "must be a moment", "write it like 2026-03-01T09:00:00+01:00"
        case _:
            return describe(fault)


def _names(model: type[BaseModel]) -> Iterable[str]:
    return [field.alias or name for name, field in model.model_fields.items()]


def _where(path: tuple[str | int, ...]) -> str:
    return ".".join(str(part) for part in path if part != "[key]")


def _sentence(where: str, message: str, cure: str) -> str:
    text = f"{where}: {message}" if where else message
    if not cure:
        return f"{text}."
    return f"{text}; {cure}" if cure.endswith(("?", ".")) else f"{text}; {cure}."
