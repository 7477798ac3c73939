"""What happens to the caller once the stream is over: decided in the call, kept in its row, told to Twilio later."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Literal

from telephony import twiml
from telephony.numbers import BadNumber, parse_e164

StepKind = Literal["hang_up", "transfer", "busy", "apology", "not_reached"]


class BadStep(ValueError):
    """The stored step is none that can be told to Twilio."""


@dataclass(frozen=True, slots=True)
class NextStep:
    """One step.

    Attributes:
        kind: What it is.
        to: The number of a transfer, E.164.
        caller_id: The number that the person there sees, E.164; the caller's own when left out.
        text: What Twilio's voice says: before a transfer, or instead of the usual sentence of an apology.
        language: What `text` is spoken in, BCP 47; the agent's language when left out.
        told_at: When Twilio was told, ISO 8601; the caller is in Twilio's hands from then on.
    """

    kind: StepKind
    to: str | None = None
    caller_id: str | None = None
    text: str | None = None
    language: str | None = None
    told_at: str | None = None

    def as_json(self) -> dict[str, str]:
        """Return the step as the call's row keeps it: without what is not set."""
        return {name: value for name, value in asdict(self).items() if value is not None}

    @classmethod
    def from_json(cls, stored: Mapping[str, object]) -> "NextStep":
        """Return the step that a row holds. Raises `BadStep` for an unknown kind or a transfer to no number."""
        to, caller_id = stored.get("to"), stored.get("caller_id")
        said = {name: _text(stored.get(name)) for name in ("text", "language", "told_at")}
        match stored.get("kind"):
            case "hang_up":
                return cls("hang_up", **said)
            case "busy":
                return cls("busy", **said)
            case "apology":
                return cls("apology", **said)
            case "not_reached":
                return cls("not_reached", **said)
            case "transfer":
                return cls("transfer", to=_number(to), caller_id=_number(caller_id) if caller_id else None, **said)
            case kind:
                raise BadStep(f"no step of the kind {kind!r}")

    def as_twiml(self, *, language: str, action_url: str) -> str:
        """Return the TwiML of this step; a transfer reports its outcome to `action_url`. `language` is the agent's."""
        spoken_in = self.language or language
        match self.kind:
            case "transfer":
                return twiml.transfer(self.to or "", self.caller_id, action_url, text=self.text, language=spoken_in)
            case "busy":
                return twiml.say(self.text, spoken_in) if self.text else twiml.busy(language)
            case "apology":
                return twiml.apology(self.text, spoken_in)
            case "not_reached":
                return twiml.not_reached(spoken_in)
            case "hang_up":
                return twiml.hang_up()


def transfer_to(
    number: str, caller_id: str | None = None, *, text: str | None = None, language: str | None = None
) -> NextStep:
    """Return the step that connects the caller with `number`, after Twilio's voice has said `text`.

    Raises `BadNumber` unless both numbers are full ones.
    """
    seen = parse_e164(caller_id) if caller_id else None
    return NextStep("transfer", to=parse_e164(number), caller_id=seen, text=text, language=language)


def _number(value: object) -> str:
    try:
        return parse_e164(str(value))
    except BadNumber as error:
        raise BadStep("a transfer without a number to call") from error


def _text(value: object) -> str | None:
    return value if isinstance(value, str) else None
