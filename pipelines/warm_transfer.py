"""A warm transfer as the call goes through it: the caller waits on our stream while people are rung in turn."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from loguru import logger

from config.agent import AgentConfig
from config.transfers import Transfer, is_hold_file
from pipelines.announcer import Announcer
from pipelines.hold import Hold
from pipelines.hold_music import BadHoldFile, hold_music, read_hold_file
from pipelines.scribe import Scribe
from pipelines.sentences import SentenceKind, Spoken
from pipelines.transfer_attempt import Attempt, Ringer
from transcripts.call import Call, Direction, EndReason
from transcripts.transfer import OVER, TransferEvent, TransferStatus

_SETTLE_SECS = 15.0
"""How long a call whose stream is over waits to learn whether its caller was moved, or hung up."""
_POLL_SECS = 0.2
_DECIDE_SECS = 160.0
"""The most that one person takes beyond the ringing: Twilio's spare time, the summary, the decision."""
_STREAM_CLOSES_SECS = 3.0
"""From Twilio's yes to the end of the stream; after that we end it."""

_STOP = frozenset({TransferStatus.CALLER_LEFT, TransferStatus.WITHDRAWN})
_WORDS = {
    TransferStatus.REFUSED: "cannot take the call now",
    TransferStatus.UNDECIDED: "answered, but did not take the call",
    TransferStatus.NO_ANSWER: "did not answer",
    TransferStatus.BUSY: "is on another call",
    TransferStatus.MACHINE: "did not answer; only an answering machine did",
    TransferStatus.FAILED: "could not be reached",
}


@dataclass(frozen=True)
class WarmMeans:
    """What a warm transfer may do with a call.

    Attributes:
        agent: Who speaks now.
        announcer: Who speaks without the model, in the pipeline that there is at each moment.
        tell_model: Tells the model something, which it then speaks of.
        is_ending: Whether the call is about to end.
        is_over: Whether it has ended, and only winds up.
        end: Ends the call.
    """

    call: Call
    agent: Callable[[], AgentConfig]
    scribe: Scribe
    ringer: Ringer
    announcer: Callable[[], Announcer]
    tell_model: Callable[[str], Awaitable[None]]
    is_ending: Callable[[], bool]
    is_over: Callable[[], bool]
    end: Callable[[EndReason], None]


def longest_secs(transfer: Transfer) -> float:
    """Return how long a transfer to this destination may take until the caller is back, in seconds."""
    if transfer.mode != "warm":
        return 0.0
    return sum(transfer.ring_secs_of(target) + _DECIDE_SECS for target in transfer.to) + _SETTLE_SECS


