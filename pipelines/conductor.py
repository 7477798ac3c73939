"""When a call ends, and what is said on the way: silence, time limit, goodbye. One tick ten times a second."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from loguru import logger

from config.agent import Limits, Phrases
from config.listening import Idle
from pipelines.scribe import Scribe
from pipelines.sentences import SentenceKind
from pipelines.silence import Prompt, SilenceWatch
from telephony.next_step import NextStep
from transcripts.call import EndReason

_TICK_SECS = 0.1
_GOODBYE_START_MS = 4000.0
"""How long the agent may take to begin a goodbye that was asked for."""
_GOODBYE_SAID_MS = 3000.0
"""An agent that answered the caller within this time before it ended the call has most likely said goodbye already."""
_GOODBYE_MORE_MS = 1500.0
"""What the line stays open after a goodbye that may be the last, or of which nobody told that it was whole."""
_GOODBYE_LIMIT_MS = 15000.0
"""The most a goodbye may take in all; a model that talks on does not keep the line open."""
_ANSWER_MS = 3000.0
"""How long a caller who spoke over the goodbye waits for an answer, before the goodbye counts after all."""
_QUIET_GAP_MS = 300.0
"""A warning waits for a pause this long, but not for ever: `_WARNING_LIMIT_MS`."""
_WARNING_LIMIT_MS = 8000.0

_CUT_DOUBT_MS = 1000.0
"""The model may break off for a caller whom our own detector of voice notices so much later."""

_MAY_GO_ON = frozenset({EndReason.BOT_ENDED, EndReason.SILENCE})
"""Goodbyes that a caller who speaks up takes back; when the time is over, it is over."""

_LAST_CHANCE_MS = 3000.0
"""Whoever is speaking when the server is about to stop has this long to come to the end of his sentence."""
_NO_SOUND_MS = 10_000.0
"""A telephone line carries sound all the time, silent or not; one that carries none for so long is dead."""
_PROBE_AFTER_MS, _PROBE_MS = 2100.0, 900.0
"""After so long without sound the far end is asked for a sign of life; without one the way there is dead."""

Say = Callable[[str], Awaitable[bool]]
"""Have the model say exactly this sentence; False when this pipeline has no voice to say it with."""
Announce = Callable[[SentenceKind], Awaitable[bool]]
"""Say the agent's sentence of this kind without the model; False when there is no sound for it."""


@dataclass
class _Goodbye:
    """`was_said` when the agent seems to have said it before it was asked for; `spoken_before` utterances came before.

    `spoken_at_words` is how many there were when the caller spoke up.
    """

    reason: EndReason
    asked_ms: float
    spoken_before: int
    was_said: bool = False
    spoken_at_words: int | None = None


