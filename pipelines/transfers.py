"""Cold transfers of one call: announced, heard to the last word, dialled; and back with the agent when nobody answers.

Implements `pipelines.tools.Transferring`.
"""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

from loguru import logger

from config.agent import AgentConfig
from config.on_failure import MessageLimits
from config.transfers import Transfer
from config.wording import suggest
from pipelines.announcer import Announcer
from pipelines.away import Away
from pipelines.dial_trip import Attempt, DialTrip
from pipelines.message_taker import take_message
from pipelines.scribe import Scribe
from pipelines.transfer_loops import AgentByNumber, loop_in
from pipelines.warm_transfer import WarmTransfer
from telephony.away_step import DialOutcome
from telephony.next_step import NextStep
from transcripts.call import Call, Direction, EndReason

_POLL_SECS = 0.05
_START_MS = 4000.0
"""How long the agent may take to begin to announce the transfer."""
_SAID_MS = 3000.0
"""An agent that spoke within this time before has most likely announced it already."""
_MORE_MS = 1200.0
"""What is waited after words that may have been the announcement."""
_SETTLE_MS = 200.0
_LIMIT_MS = 12_000.0
"""The most that an announcement takes; then the caller is put through in mid-word."""
_FAILED_LATELY_MS = 60_000.0
"""A destination where nobody answered is not tried again so soon."""
_WHY = {
    DialOutcome.BUSY: "the line is busy",
    DialOutcome.NO_ANSWER: "nobody answers",
    DialOutcome.FAILED: "the number cannot be reached",
    DialOutcome.CANCELLED: "the call there was cancelled",
}


@dataclass(frozen=True)
class TransferMeans:
    """What transfers may do with a call.

    Attributes:
        agent: Whose call it is now.
        away: How the call leaves its stream; None where it cannot.
        warm: Puts through warm; None where nobody can be rung.
        by_number: Which of our agents answers a number.
        announcer: Who speaks without the model.
        tell_model: Tells the model something, which it then speaks of.
        hush: Whatever the model says from now on is not heard.
        is_ending: Whether the call is about to end.
        leave: Ends the call; Twilio then takes the step.
        on_answered: Called when somebody has answered: the model is needed no more.
    """

    call: Call
    agent: Callable[[], AgentConfig]
    scribe: Scribe
    away: Away | None
    warm: WarmTransfer | None
    by_number: AgentByNumber
    announcer: Callable[[], Announcer]
    tell_model: Callable[[str], Awaitable[None]]
    hush: Callable[[], None]
    is_ending: Callable[[], bool]
    leave: Callable[[EndReason, NextStep], None]
    on_answered: Callable[[], None]


