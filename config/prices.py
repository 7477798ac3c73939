"""The price table: `config/prices.yaml`, checked and frozen. Plans, limits and the costs of calls reckon with it."""

from datetime import date as Date
from pathlib import Path
from typing import Any, Literal, cast

import yaml
from pydantic import BaseModel, ConfigDict, Field, HttpUrl, ValidationError, field_validator
from pydantic_core import ErrorDetails
from yaml.nodes import MappingNode, Node, ScalarNode

from config.errors import printable
from config.wording import describe, problem, shown, suggest
from config.yaml_text import FaultyYaml, parse_yaml

PRICES_FILE = Path(__file__).with_name("prices.yaml")


class PriceErrors(Exception):
    """A price table cannot be used. `str()` has a line per problem: `file: line: name: what is wrong; the cure`."""


class Sourced(BaseModel):
    """Something read on somebody's page: `date` is when it last said so, `note` how that is known."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    date: Date
    source: HttpUrl
    note: str = ""

    @field_validator("date", mode="before")
    @classmethod
    def _read_date(cls, value: object) -> Date:
        try:
            return Date.fromisoformat(str(value))
        except ValueError as error:
            raise problem(f"must be a date (got {shown(value)})", "write it as 2026-09-18") from error


class PerStartedMinute(Sourced):
    """US dollars for each minute of a call, the last one counted whole."""

    usd: float = Field(ge=0)
    per: Literal["started minute"]


class PerMillionTokens(Sourced):
    """US dollars for a million tokens."""

    usd: float = Field(ge=0)
    per: Literal["million tokens"]


class PerSegment(Sourced):
    """US dollars for each segment of a text message."""

    usd: float = Field(ge=0)
    per: Literal["segment"]


class PerCall(Sourced):
    """US dollars for each call."""

    usd: float = Field(ge=0)
    per: Literal["call"]


class PerHour(Sourced):
    """US dollars for an hour, used or not."""

    usd: float = Field(ge=0)
    per: Literal["hour"]


class Fact(Sourced):
    """A number that is no price; its unit is in its name."""

    value: float = Field(gt=0)


class Prices(BaseModel):
    """What things cost; a unit is fixed for each, because the arithmetic depends on it."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    twilio_incoming_call: PerStartedMinute
    twilio_outgoing_call: PerStartedMinute
    twilio_media_stream: PerStartedMinute
    gemini_audio_in: PerMillionTokens
    gemini_audio_out: PerMillionTokens
    gemini_text_in: PerMillionTokens
    core: PerHour
    gemini_text_out: PerMillionTokens
    gemini_text_model_in: PerMillionTokens
    gemini_text_model_out: PerMillionTokens
    gemini_text_model_cached: PerMillionTokens
    twilio_conference: PerStartedMinute
    twilio_machine_detection: PerCall
    twilio_message: PerSegment


class Facts(BaseModel):
    """What Google and Twilio count with, and what they allow before they are asked for more."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    gemini_audio_tokens_per_sec: Fact
    gemini_sessions_per_project: Fact
    gemini_tokens_per_minute: Fact
    twilio_outgoing_calls_per_sec: Fact


class PriceTable(BaseModel):
    """The whole file."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    prices: Prices
    facts: Facts

    @property
    def oldest(self) -> Date:
        """The date of the price that was looked at the longest ago."""
        return min(cast(Sourced, price).date for _, price in self.prices)


def load_prices(path: Path = PRICES_FILE) -> PriceTable:
    """Read a price table.

    Raises:
        PriceErrors: with every problem of the file, each with its line and its cure.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise PriceErrors(printable(f"{path}: cannot be read ({error}); name a readable UTF-8 file")) from error
    try:
        values = parse_yaml(text)
        return PriceTable.model_validate({} if values is None else values)
    except FaultyYaml as error:
        lines = [_line(path, fault.path, fault.message, fault.cure) for fault in error.faults]
        raise PriceErrors("\n".join(lines)) from error
    except ValidationError as error:
        root = cast(Node | None, yaml.compose(text, Loader=yaml.SafeLoader))  # pyright: ignore[reportUnknownMemberType]
        raise PriceErrors("\n".join(_explain(path, root, line) for line in error.errors())) from error


def _explain(path: Path, root: Node | None, error: ErrorDetails) -> str:
    keys = error["loc"]
    if error["type"] == "extra_forbidden":
        message, cure = "unknown name", suggest(str(keys[-1]), _names_at(keys[:-1]), "names are")
    else:
        message, cure = describe(error)
    return _line(path, keys, message, cure, _line_of(root, keys))


def _line(path: Path, keys: tuple[str | int, ...], message: str, cure: str, number: int | None = None) -> str:
    parts = [str(path), f"line {number}" if number else "", ".".join(map(str, keys))]
    return printable(": ".join([part for part in parts if part] + [f"{message}; {cure}" if cure else message]))


def _line_of(root: Node | None, keys: tuple[str | int, ...]) -> int | None:
    """The line of the value that `keys` lead to, or of the last mapping on the way that is there."""
    node, line = root, None
    for key in keys:
        pairs = cast(list[tuple[Node, Node]], node.value) if isinstance(node, MappingNode) else []
        found = [pair for pair in pairs if isinstance(pair[0], ScalarNode) and pair[0].value == key]
        if not found:
            break
        line, node = found[0][0].start_mark.line + 1, found[0][1]
    return line


def _names_at(keys: tuple[str | int, ...]) -> list[str]:
    """The names that the model which `keys` lead to knows."""
    model: Any = PriceTable
    for key in keys:
        model = model.model_fields[str(key)].annotation
    return list(model.model_fields)
