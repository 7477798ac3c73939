"""The `privacy:` and `retention:` sections of an agent: what is not written down, and how long the rest is kept."""

from collections.abc import Sequence
from enum import StrEnum
from typing import Annotated, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

from config.wording import problem, shown

_LONGEST_DAYS = 36_500


class Redacted(StrEnum):
    """What can be left out of a transcript; each is replaced by its name in brackets."""

    CARD = "card"
    PHONE = "phone"
    EMAIL = "email"
    NATIONAL_ID = "national_id"


def _once_each(kinds: Sequence[Redacted]) -> tuple[Redacted, ...]:
    if twice := next((kind for kind in kinds if list(kinds).count(kind) > 1), None):
        raise problem(f"names {shown(twice.value)} twice", "name each once")
    return tuple(kinds)


class _Section(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class Privacy(_Section):
    """What is not written down, though the model hears it."""

    redact: Annotated[tuple[Redacted, ...], AfterValidator(_once_each)] = Field(
        default=(), description="Replaced in turns and events before they are written: card, phone, email, national_id."
    )


class Retention(_Section):
    """How many days after its end what is left of a call is removed. None: it is kept."""

    audio_days: int | None = Field(default=None, ge=0, le=_LONGEST_DAYS, description="Then its recording goes.")
    transcript_days: int | None = Field(
        default=None, ge=0, le=_LONGEST_DAYS, description="Then every word that was said goes, and what was made of it."
    )
    numbers_days: int | None = Field(
        default=None, ge=0, le=_LONGEST_DAYS, description="Then the telephone numbers of both sides go."
    )
    call_days: int | None = Field(
        default=None, ge=0, le=_LONGEST_DAYS, description="Then the call goes, with all that is left of it."
    )

    @property
    def is_empty(self) -> bool:
        """Whether everything is kept."""
        return all(days is None for days in (self.audio_days, self.transcript_days, self.numbers_days, self.call_days))

    @model_validator(mode="after")
    def _in_step(self) -> Self:
        if self.call_days is None:
            return self
        for name in ("audio_days", "transcript_days", "numbers_days"):
            days = getattr(self, name)
            if days is not None and days > self.call_days:
                raise problem(
                    f"{name} ({days}) is longer than call_days ({self.call_days}), after which nothing is left",
                    f"lower {name}, or raise call_days",
                )
        return self