class Conductor:
    """Ends one call, once, for one reason."""

    def __init__(
        self,
        limits: Limits,
        phrases: Phrases,
        scribe: Scribe,
        *,
        say: Say,
        announce: Announce,
        idle: Idle | None = None,
    ) -> None:
        """Take the call's limits, phrases and idle prompts, variables filled in, what is heard, and how to speak.

        `may_judge_silence` is to be set once voice activity is known to be watched; without it nobody can tell that
        a caller is silent. `needs_sound`: the far end sends audio without a pause, as a telephone does.
        """
        self._limits = limits
        self._phrases = phrases
        self._scribe = scribe
        self._say = say
        self._announce = announce
        self.may_judge_silence = False
        self.needs_sound = False
        self._leaving_since_ms: float | None = None
        self._probed_ms: float | None = None
        self._alarm = asyncio.Event()
        self._goodbye: _Goodbye | None = None
        self.silence = SilenceWatch(idle, limits, phrases)
        self._since_ms = 0.0
        self._warning_due_ms = None if limits.warn_at_secs is None else limits.warn_at_secs * 1000.0
        self.is_held: Callable[[], bool] = lambda: False
        """Whether somebody else deals with the call now: nothing is said or ended but for a line that is dead."""
        self.is_away: Callable[[], bool] = lambda: False
        """Whether the call has left its stream for a while: whoever took it away brings it back, or ends it."""
        self.watch_model: Callable[[], Awaitable[None]] | None = None
        """What is to be done ten times a second for a caller who waits for the model."""
        self.reason: EndReason | None = None
        self.ended_ms: float | None = None

    def go_on_with(self, limits: Limits, phrases: Phrases, idle: Idle | None) -> None:
        """Another agent takes the call over: its limits hold from now on, and its phrases are said."""
        self._limits, self._phrases = limits, phrases
        self._since_ms = now_ms = self._scribe.now_ms
        self._warning_due_ms = None if limits.warn_at_secs is None else now_ms + limits.warn_at_secs * 1000.0
        self._goodbye = None
        self.silence = SilenceWatch(idle, limits, phrases)

    @property
    def _end_ms(self) -> float:
        """Call time at which the longest call of this agent is over."""
        return self._since_ms + self._limits.max_call_secs * 1000.0

    def end(self, reason: EndReason) -> None:
        """End the call now. The first reason stays."""
        if self.reason is None:
            self.reason = reason
            self.ended_ms = self._scribe.now_ms
        self._alarm.set()

    def leave(self, reason: EndReason, step: NextStep) -> None:
        """End the call now; Twilio, where there is one, goes on with `step`."""
        if self.reason is None:
            self._scribe.log.next_step(step.as_json())
        self.end(reason)

    def speak_as(self, phrases: Phrases, *, keeps_own: bool) -> None:
        """Go on in another language; `keeps_own`: it is the agent's own, in which its idle prompts are."""
        self._phrases = phrases
        self.silence.speak_as(phrases, keeps_own=keeps_own)

    def wait_longer(self, secs: float) -> None:
        """The caller has asked for time: no prompt and no goodbye for so long."""
        self.silence.wait_until(self._scribe.now_ms + secs * 1000.0)

    def ask_to_end(self, reason: EndReason) -> None:
        """End the call from outside: at once when it is over anyway, with a goodbye when the server is to stop."""
        if reason is not EndReason.DRAINED:
            self.end(reason)
        elif self._leaving_since_ms is None:
            self._leaving_since_ms = self._scribe.now_ms

    @property
    def is_saying_goodbye(self) -> bool:
        """Whether the call is about to end."""
        return self._goodbye is not None or self._leaving_since_ms is not None

    def end_after_goodbye(self, reason: EndReason) -> None:
        """End the call once its goodbye was heard to the last word: what the agent says next, is saying or has said.

        A caller who speaks meanwhile, and is answered, takes it back: the call goes on.
        """
        if self._goodbye is not None:
            return
        scribe = self._scribe
        has_answered = scribe.agent_began_ms is not None and scribe.agent_began_ms >= scribe.last_caller_ms
        was_said = has_answered and scribe.agent_quiet_ms <= _GOODBYE_SAID_MS
        self._goodbye = _Goodbye(reason, scribe.now_ms, scribe.spoken_count, was_said)

    async def wait(self) -> EndReason:
        """Conduct the call; returns why it ended."""
        loop = asyncio.get_running_loop()
        while self.reason is None:
            self._alarm.clear()
            timer = loop.call_later(_TICK_SECS, self._alarm.set)
            try:
                await self._alarm.wait()
            finally:
                timer.cancel()
            if self.reason is None:
                await self.tick()
        return self.reason

    async def tick(self) -> None:
        """Do what this moment asks for; to be called about ten times a second."""
        scribe = self._scribe
        scribe.tick()
        if self.is_away():
            return
        if scribe.line.is_hung_up:
            # The socket usually closes a moment later; one that stays open must not keep the call alive.
            self.end(EndReason.CALLER_HUNG_UP)
            return
        now_ms = scribe.now_ms
        if self.needs_sound and await self._is_line_dead(now_ms):
            self.end(EndReason.CONNECTION_LOST)
            return
        if self.is_held():
            return
        if self.watch_model is not None and self._goodbye is None:
            await self.watch_model()
        if self._leaving_since_ms is not None and (self._goodbye is None or self._goodbye.reason in _MAY_GO_ON):
            await self._leave_politely(self._leaving_since_ms, now_ms)
        elif self._goodbye is not None:
            self._watch_goodbye(self._goodbye, now_ms)
        elif now_ms >= self._end_ms:
            await self._say_goodbye(EndReason.TIME_LIMIT, SentenceKind.GOODBYE, self._phrases.goodbye)
        elif self._warning_due_ms is not None and now_ms >= self._warning_due_ms:
            await self._warn(self._warning_due_ms, now_ms)
        elif self.may_judge_silence:
            await self._watch_silence()

    async def _is_line_dead(self, now_ms: float) -> bool:
        line = self._scribe.line
        silent_ms = now_ms - (line.last_sound_ms or 0.0)
        if silent_ms <= _PROBE_AFTER_MS:
            self._probed_ms = None
            return False
        if self._probed_ms is None:
            self._probed_ms = now_ms
            if line.probe is not None:
                await line.probe()
            return False
        is_dead = now_ms - self._probed_ms > _PROBE_MS and (line.last_sign_ms or 0.0) < self._probed_ms
        if is_dead or silent_ms > _NO_SOUND_MS:
            self._scribe.event("line.silent", for_ms=round(silent_ms), is_dead=is_dead)
            return True
        return False

    def _watch_goodbye(self, goodbye: _Goodbye, now_ms: float) -> None:
        scribe = self._scribe
        spoke_up_ms = max(scribe.caller_began_ms or 0.0, scribe.broken_off_ms or 0.0)
        if goodbye.reason in _MAY_GO_ON:
            if spoke_up_ms > goodbye.asked_ms:
                self._hear_objection(goodbye, spoke_up_ms, now_ms)
                return
            if scribe.cut_ms is not None and now_ms - scribe.cut_ms < _CUT_DOUBT_MS:
                return  # whoever the model has heard there, we will hear in a moment
        waited_ms = now_ms - goodbye.asked_ms
        if waited_ms > _GOODBYE_LIMIT_MS or (goodbye.was_said and self._was_heard(goodbye.asked_ms, now_ms)):
            self.end(goodbye.reason)
        elif scribe.spoken_count > goodbye.spoken_before or waited_ms > _GOODBYE_START_MS:
            if scribe.is_agent_idle or scribe.agent_quiet_ms > _GOODBYE_MORE_MS:
                self.end(goodbye.reason)

    def _was_heard(self, asked_ms: float, now_ms: float) -> bool:
        quiet_ms = self._scribe.agent_quiet_ms
        return min(quiet_ms, now_ms - asked_ms) > _GOODBYE_MORE_MS

    def _hear_objection(self, goodbye: _Goodbye, spoke_up_ms: float, now_ms: float) -> None:
        """The caller spoke up after the goodbye was asked for: with an answer the call goes on, without it does not."""
        scribe = self._scribe
        if goodbye.spoken_at_words is None:
            goodbye.spoken_at_words = scribe.spoken_count
        if now_ms >= self._end_ms:
            self.end(EndReason.TIME_LIMIT)
        elif scribe.caller.is_speaking:
            return
        elif scribe.spoken_count > goodbye.spoken_at_words:
            self._goodbye = None
            self.silence.forget()
            scribe.event("goodbye.taken_back")
        elif now_ms - max(spoke_up_ms, scribe.last_caller_ms) > _ANSWER_MS and scribe.is_agent_idle:
            self.end(goodbye.reason)

    async def _warn(self, due_ms: float, now_ms: float) -> None:
        is_pause = self._is_quiet and now_ms - self._scribe.last_activity_ms >= _QUIET_GAP_MS
        if is_pause or now_ms - due_ms > _WARNING_LIMIT_MS:
            self._warning_due_ms = None
            self._scribe.event("time.warned")
            if not await self._announce(SentenceKind.TIME_WARNING):
                await self._speak(self._phrases.time_warning)

    @property
    def _is_quiet(self) -> bool:
        """Whether nobody speaks, and nobody waits for the model or for a tool."""
        scribe = self._scribe
        awaited_ms = scribe.awaited_since_ms
        # A model that has not begun to answer by now will not; asking the caller also makes it speak again.
        is_awaited = awaited_ms is not None and scribe.now_ms - awaited_ms < self.silence.hang_up_ms
        return not (scribe.caller.is_speaking or scribe.tools_running or is_awaited) and scribe.is_agent_idle

    async def _watch_silence(self) -> None:
        found = self.silence.look(self._scribe) if self._is_quiet else None
        if isinstance(found, Prompt):
            self._scribe.event("silence.asked", quiet_ms=round(found.quiet_ms), number=found.number)
            await self._speak(found.text)
        elif found is not None:
            await self._say_goodbye(EndReason.SILENCE, SentenceKind.SILENCE_GOODBYE, self._phrases.silence_goodbye)

    async def _speak(self, sentence: str) -> bool:
        self._scribe.await_words()
        return await self._say(sentence)

    async def _leave_politely(self, since_ms: float, now_ms: float) -> None:
        """The server is to stop: say so in a pause, or in a while anyway."""
        if not self._is_quiet and now_ms - since_ms < _LAST_CHANCE_MS:
            return
        self._goodbye = _Goodbye(EndReason.DRAINED, now_ms, self._scribe.spoken_count)
        if not await self._announce(SentenceKind.DRAIN_GOODBYE):
            self.leave(EndReason.DRAINED, NextStep("apology", text=self._phrases.drain_goodbye))

    async def _say_goodbye(self, reason: EndReason, kind: SentenceKind, sentence: str) -> None:
        self._goodbye = _Goodbye(reason, self._scribe.now_ms, self._scribe.spoken_count)
        if not await self._announce(kind) and not await self._speak(sentence):
            logger.info("this pipeline has no voice for a goodbye: the call ends without one")
            self.end(reason)
