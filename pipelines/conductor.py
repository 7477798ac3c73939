"""When a call ends, and what is said on the way: silence, time limit, goodbye. One tick ten times a second."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from loguru import logger

from config.agent import Limits, Phrases
from pipelines.scribe import Scribe
from transcripts.call import EndReason

_TICK_SECS = 0.1
_GOODBYE_START_MS = 4000.0
"""How long the agent may take to begin a goodbye that was asked for."""
_GOODBYE_LIMIT_MS = 15000.0
"""The most a goodbye may take in all; a model that talks on does not keep the line open."""
_QUIET_GAP_MS = 300.0
"""A warning waits for a pause this long, but not for ever: `_WARNING_LIMIT_MS`."""
_WARNING_LIMIT_MS = 8000.0

Say = Callable[[str], Awaitable[bool]]
"""Have the agent say exactly this sentence; False when this pipeline has no voice to say it with."""


@dataclass
class _Goodbye:
    reason: EndReason
    asked_ms: float
    spoken_before: int
    start_limit_ms: float = _GOODBYE_START_MS


class Conductor:
    """Ends one call, once, for one reason."""

    def __init__(self, limits: Limits, phrases: Phrases, scribe: Scribe, *, say: Say) -> None:
        """Take the call's limits, its phrases with their variables filled in, what is heard, and how to speak.

        `may_judge_silence` is to be set once voice activity is known to be watched; without it nobody can tell that
        a caller is silent.
        """
        self._limits = limits
        self._phrases = phrases
        self._scribe = scribe
        self._say = say
        self.may_judge_silence = False
        self._ended = asyncio.Event()
        self._goodbye: _Goodbye | None = None
        self._asked_ms: float | None = None
        self._warning_due_ms = None if limits.warn_at_secs is None else limits.warn_at_secs * 1000.0
        self.reason: EndReason | None = None

    def end(self, reason: EndReason) -> None:
        """End the call now. The first reason stays."""
        if self.reason is None:
            self.reason = reason
        self._ended.set()

    def end_after_goodbye(self, reason: EndReason) -> None:
        """End the call once what the agent says next, or is saying, was heard to its last word."""
        if self._goodbye is None:
            spoken = self._scribe.spoken_count
            self._goodbye = _Goodbye(reason, self._scribe.now_ms, spoken)

    async def wait(self) -> EndReason:
        """Conduct the call; returns why it ended."""
        while not self._ended.is_set():
            try:
                async with asyncio.timeout(_TICK_SECS):
                    await self._ended.wait()
            except TimeoutError:
                await self._tick()
        assert self.reason is not None
        return self.reason

    async def _tick(self) -> None:
        self._scribe.tick()
        now_ms = self._scribe.now_ms
        if self._goodbye is not None:
            self._watch_goodbye(self._goodbye, now_ms)
            return
        limits = self._limits
        if now_ms >= limits.max_call_secs * 1000.0:
            await self._say_goodbye(EndReason.TIME_LIMIT, self._phrases.goodbye)
        elif self._warning_due_ms is not None and now_ms >= self._warning_due_ms:
            await self._warn(self._warning_due_ms, now_ms)
        elif self.may_judge_silence:
            await self._watch_silence(now_ms)

    def _watch_goodbye(self, goodbye: _Goodbye, now_ms: float) -> None:
        waited_ms = now_ms - goodbye.asked_ms
        has_spoken = self._scribe.spoken_count > goodbye.spoken_before
        may_stop = has_spoken or waited_ms > goodbye.start_limit_ms
        if (may_stop and self._scribe.is_agent_idle) or waited_ms > _GOODBYE_LIMIT_MS:
            self.end(goodbye.reason)

    async def _warn(self, due_ms: float, now_ms: float) -> None:
        is_pause = (
            self._scribe.is_agent_idle
            and not self._scribe.caller.is_speaking
            and now_ms - self._scribe.last_activity_ms >= _QUIET_GAP_MS
        )
        if is_pause or now_ms - due_ms > _WARNING_LIMIT_MS:
            self._warning_due_ms = None
            self._scribe.event("time.warned")
            await self._say(self._phrases.time_warning)

    async def _watch_silence(self, now_ms: float) -> None:
        scribe, limits = self._scribe, self._limits
        if scribe.caller.is_speaking or not scribe.is_agent_idle or scribe.tools_running:
            return
        if self._asked_ms is not None and scribe.last_caller_ms > self._asked_ms:
            self._asked_ms = None
        quiet_ms = now_ms - scribe.last_activity_ms
        if self._asked_ms is None:
            if quiet_ms >= limits.silence_ask_secs * 1000.0:
                self._asked_ms = now_ms
                scribe.event("silence.asked", quiet_ms=round(quiet_ms))
                await self._say(self._phrases.still_there)
        elif now_ms - scribe.last_caller_ms >= limits.silence_hangup_secs * 1000.0 and quiet_ms >= 1000.0:
            await self._say_goodbye(EndReason.SILENCE, self._phrases.silence_goodbye)

    async def _say_goodbye(self, reason: EndReason, sentence: str) -> None:
        self._goodbye = _Goodbye(reason, self._scribe.now_ms, self._scribe.spoken_count)
        if not await self._say(sentence):
            logger.info("this pipeline has no voice for a goodbye: the call ends without one")
            self.end(reason)