class WarmTransfer:
    """The warm transfers of one call, one at a time.

    Attributes:
        is_handed_over: Whether the call goes on at Twilio when its stream is over.
    """

    def __init__(self, means: WarmMeans) -> None:
        """Take the means."""
        self.is_handed_over = False
        self._means = means
        self._hold = Hold(means.announcer, means.scribe)
        self._attempt: Attempt | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._is_busy = False

    @property
    def is_holding(self) -> bool:
        """Whether the caller is on hold: nobody else says or ends anything."""
        return self._hold.is_on

    @property
    def is_busy(self) -> bool:
        """Whether somebody is being rung, or was reached."""
        return self._is_busy

    async def run(self, name: str, transfer: Transfer, summary: str) -> dict[str, Any]:
        """Ring the people of a destination in turn; returns what the model is told, when the caller is back with it.

        Does not return when somebody takes the call: the stream, and with it the pipeline, comes to its end. With
        `hold: talk` it returns at once, and the model is told later.
        """
        self._is_busy = True
        if transfer.hold == "talk":
            self._spawn(self._run_beside(name, transfer, summary))
            return {
                "transferring": True,
                "to": name,
                "now": "Somebody is being rung. Keep the caller company in a few words until you are told the outcome.",
            }
        try:
            if transfer.say:
                await self._means.announcer().say_out(SentenceKind.TOOL_FILLER, transfer.say)
            sound, sentence = await self._what_is_heard(transfer)
            async with self._hold.holding(sound, sentence):
                outcomes = await self._ring_all(name, transfer, summary)
        finally:
            self._is_busy = False
        return self._result(name, outcomes)

    async def settle(self, reason: EndReason) -> EndReason:
        """The stream is over for this reason; returns why the call ended, or that it goes on (`is_handed_over`)."""
        means, attempt = self._means, self._attempt
        for task in self._tasks:
            task.cancel()
        if attempt is None or attempt.status in OVER - {TransferStatus.ENDED}:
            return reason
        attempt.is_stream_over = True
        on_the_way = frozenset({TransferStatus.ACCEPTED, TransferStatus.DESERTED})
        if attempt.status in on_the_way:
            # Twilio ends the stream when it moves the caller; it also ends when he hangs up. It will have said which.
            await attempt.wait_for(frozenset(set(TransferStatus) - on_the_way), _SETTLE_SECS)
        if attempt.status in (TransferStatus.JOINED, TransferStatus.ENDED):
            self.is_handed_over = attempt.status is TransferStatus.JOINED
            return EndReason.TRANSFERRED
        is_ours = reason in (EndReason.DRAINED, EndReason.FAILED)
        means.ringer.tell(attempt, TransferEvent.WITHDRAW if is_ours else TransferEvent.CALLER_LEFT)
        return reason

    def hand_over(self) -> None:
        """The call's log has its last entry of ours: Twilio has the call now."""
        if self._attempt is not None:
            self._means.ringer.hand_over(self._attempt, self._means.scribe.log)

    async def _run_beside(self, name: str, transfer: Transfer, summary: str) -> None:
        try:
            outcomes = await self._ring_all(name, transfer, summary)
        finally:
            self._is_busy = False
        if not self._means.is_ending():
            result = self._result(name, outcomes)
            await self._means.tell_model(f"{result['because']} {result['now']}")

    async def _ring_all(self, name: str, transfer: Transfer, summary: str) -> list[TransferStatus]:
        means = self._means
        outcomes: list[TransferStatus] = []
        for target in transfer.to:
            if means.is_ending():
                return [*outcomes, TransferStatus.WITHDRAWN]
            attempt = self._attempt_at(name, transfer, target.address, transfer.ring_secs_of(target), summary)
            self._attempt = attempt
            outcomes.append(await self._ring(attempt))
            if outcomes[-1] is TransferStatus.JOINED:
                await asyncio.sleep(_STREAM_CLOSES_SECS)
                logger.bind(call_id=means.call.call_id).warning("the stream of a caller who was moved stayed open")
                means.end(EndReason.TRANSFERRED)
                await asyncio.sleep(_SETTLE_SECS)  # the pipeline ends, and this with it
            if outcomes[-1] in _STOP:
                break
        return outcomes

    async def _ring(self, attempt: Attempt) -> TransferStatus:
        """Ring one; give it up when the call is to end, or the model takes the tool call back."""
        means = self._means
        ringing = asyncio.ensure_future(means.ringer.ring(attempt))
        try:
            while not ringing.done():
                await asyncio.wait({ringing}, timeout=_POLL_SECS)
                if means.is_ending():
                    means.ringer.tell(attempt, TransferEvent.WITHDRAW)
            return ringing.result()
        finally:
            if not ringing.done():
                ringing.cancel()
                # The end of the call cancels this too, and `settle` knows better what it means.
                if not means.is_over():
                    means.ringer.tell(attempt, TransferEvent.WITHDRAW)

    def _attempt_at(self, name: str, transfer: Transfer, address: str, ring_secs: int, summary: str) -> Attempt:
        call, agent = self._means.call, self._means.agent()
        own_number = call.from_number if call.direction is Direction.OUTBOUND else call.to_number
        return Attempt(
            call=call,
            agent_name=agent.name,
            destination=name,
            address=address,
            from_number=transfer.caller_id or own_number or "",
            ring_secs=ring_secs,
            language=agent.language,
            summary=" ".join(summary.split()),
            looks_for_machine=transfer.detect_machines,
            tell=self._means.scribe.event,
        )

    async def _what_is_heard(self, transfer: Transfer) -> tuple[Spoken | None, str | None]:
        if transfer.hold == "silence" or transfer.hold_sentence is not None:
            return None, transfer.hold_sentence
        if is_hold_file(transfer.hold):
            try:
                return await asyncio.to_thread(read_hold_file, Path(transfer.hold)), None
            except BadHoldFile as error:
                # It was there when the agent was loaded.
                logger.bind(problem=str(error)).error("the file for callers on hold cannot be played; they hear music")
        return await asyncio.to_thread(hold_music), None

    def _result(self, name: str, outcomes: list[TransferStatus]) -> dict[str, Any]:
        """What the model is told of people who did not take the call."""
        outcome = outcomes[-1]
        self._means.scribe.event("transfer.failed", destination=name, outcome=outcome.value)
        words = _WORDS.get(outcome, "was not rung to the end")
        many = f"None of the {len(outcomes)} people who were rung took the call; the last one" if outcomes[1:] else name
        return {
            "transferred": False,
            "to": name,
            "outcome": outcome.value,
            "outcomes": [each.value for each in outcomes],
            "because": f"{many} {words}.",
            "now": "The caller is with you again. Tell him so in one sentence, and offer what else you can do.",
        }

    def _spawn(self, work: Any) -> None:
        task: asyncio.Task[None] = asyncio.create_task(work, name=f"warm transfer {self._means.call.call_id}")
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
