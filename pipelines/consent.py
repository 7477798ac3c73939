"""Asking the other side, before the conversation, whether the call may be recorded; and the record of what was said."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial

from loguru import logger
from pipecat.frames.frames import InterruptionFrame, TTSSpeakFrame

from pipelines.consent_answer import Asking, Verdict
from pipelines.consent_ear import ConsentEar
from pipelines.consent_words import judge_answer
from pipelines.model_failures import ModelFailure
from pipelines.model_usage import CONSENT, note_usage
from pipelines.sentences import SentenceKind, Spoken
from pipelines.stages import Assembly
from telemetry import metrics
from transcripts.call import Call, Consent, ConsentAnswer, ConsentGivenBy, Direction

_ASKED_TIMES = 2
_POLL_SECS = 0.1
_SPOKEN_SECS = 20.0
"""A synthesizer that has not said the question by then will not."""

_EVENTS = {
    ConsentAnswer.YES: "consent.given",
    ConsentAnswer.NO: "consent.refused",
    ConsentAnswer.NONE: "consent.unanswered",
}


def person_on(call: Call) -> str | None:
    """Return the number of the person on the other side, E.164; None in a browser."""
    return call.to_number if call.direction is Direction.OUTBOUND else call.from_number


class ConsentRecords:
    """Writes one call's records of consent."""

    def __init__(self, assembly: Assembly) -> None:
        """Take the call, whose it is and who writes it down."""
        self._assembly = assembly
        self.wording = ""
        """What was asked or told last, word for word."""

    def add(self, answer: ConsentAnswer, given_by: ConsentGivenBy | None) -> None:
        """Write a record, with the present time."""
        assembly = self._assembly
        agent, call = assembly.agent, assembly.call
        record = Consent(agent.name, person_on(call), self.wording, agent.language, answer, given_by, datetime.now(UTC))
        assembly.scribe.log.consent(record)
        metrics.CONSENTS_TOTAL.labels(answer=answer.value).inc()

    async def note_announcement(self) -> None:
        """Write that the other side was told, once it was."""
        assembly = self._assembly
        agent, scribe = assembly.agent, assembly.scribe
        self.wording = agent.render(agent.recording.announcement, assembly.call.variables)
        if not assembly.call.is_announced:
            spoken = assembly.announcer.find(SentenceKind.CONSENT)
            self.wording = self.wording if spoken is None else spoken.text
            while not (scribe.spoken_count and scribe.agent.is_unheard and scribe.is_agent_idle):  # noqa: ASYNC110
                await asyncio.sleep(_POLL_SECS)
        self.add(ConsentAnswer.NONE, ConsentGivenBy.ANNOUNCEMENT)


