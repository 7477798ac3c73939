"""What Twilio does with a call that has left its media stream for a while, and what it reports of it."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Self


class DialOutcome(StrEnum):
    """What became of an attempt to reach somebody."""

    ANSWERED = "answered"
    BUSY = "busy"
    NO_ANSWER = "no_answer"
    FAILED = "failed"
    CANCELLED = "cancelled"
    CALLER_HUNG_UP = "caller_hung_up"


@dataclass(frozen=True, slots=True)
class DialReport:
    """How a `<Dial>` ended. `talk_secs` is how long they talked, where Twilio says."""

    outcome: DialOutcome
    talk_secs: int | None = None

    def as_details(self) -> dict[str, str]:
        """Return the report as one process tells it to another."""
        return {"dial": self.outcome.value} | ({} if self.talk_secs is None else {"talk_secs": str(self.talk_secs)})

    @classmethod
    def from_details(cls, details: Mapping[str, str]) -> Self | None:
        """Return what `as_details` wrote; None when nothing was dialled."""
        if "dial" not in details:
            return None
        talk_secs = details.get("talk_secs")
        return cls(DialOutcome(details["dial"]), int(talk_secs) if talk_secs else None)


@dataclass(frozen=True, slots=True)
class PlayKeys:
    """Press keys (`0-9`, `*`, `#`, `w` for a pause of half a second), then connect the stream again."""

    keys: str


@dataclass(frozen=True, slots=True)
class DialOut:
    """Ring one telephone and let the two talk; the outcome is reported as that of `attempt`.

    `address` is E.164 or a SIP address. `caller_id` is E.164; None: the caller's own number.
    """

    address: str
    ring_secs: int
    attempt: int
    caller_id: str | None = None


@dataclass(frozen=True, slots=True)
class ComeBack:
    """Connect the stream again."""


AwayStep = PlayKeys | DialOut | ComeBack
