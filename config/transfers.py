"""Whom an agent may put a caller through to: named destinations, in `transfers:`."""

import re
import wave
from collections.abc import Mapping
from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field

from config.phrases import Sentence
from config.telephone_number import PhoneNumber, read_e164
from config.wording import problem, shown

_SIP = re.compile(r"sips?:[\w.!~*'()&=+$,;?/%-]{1,128}@[A-Za-z0-9.-]{1,190}(:[0-9]{1,5})?([;?][\w.;=&%-]*)?", re.ASCII)
_MOST_ADDRESS_CHARACTERS = 255  # Twilio: a longer SIP address is refused

WhenNotAnswered = Literal["return", "hang_up", "message"]


def _address(address: str) -> str:
    if not address.lower().startswith(("sip:", "sips:")):
        return read_e164(address)
    if _SIP.fullmatch(address) and len(address) <= _MOST_ADDRESS_CHARACTERS:
        return address
    raise problem(f"is no SIP address (got {shown(address)})", 'write it like "sip:sales@example.com"')


Address = Annotated[str, AfterValidator(_address)]
"""A telephone number in E.164 form, or a SIP address."""


def _hold(hold: str) -> str:
    """A file is looked at when the agent is loaded: nobody would notice before a caller is on hold."""
    if not is_hold_file(hold):
        return hold
    try:
        with wave.open(hold, "rb") as file:
            shape = (file.getnchannels(), file.getsampwidth() * 8, file.getframerate())
            is_long_enough = file.getnframes() >= file.getframerate()
    except (OSError, EOFError, wave.Error) as error:
        raise problem(f"the file {shown(hold)} cannot be read ({error})", "give the path of a WAV file") from error
    if shape[:2] != (1, 16) or shape[2] not in HOLD_RATES_HZ or not is_long_enough:
        channels, bits, rate_hz = shape
        raise problem(
            f"{shown(hold)} has {channels} channels, {bits} bits and {rate_hz} Hz",
            "convert it to mono, 16 bits, 8000 or 24000 Hz, at least a second long",
        )
    return hold


HOLD_RATES_HZ = (8_000, 24_000)
"""What a file for callers on hold may have."""


def is_hold_file(hold: str) -> bool:
    """Whether `hold` names a file, as against a sentence or one of the known words."""
    return hold.lower().endswith(".wav")


class _Section(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class Target(_Section):
    """One telephone that is rung."""

    address: Address = Field(description="A number, E.164, quoted; or a SIP address such as sip:sales@example.com.")
    ring_secs: int | None = Field(
        default=None, ge=5, le=600, description="How long this one rings; null: as long as the destination says."
    )


def _target(value: object) -> object:
    return {"address": value} if isinstance(value, str) else value


def _targets(value: object) -> object:
    """One address may stand without its list."""
    return value if isinstance(value, list | tuple) else [value]  # pyright: ignore[reportUnknownVariableType]


def _different(targets: tuple[Target, ...]) -> tuple[Target, ...]:
    addresses = [target.address for target in targets]
    for position, address in enumerate(addresses):
        if address in addresses[:position]:
            raise problem(f"{address} is listed twice", "keep one of them; each is rung once")
    return targets


class Transfer(_Section):
    """One destination."""

    to: Annotated[
        tuple[Annotated[Target, BeforeValidator(_target, json_schema_input_type=Target | str)], ...],
        BeforeValidator(
            _targets,
            json_schema_input_type=Target | str | list[Target | str],
        ),
        AfterValidator(_different),
        Field(min_length=1, max_length=10),
    ] = Field(description="Whom to ring: numbers and SIP addresses, one after the other until somebody answers.")
    describe: Sentence = Field(description="What the model is told about it: who is there, and for which questions.")
    ring_secs: int = Field(default=20, ge=5, le=600, description="How long each of them rings, in seconds.")
    mode: Literal["cold", "warm"] = Field(
        default="cold",
        description="`cold`: the caller is put through at once; `warm`: the person first hears who calls, and decides.",
    )
    hold: Annotated[Sentence, AfterValidator(_hold)] = Field(
        default="music",
        description="Warm, what the caller hears meanwhile: `music`, `silence`, a WAV file, a sentence; or `talk`: the "
        "agent stays with him.",
    )
    detect_machines: bool = Field(
        default=False, description="Warm: have Twilio find out whether a machine answers, and hang up on it."
    )
    say: str = Field(default="", description="What the agent says before; empty: it finds its own words.")
    caller_id: PhoneNumber | None = Field(
        default=None, description="The number that they see: one of your own at Twilio; null: the caller's."
    )
    when_not_answered: WhenNotAnswered = Field(
        default="return",
        description="`return`: the caller is back with the agent; `hang_up`; `message`: one is taken, as a voicemail.",
    )

    @property
    def hold_sentence(self) -> str | None:
        """The sentence that a caller on hold hears, if that is what he hears."""
        is_known = self.hold in ("music", "silence", "talk")
        return None if self.mode == "cold" or is_known or is_hold_file(self.hold) else self.hold

    def ring_secs_of(self, target: Target) -> int:
        """Return how long this target rings."""
        return target.ring_secs or self.ring_secs


def addresses_in(transfers: Mapping[str, Transfer]) -> set[str]:
    """Return every address that these destinations ring."""
    return {target.address for transfer in transfers.values() for target in transfer.to}
