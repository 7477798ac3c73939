"""The person on the telephone while Twilio listens to him in a `<Gather>`: keys and words, by hand or by a script.

https://www.twilio.com/docs/voice/twiml/gather
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from simulators.call_setup import AnswerPolicy

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    from simulators.twiml_player import Gather

_KEYS = frozenset("0123456789*#")


@dataclass(frozen=True, slots=True)
class _Words:
    text: str
    confidence: float


class FarPerson:
    """What one person presses and says. What nobody listened for yet waits for the next `<Gather>`."""

    def __init__(self, policy: AnswerPolicy) -> None:
        self._policy = policy
        self._replies = iter(policy.replies)
        self._inputs: asyncio.Queue[str | _Words] = asyncio.Queue()

    def press(self, digits: str) -> None:
        """Press keys."""
        for digit in digits:
            self._inputs.put_nowait(digit)

    def speak(self, words: str, confidence: float) -> None:
        """Say something, which will be recognized so."""
        self._inputs.put_nowait(_Words(words, confidence))

    async def gather(self, verb: Gather, play_prompts: Callable[[], Awaitable[None]]) -> dict[str, str]:
        """Listen while the prompts play and for `timeout_secs` after them; the first input ends them.

        Returns `Digits`, or `SpeechResult` and `Confidence`: of keys and words, what came first counts. Empty: nothing.
        """
        async with self._following_the_script():
            first = await self._first_input(verb, play_prompts)
            if first is None:
                return {}
            if isinstance(first, _Words):
                return {"SpeechResult": first.text, "Confidence": f"{first.confidence:.8g}"}
            digits = await self._all_digits(verb, first)
            return {"Digits": digits} if digits else {}

    async def _first_input(self, verb: Gather, play_prompts: Callable[[], Awaitable[None]]) -> str | _Words | None:
        listening = asyncio.create_task(self._next_input(verb), name="listening for keys and words")
        playing = asyncio.ensure_future(play_prompts())
        try:
            await asyncio.wait({listening, playing}, return_when=asyncio.FIRST_COMPLETED)
            if not listening.done():
                playing.result()
                await asyncio.wait({listening}, timeout=verb.timeout_secs)
            return listening.result() if listening.done() else None
        finally:
            listening.cancel()
            playing.cancel()
            await asyncio.wait({listening, playing})

    async def _next_input(self, verb: Gather) -> str | _Words:
        while True:
            given = await self._inputs.get()
            if ("speech" if isinstance(given, _Words) else "dtmf") in verb.inputs:
                return given

    async def _all_digits(self, verb: Gather, first: str) -> str:
        digits, key = "", first
        while key != verb.finish_on_key:
            digits += key
            if verb.num_digits is not None and len(digits) >= verb.num_digits:
                break
            try:
                async with asyncio.timeout(verb.timeout_secs):
                    given = await self._next_input(verb)
            except TimeoutError:
                break
            if isinstance(given, _Words):
                break
            key = given
        return digits

    @asynccontextmanager
    async def _following_the_script(self) -> AsyncGenerator[None]:
        replying = asyncio.create_task(self._reply(next(self._replies, "")), name="reply to a <Gather>")
        try:
            yield
        finally:
            replying.cancel()
            await asyncio.wait({replying})

    async def _reply(self, reply: str) -> None:
        await asyncio.sleep(self._policy.reply_after_ms / 1000)
        if reply and set(reply) <= _KEYS:
            self.press(reply)
        elif reply:
            self.speak(reply, self._policy.confidence)
