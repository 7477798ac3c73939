"""The `webhooks:` of an agent: who is told of its calls, of what, and with how much of what was said."""

import re
from enum import StrEnum
from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, SecretStr
from pydantic_settings import NoDecode

from config.signing_secret import key_of_secret
from config.wording import problem, shown

_MOST_URL = 2000
_SECRET_NAME = re.compile(r"[A-Z][A-Z0-9_]*")


class WebhookEvent(StrEnum):
    """What there is to be told of."""

    CALL_STARTED = "call.started"
    CALL_ENDED = "call.ended"
    CALL_ANALYZED = "call.analyzed"


def webhook_url(url: str) -> str:
    """Check an address that webhooks go to; returns it. Whether its host is a public one is found out when asked."""
    is_sound = len(url) <= _MOST_URL and re.fullmatch(r"https?://[^\s/?#@\\]+(?:[/?][^\s#\\]*)?", url) is not None
    if not is_sound or not url.isascii():
        raise problem(
            f"must be a plain URL such as https://example.com/calls (got {shown(url)})",
            "leave out user name, spaces and '#...'",
        )
    return url


def _secret_name(name: str) -> str:
    if _SECRET_NAME.fullmatch(name):
        return name
    raise problem(f"must be the name of a secret (got {shown(name)})", "write CRM for TRUNKLINE_SECRET_CRM")


def _some(events: tuple[WebhookEvent, ...]) -> tuple[WebhookEvent, ...]:
    if events:
        return events
    raise problem("must not be empty", "name an event, or remove the line")


def _anything(value: object) -> object:
    return [value] if isinstance(value, str) else value


def _signing_secret(secret: SecretStr) -> SecretStr:
    key_of_secret(secret.get_secret_value())
    return secret


def _in_text(value: object) -> object:
    """A list as an environment variable has it: commas between."""
    return [part.strip() for part in value.split(",") if part.strip()] if isinstance(value, str) else value


Included = Literal["analysis", "transcript", "variables", "numbers"]
WebhookUrl = Annotated[str, AfterValidator(webhook_url)]
EventsInText = Annotated[tuple[WebhookEvent, ...], NoDecode, BeforeValidator(_in_text), AfterValidator(_some)]
IncludedInText = Annotated[tuple[Included, ...], NoDecode, BeforeValidator(_in_text)]
SigningSecret = Annotated[SecretStr, AfterValidator(_signing_secret)]


class SecretName(BaseModel):
    """A secret by its name."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    secret: Annotated[str, AfterValidator(_secret_name)] = Field(description="NAME of TRUNKLINE_SECRET_NAME.")


class Webhook(BaseModel):
    """One receiver."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    url: WebhookUrl = Field(description="Where to POST; https.")
    secret: SecretName | None = Field(default=None, description="What signs it, whsec_...; left out: one is made.")
    events: Annotated[tuple[WebhookEvent, ...], BeforeValidator(_anything), AfterValidator(_some)] = Field(
        default=(WebhookEvent.CALL_ENDED, WebhookEvent.CALL_ANALYZED), description="What is told."
    )
    include: Annotated[tuple[Included, ...], BeforeValidator(_anything)] = Field(
        default=("analysis",), description="What is told beside ids and facts."
    )
