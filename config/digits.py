"""Keys of a telephone, in `digits:`: how the agent presses them, and what callers enter with them."""

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from config.identifier import Identifier


class _Section(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class DigitField(_Section):
    """Something that callers enter by keys."""

    count: int | None = Field(default=None, ge=1, le=64, description="How many keys; null: until `until`.")
    until: Literal["#", "*"] = Field(default="#", description="The key that ends it early.")
    first_key_secs: float = Field(default=10, ge=1, le=60, description="How long the first key is waited for.")
    next_key_secs: float = Field(default=5, ge=1, le=30, description="How long each further key is waited for.")
    secret: bool = Field(
        default=False, description="Never stored, and never told to the model: a PIN, a card number, a date of birth."
    )
    describe: str = Field(default="", description="What the model is told about it.")


class Digits(_Section):
    """What the agent does with keys."""

    sent_by: Literal["twilio", "tones"] = Field(
        default="twilio",
        description="How it presses keys: `twilio` leaves the stream for as long, `tones` mixes them into its voice.",
    )
    fields: dict[Identifier, DigitField] = Field(default={}, description="What callers enter by keys, by name.")
