"""What happens to the caller once the stream is over: decided in the call, kept in its row, told to Twilio later."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from telephony import twiml
from telephony.numbers import BadNumber, parse_e164

StepKind = Literal["hang_up", "transfer", "busy", "apology"]


class BadStep(ValueError):
    """The stored step is none that can be told to Twilio."""


@dataclass(frozen=True, slots=True)
class NextStep:
    """One step. `to` (E.164) belongs to a transfer, `text` may replace the sentence of an apology."""

    kind: StepKind
    to: str | None = None
    caller_id: str | None = None
    text: str | None = None

    def as_json(self) -> dict[str, str]:
        """Return the step as the call's row keeps it: without what is not set."""
        given = {"kind": self.kind, "to": self.to, "caller_id": self.caller_id, "text": self.text}
        return {name: value for name, value in given.items() if value is not None}

    @classmethod
    def from_json(cls, stored: Mapping[str, object]) -> "NextStep":
        """Return the step that a row holds. Raises `BadStep` for an unknown kind or a transfer to no number."""
        to, caller_id, text = stored.get("to"), stored.get("caller_id"), stored.get("text")
        match stored.get("kind"):
            case "hang_up":
                return cls("hang_up")
            case "transfer":
                return cls("transfer", to=_number(to), caller_id=_number(caller_id) if caller_id else None)
            case "busy":
                return cls("busy")
            case "apology":
                return cls("apology", text=text if isinstance(text, str) else None)
            case kind:
                raise BadStep(f"no step of the kind {kind!r}")

    def as_twiml(self, *, language: str, action_url: str) -> str:
        """Return the TwiML of this step; a transfer reports its outcome to `action_url`."""
        match self.kind:
            case "transfer":
                return twiml.transfer(self.to or "", self.caller_id, action_url)
            case "busy":
                return twiml.busy(language)
            case "apology":
                return twiml.apology(self.text, language)
            case "hang_up":
                return twiml.hang_up()


def transfer_to(number: str, caller_id: str | None = None) -> NextStep:
    """Return the step that connects the caller with `number`. Raises `BadNumber` unless it is a full number."""
    return NextStep("transfer", to=parse_e164(number), caller_id=parse_e164(caller_id) if caller_id else None)


def _number(value: object) -> str:
    try:
        return parse_e164(str(value))
    except BadNumber as error:
        raise BadStep("a transfer without a number to call") from error
