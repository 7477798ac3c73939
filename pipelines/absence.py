"""What it means to the rest of a call that it left its stream: its model rests, its end takes another way."""

import asyncio

from pipelines.away import Away
from pipelines.course import Course
from pipelines.model_failures import ModelFailure
from telephony.next_step import NextStep
from transcripts.call import EndReason


class Absence:
    """The absences of one call, as its other parts meet them.

    Attributes:
        away: How the call leaves its stream; None where it cannot.
    """

    def __init__(self, course: Course) -> None:
        """Take the call, whose stages are planned and whose conductor is there."""
        self.away: Away | None = None
        self._course = course
        self._failure: ModelFailure | None = None
        self._resting: asyncio.Task[None] | None = None
        voice, live = course.voice, course.live
        if voice.wire is not None:
            self.away = live.away = Away(voice.wire, course.scribe, self._end)
            self.away.tell_twilio, self.away.on_change = live.tell_twilio, self._went_or_came
            course.conductor.is_away = lambda: voice.line.is_away
        live.on_end(self._asked_to_end)

    def postpones(self, failure: ModelFailure) -> bool:
        """Whether this failure waits until the call is back: nobody would hear what the ladder says."""
        if not self._course.voice.line.is_away:
            return False
        self._failure = failure
        return True

    def rest_model(self) -> None:
        """Somebody talks with the caller, for as long as they like: the model's connection is not kept for that."""
        model = self._course.assembly.model
        if model is not None and self._resting is None:
            closing = model.model_link.close()
            self._resting = asyncio.create_task(closing, name=f"model of {self._course.call.call_id} rests")

    async def close(self) -> None:
        """The call is over."""
        if self.away is not None:
            await self.away.close()

    def _end(self, reason: EndReason, step: NextStep | None) -> None:
        if step is None:
            self._course.conductor.end(reason)
        else:
            self._course.conductor.leave(reason, step)

    def _asked_to_end(self, reason: EndReason) -> None:
        course = self._course
        if self.away is None or not self.away.is_away:
            course.conductor.ask_to_end(reason)
            return
        reason = self.away.over(reason)
        if reason is EndReason.DRAINED:
            goodbye = course.agent.render(course.agent.phrases.drain_goodbye, course.call.variables)
            course.conductor.leave(reason, NextStep("apology", text=goodbye, language=course.agent.language))
        else:
            course.conductor.end(reason)

    def _went_or_came(self, is_away: bool) -> None:
        """The call has left its stream, or is back on one."""
        model = self._course.assembly.model
        if is_away or self._course.conductor.reason is not None:
            return
        if model is not None and self._resting is not None:
            self._resting = None
            model.model_link.open()
        if (failure := self._failure) is not None:
            self._failure = None
            self._course.on_model_failed(failure)