@dataclass
class ConsentQuestion:
    """Asks once or twice, and starts the recording or not. Implements `LineListener`.

    Attributes:
        assembly: The first pipeline of the call.
        records: Where the answer is written down.
        is_over: Whether somebody else has the call now, or it is about to end: nobody is asked any more.
        on_model_failed: Told why, when the model that hears the answer is not to be had.
        is_asking: Whether the conversation has yet to begin.
    """

    assembly: Assembly
    records: ConsentRecords
    is_over: Callable[[], bool]
    on_model_failed: Callable[[ModelFailure], None]
    is_asking: bool = True

    def __post_init__(self) -> None:
        """Nothing is asked yet."""
        self._asking: Asking | None = None
        self._news = asyncio.Event()
        self._ear: ConsentEar | None = None
        self._closing: asyncio.Task[None] | None = None
        self.records.wording = self._question

    @property
    def _question(self) -> str:
        return self.assembly.agent.render(self.assembly.agent.recording.question, self.assembly.call.variables)

    async def settle(self) -> None:
        """Ask, wait for the answer, and act on it. Cancelled, or when something goes wrong: there was no answer."""
        scribe = self.assembly.scribe
        scribe.words_go_to = lambda text: self._hear_words(f" {text}")
        scribe.line.listeners.append(self)
        self.assembly.announcer.is_before_conversation = True
        self._open_ear()
        answer, given_by = ConsentAnswer.NONE, None
        try:
            verdict = await self._ask_again_if_need_be()
            if verdict in (Verdict.YES, Verdict.NO):
                answer = ConsentAnswer.YES if verdict is Verdict.YES else ConsentAnswer.NO
                by_key = self._asking is not None and self._asking.by_key
                given_by = ConsentGivenBy.KEY if by_key else ConsentGivenBy.VOICE
        finally:
            self._close(answer, given_by)

    async def close(self) -> None:
        """Wait until the model that heard the answer is hung up on."""
        if self._closing is not None and not self._closing.done() and self._ear is not None:
            self._ear.hurry()
            await asyncio.wait({self._closing})

    # ---- LineListener ----

    def caller_audio(self, at_ms: float, pcm: bytes) -> None:
        """The ear hears it."""

    def agent_audio(self, at_ms: float, pcm: bytes) -> None:
        """Our own voice."""

    def agent_text(self, text: str, *, is_announced: bool) -> None:
        """Our own words."""

    def agent_finished(self) -> None:
        """Our own end."""

    def agent_cut(self, at_ms: float) -> None:
        """Our own silence."""

    def digit(self, at_ms: float, digit: str) -> None:
        """A key that says yes or no; any other says nothing."""
        recording = self.assembly.agent.recording
        if self._asking is not None and digit in (recording.yes_key, recording.no_key):
            self._asking.key(is_yes=digit == recording.yes_key)
            self._news.set()

    # ---- asking ----

    def _open_ear(self) -> None:
        assembly = self.assembly
        if assembly.gemini is not None and assembly.model is not None:
            self._ear = ConsentEar(
                assembly.gemini,
                assembly.agent,
                self._question,
                assembly.line,
                on_words=self._hear_words,
                on_claim=self._hear_claim,
                on_failed=self.on_model_failed,
                on_message=partial(note_usage, assembly.scribe, source=CONSENT),
            )
            self._ear.open()

    async def _ask_again_if_need_be(self) -> Verdict:
        spoken = await self._find_sound()
        verdict = Verdict.SILENCE
        for attempt in range(1, _ASKED_TIMES + 1):
            if self.is_over():
                break
            verdict = await self._ask(attempt, spoken)
            if verdict in (Verdict.YES, Verdict.NO):
                break
        return verdict

    async def _find_sound(self) -> Spoken | None:
        """The question as sound: made beforehand, or read now by the model that will hear the answer."""
        spoken = self.assembly.announcer.find(SentenceKind.CONSENT_QUESTION)
        if spoken is None and self._ear is not None:
            reading = asyncio.ensure_future(self._ear.read(self._question))
            try:
                while not reading.done() and not self.is_over():
                    await asyncio.wait({reading}, timeout=_POLL_SECS)
                spoken = reading.result() if reading.done() else None
            finally:
                reading.cancel()
        if spoken is not None:
            self.records.wording = spoken.text
        return spoken

    async def _ask(self, attempt: int, spoken: Spoken | None) -> Verdict:
        assembly, recording = self.assembly, self.assembly.agent.recording
        scribe = assembly.scribe
        self._asking = asking = Asking(
            judge=lambda text: judge_answer(text, assembly.agent.language, recording.yes_words, recording.no_words),
            silence_ms=recording.answer_secs * 1000,
            has_model=self._ear is not None,
        )
        scribe.event("consent.asked", attempt=attempt)
        saying = asyncio.create_task(self._say(spoken), name=f"question {assembly.call.call_id}")
        is_heard = False
        try:
            while not self.is_over():
                self._news.clear()
                if not is_heard and saying.done():
                    if not saying.result():
                        logger.error("agent {}: nothing in its pipeline can ask for consent", assembly.agent.name)
                        return Verdict.SILENCE
                    is_heard = True
                    asking.question_heard(scribe.now_ms)
                    if self._ear is not None:
                        self._ear.listen()
                quiet_ms = None if scribe.caller.is_speaking else scribe.now_ms - scribe.last_caller_ms
                verdict = asking.verdict(scribe.now_ms, scribe.caller_began_ms, quiet_ms)
                if verdict is not None:
                    if not is_heard:
                        await assembly.announcer.push_frame(
                            InterruptionFrame()
                        )  # who knows the question need not hear it
                    return verdict
                await self._wait(saying if not is_heard else None)
            return Verdict.SILENCE
        finally:
            saying.cancel()

    async def _wait(self, saying: asyncio.Task[bool] | None) -> None:
        news = asyncio.ensure_future(self._news.wait())
        try:
            waited = {news} if saying is None else {news, saying}
            await asyncio.wait(waited, timeout=_POLL_SECS, return_when=asyncio.FIRST_COMPLETED)
        finally:
            news.cancel()

    async def _say(self, spoken: Spoken | None) -> bool:
        """Say the question and return when it was heard; False when nothing here has a voice."""
        assembly = self.assembly
        if spoken is not None:
            await assembly.announcer.play_out(spoken)
            return True
        if assembly.tts is None:
            return False
        scribe, before = assembly.scribe, assembly.scribe.spoken_count
        await assembly.announcer.wait_heard()
        await assembly.tts.queue_frame(TTSSpeakFrame(self._question, append_to_context=False))
        try:
            async with asyncio.timeout(_SPOKEN_SECS):
                while scribe.spoken_count <= before or not scribe.is_agent_idle:  # noqa: ASYNC110
                    await asyncio.sleep(_POLL_SECS)
        except TimeoutError:
            return False
        return True

    # ---- the answer ----

    def _hear_words(self, text: str) -> None:
        scribe = self.assembly.scribe
        if self._asking is not None:
            self._asking.words(text, scribe.now_ms, scribe.caller_began_ms)
            self._news.set()

    def _hear_claim(self, answer: bool | None) -> None:
        scribe = self.assembly.scribe
        if self._asking is not None:
            self._asking.claim(answer, scribe.now_ms, scribe.caller_began_ms)
            self._news.set()

    def _close(self, answer: ConsentAnswer, given_by: ConsentGivenBy | None) -> None:
        """Write the answer down, first of all; then begin what it allows."""
        scribe, recording = self.assembly.scribe, self.assembly.recording
        self.is_asking = False
        scribe.words_go_to = None
        self.assembly.announcer.is_before_conversation = False
        if self in scribe.line.listeners:
            scribe.line.listeners.remove(self)
        self.records.add(answer, given_by)
        if answer is ConsentAnswer.YES:
            recording.allow()
        else:
            recording.refuse()
        if given_by is None:
            scribe.event(_EVENTS[answer])
        else:
            scribe.event(_EVENTS[answer], by=given_by.value)
        if self._ear is not None:
            # Nobody waits for that: the conversation begins.
            self._closing = asyncio.create_task(self._ear.close(), name=f"ear of {self.assembly.call.call_id}")
