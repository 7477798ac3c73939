"""A model's speech, its pieces joined while it is far ahead of what was heard: a frame costs the same at any length."""

import asyncio
from collections.abc import Awaitable, Callable

from pipelines.model_voice import VOICE_HZ

_SAFE_MS = 300.0
"""With less than this on its way to the caller only what has come at the same moment is joined."""
_PIECE_MS = 200.0
"""No frame is longer than this and a piece: an interruption must not have to wait for one, and words must be placed."""


class VoicePieces:
    """Takes voice (PCM16 mono at `VOICE_HZ`) and words, and pushes them on in order, words before their voice.

    No gap is made that was not there before, and what is being pushed on is waited for before anything else is. Whoever
    reads the model's messages calls `pause` when none is left.
    """

    def __init__(self, push_voice: Callable[[bytes], Awaitable[None]], push_words: Callable[[str], Awaitable[None]]):
        """Take what pushes one piece on; neither must raise."""
        self._push_voice = push_voice
        self._push_words = push_words
        self._words = ""
        self._held = bytearray()
        self._drops = 0
        self._pushing = asyncio.Lock()
        self._is_due = False
        self._timer: asyncio.TimerHandle | None = None
        self._flushing: set[asyncio.Task[None]] = set()

    @property
    def _held_ms(self) -> float:
        return len(self._held) / 2 / VOICE_HZ * 1000

    async def add(self, pcm: bytes, ahead_ms: float) -> None:
        """Take a piece of voice. `ahead_ms`: how far the voice, with this piece, is ahead of real time."""
        self._held += pcm
        if self._held_ms >= _PIECE_MS:
            await self.flush()
        else:
            self._wait(ahead_ms)

    async def pause(self) -> None:
        """Nothing more lies ready to be read: what is not far ahead goes on now."""
        if self._is_due:
            await self.flush()

    def add_words(self, words: str, ahead_ms: float) -> None:
        """Take words. `ahead_ms`: how far the voice is ahead of real time."""
        self._words += words
        self._wait(ahead_ms)

    async def flush(self) -> None:
        """Push on what is held: something else follows it. All that was taken is on its way when this returns."""
        async with self._pushing:
            self._stop()
            drops = self._drops
            words, self._words = self._words, ""
            pcm, self._held = bytes(self._held), bytearray()
            if words:
                await self._push_words(words)
            if pcm and drops == self._drops:
                await self._push_voice(pcm)

    def drop(self) -> None:
        """Forget what is held: nobody is to hear it."""
        self._stop()
        self._drops += 1
        self._words = ""
        self._held.clear()

    def _wait(self, ahead_ms: float) -> None:
        spare_ms = ahead_ms - self._held_ms - _SAFE_MS
        if spare_ms <= 0:
            self._is_due = True
        elif self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(spare_ms / 1000, self._due)

    def _stop(self) -> None:
        self._is_due = False
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _due(self) -> None:
        self._timer = None
        flushing = asyncio.create_task(self.flush(), name="voice of the model")
        self._flushing.add(flushing)
        flushing.add_done_callback(self._flushing.discard)