class Transfers:
    """Puts the caller of one call through, once at a time.

    Attributes:
        is_taking_message: Whether nobody was there and a message is being taken: nobody else says or ends anything.
    """

    def __init__(self, means: TransferMeans) -> None:
        """Take the means."""
        self.is_taking_message = False
        self._means = means
        self._task: asyncio.Task[None] | None = None
        self._failed_ms: dict[str, float] = {}
        self._attempts: list[dict[str, Any]] = []

    async def begin(self, destination: str, summary: str = "") -> dict[str, Any]:
        """Begin to put the caller through; returns what the model is told. See `pipelines.tools.Transferring`."""
        means, name = self._means, destination.strip()
        if not name and len(means.agent().transfers) == 1:
            [name] = means.agent().transfers
        transfer = means.agent().transfers.get(name)
        if transfer is None:
            known = ", ".join(means.agent().transfers)
            cure = suggest(name, means.agent().transfers, "there are")
            return self._refuse(name, "unknown", f"There is no destination {name!r}; {cure} Destinations: {known}.")
        problem = self._problem(name, transfer)
        if problem is not None:
            return self._refuse(name, *problem)
        if transfer.mode == "warm":
            return await self._ask_first(name, transfer, summary)
        self._task = asyncio.create_task(self._put_through(name, transfer), name=f"transfer {means.call.call_id}")
        means.scribe.event("transfer.begun", destination=name, mode=transfer.mode)
        say = means.agent().render(transfer.say, means.call.variables)
        exactly = f'Say exactly this, and nothing else: "{say}"'
        freely = "Say in one short sentence that you are connecting the caller, unless you just did."
        return {"transferring": True, "to": name, "now": exactly if say else freely}

    async def _ask_first(self, name: str, transfer: Transfer, summary: str) -> dict[str, Any]:
        means = self._means
        if means.warm is None:
            why = "Nobody can be rung: the server has no credentials of Twilio's REST API."
            return self._refuse(name, "no_credentials", why)
        means.scribe.event("transfer.begun", destination=name, mode=transfer.mode)
        result = await means.warm.run(name, transfer, summary)
        if "outcome" in result:
            self._failed_ms[name] = means.scribe.now_ms
        return result

    async def close(self) -> None:
        """The call is over."""
        task, self._task = self._task, None
        if task is not None:
            task.cancel()
            await asyncio.wait({task})

    def _refuse(self, name: str, why: str, sentence: str) -> dict[str, Any]:
        self._means.scribe.event("transfer.refused", destination=name, why=why)
        return {"error": sentence, "why": why, "now": "Nothing was dialled. Tell the caller, and go on."}

    def _problem(self, name: str, transfer: Transfer) -> tuple[str, str] | None:
        means = self._means
        if means.away is None:
            return "no_phone", "Nobody can be put through on this line."
        if means.is_ending():
            return "ending", "The call is about to end."
        is_asking = means.warm is not None and means.warm.is_busy
        if is_asking or means.away.is_away or (self._task is not None and not self._task.done()):
            return "busy", "The caller is being put through already."
        failed_ms = self._failed_ms.get(name)
        if failed_ms is not None and means.scribe.now_ms - failed_ms < _FAILED_LATELY_MS:
            return "failed_just_now", f"{name} was tried just now, and nobody could take the call."
        call = means.call
        party, line = call.from_number, call.to_number
        if call.direction is Direction.OUTBOUND:
            party, line = line, party
        loop = loop_in(transfer, means.agent(), party, line, means.by_number)
        return None if loop is None else ("loop", f"{name} would go round in a circle: {loop}.")

    async def _put_through(self, name: str, transfer: Transfer) -> None:
        means = self._means
        away, scribe = means.away, means.scribe
        assert away is not None, "begin() has looked"
        if not await self._was_announced() or away.is_away:
            scribe.event("transfer.given_up", destination=name)
            return
        # A caller who withheld his number, or has none, cannot be shown as one: our own number is.
        caller_id = transfer.caller_id or (means.call.to_number if means.call.from_number is None else None)
        trip = DialTrip(name, transfer, caller_id, scribe.event, means.on_answered, self._note)
        if not await away.go(trip):
            return
        self._failed_ms[name] = scribe.now_ms
        outcome = trip.outcome or DialOutcome.FAILED
        scribe.event("transfer.failed", destination=name, outcome=outcome.value)
        if transfer.when_not_answered == "message" and await self._take_message():
            return
        why = _WHY.get(outcome, "nobody could take the call")
        await means.tell_model(
            f"The transfer to {name} has failed: {why}. The caller is on the line with you again, and has heard "
            "nothing but ringing. Tell him so in one sentence, and offer what else you can do."
        )

    def _note(self, attempt: Attempt) -> None:
        self._attempts.append(attempt.as_json())
        self._means.scribe.log.transfer_attempts(list(self._attempts))

    async def _take_message(self) -> bool:
        means = self._means
        means.hush()
        self.is_taking_message = True
        try:
            is_taken = await take_message(means.announcer(), means.scribe, MessageLimits())
        finally:
            self.is_taking_message = False
        if is_taken:
            means.leave(EndReason.BOT_ENDED, NextStep("hang_up"))
        return is_taken

    async def _was_announced(self) -> bool:
        """Wait until the agent's last words were heard to their end; False when the call ends instead."""
        means, scribe = self._means, self._means.scribe
        asked_ms, spoken_before = scribe.now_ms, scribe.spoken_count
        has_answered = scribe.agent_began_ms is not None and scribe.agent_began_ms >= scribe.last_caller_ms
        was_said = has_answered and scribe.agent_quiet_ms <= _SAID_MS
        while not means.is_ending():
            await asyncio.sleep(_POLL_SECS)
            waited_ms = scribe.now_ms - asked_ms
            if waited_ms > _LIMIT_MS:
                logger.info("a transfer waits no longer for its announcement")
                return True
            if scribe.caller.is_speaking or not scribe.is_agent_idle:
                continue
            has_begun = scribe.spoken_count > spoken_before
            if has_begun and scribe.agent_quiet_ms >= _SETTLE_MS:
                return True
            quiet_ms = min(scribe.agent_quiet_ms, waited_ms)
            if (was_said and quiet_ms > _MORE_MS) or waited_ms > _START_MS:
                return True
        return False
