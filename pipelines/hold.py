"""A caller on hold: he hears music, a sentence or nothing; he is heard by nobody, and so is the model."""

import asyncio
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager

from pipelines.announcer import Announcer
from pipelines.scribe import Scribe
from pipelines.sentences import SentenceKind, Spoken

_PIECE_SECS = 0.1
_AHEAD_SECS = 0.3
"""How much music is on its way: so long it goes on when the hold ends."""
_AGAIN_SECS = 12.0
"""Quiet between two times that a sentence is said."""
_LAST_WORDS_SECS = 8.0
_POLL_SECS = 0.05


class Hold:
    """Puts one call's caller on hold. His sound is still recorded, and his hanging up noticed."""

    def __init__(self, announcer: Callable[[], Announcer], scribe: Scribe) -> None:
        """Take who speaks without the model, in the pipeline that there is at each moment, and the call's scribe."""
        self._announcer = announcer
        self._scribe = scribe

    @property
    def is_on(self) -> bool:
        """Whether he is on hold."""
        return self._scribe.line.is_on_hold

    @asynccontextmanager
    async def holding(self, sound: Spoken | None, sentence: str | None) -> AsyncGenerator[None]:
        """Hold him for the length of the block, with this sound over and over, or else this sentence now and then.

        What the agent was saying is heard to its end before.
        """
        await self._hear_out()
        line = self._scribe.line
        line.is_on_hold = True
        self._scribe.event("hold.began", heard="sound" if sound else "sentence" if sentence else "silence")
        entertaining = asyncio.create_task(self._entertain(sound, sentence), name="hold")
        try:
            yield
        finally:
            entertaining.cancel()
            await asyncio.wait({entertaining})
            line.is_on_hold = False
            self._scribe.event("hold.ended")
            await self._announcer().end_pieces()
        if not entertaining.cancelled():
            entertaining.result()

    async def _hear_out(self) -> None:
        try:
            async with asyncio.timeout(_LAST_WORDS_SECS):
                while not self._scribe.is_agent_idle:  # noqa: ASYNC110 - play-out is a matter of time, not of events
                    await asyncio.sleep(_POLL_SECS)
        except TimeoutError:
            return

    async def _entertain(self, sound: Spoken | None, sentence: str | None) -> None:
        if sound is not None:
            await self._play(sound)
        while sentence is not None:
            await self._announcer().say_out(SentenceKind.TOOL_FILLER, sentence)
            await asyncio.sleep(_AGAIN_SECS)

    async def _play(self, sound: Spoken) -> None:
        loop = asyncio.get_running_loop()
        size = int(_PIECE_SECS * sound.rate_hz) * 2
        position, sent_until = 0, loop.time()
        while True:
            piece = sound.pcm[position : position + size]
            position = 0 if len(piece) < size else position + size
            if piece:
                await self._announcer().play_piece(piece, sound.rate_hz)
            sent_until = max(sent_until, loop.time()) + len(piece) / 2 / sound.rate_hz
            await asyncio.sleep(max(0.0, sent_until - _AHEAD_SECS - loop.time()))
