"""The caller of a call is put through: one telephone after the other is rung, until somebody answers. Pure."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from config.transfers import Target, Transfer
from pipelines.away import Leave
from telephony.away_step import AwayStep, ComeBack, DialOut, DialOutcome, DialReport
from telephony.next_step import NextStep
from transcripts.call import EndReason

Tell = Callable[..., None]
"""`tell(kind, **data)`: an event of the call."""


@dataclass(frozen=True, slots=True)
class Attempt:
    """One telephone that was rung, and what became of it. `talk_secs` is known of one that answered."""

    destination: str
    address: str
    outcome: DialOutcome
    talk_secs: int | None = None

    def as_json(self) -> dict[str, Any]:
        """Return it as event and row have it."""
        known: dict[str, Any] = {} if self.talk_secs is None else {"talk_secs": self.talk_secs}
        return {"destination": self.destination, "address": self.address, "outcome": self.outcome.value} | known


@dataclass
class DialTrip:
    """Implements `pipelines.away.Trip`.

    Attributes:
        name: The destination.
        caller_id: What they see; None: the caller's own number.
        tell: Writes the call's events.
        on_answered: Called when somebody answers, if Twilio tells.
        on_attempt: Told of each attempt when it is over.
        attempts: Those that are over.
    """

    name: str
    transfer: Transfer
    caller_id: str | None
    tell: Tell
    on_answered: Callable[[], None]
    on_attempt: Callable[[Attempt], None]
    attempts: list[Attempt] = field(default_factory=list[Attempt])
    _is_answered: bool = False

    purpose = "transfer"

    @property
    def outcome(self) -> DialOutcome | None:
        """What became of the last attempt; None before the first is over."""
        return self.attempts[-1].outcome if self.attempts else None

    def first(self) -> AwayStep:
        """Ring the first."""
        return self._ring(0)

    def answered(self, at_ms: float) -> None:
        """Whoever is being rung has answered."""
        if not self._is_answered:
            self._is_answered = True
            self.tell("transfer.answered", destination=self.name, address=self._target.address)
            self.on_answered()

    def after(self, report: DialReport) -> AwayStep | Leave:
        """Ring the next one; or the call is over; or nobody has answered."""
        self._note(report.outcome, report.talk_secs)
        match report.outcome:
            case DialOutcome.ANSWERED:
                return Leave(EndReason.TRANSFERRED, NextStep("hang_up"))
            case DialOutcome.CALLER_HUNG_UP:
                return Leave(EndReason.CALLER_HUNG_UP, NextStep("hang_up"))
            case _ if len(self.attempts) < len(self.transfer.to):
                return self._ring(len(self.attempts))
            case _ if self.transfer.when_not_answered == "hang_up":
                return Leave(EndReason.BOT_ENDED, NextStep("not_reached"))
            case _:
                return ComeBack()

    def left(self, reason: EndReason) -> EndReason:
        """The call was over before Twilio reported of the dialling, and without its figures."""
        if self._is_answered:
            self._note(DialOutcome.ANSWERED, None)
            return EndReason.TRANSFERRED
        has_left = reason is EndReason.CALLER_HUNG_UP
        self._note(DialOutcome.CALLER_HUNG_UP if has_left else DialOutcome.CANCELLED, None)
        return reason

    @property
    def _target(self) -> Target:
        return self.transfer.to[min(len(self.attempts), len(self.transfer.to) - 1)]

    def _ring(self, position: int) -> DialOut:
        target = self.transfer.to[position]
        ring_secs = self.transfer.ring_secs_of(target)
        self._is_answered = False
        self.tell("transfer.ringing", destination=self.name, address=target.address, ring_secs=ring_secs)
        return DialOut(target.address, ring_secs, position + 1, self.caller_id)

    def _note(self, outcome: DialOutcome, talk_secs: int | None) -> None:
        attempt = Attempt(self.name, self._target.address, outcome, talk_secs)
        self.attempts.append(attempt)
        self.tell("transfer.attempt", **attempt.as_json())
        self.on_attempt(attempt)
