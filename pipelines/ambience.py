"""A room behind the agent's voice: mixed under all that it says, and sent by itself while it says nothing."""

import asyncio
from collections.abc import Awaitable, Callable

import numpy as np
import soundfile  # pyright: ignore[reportMissingTypeStubs]
from loguru import logger

from config.listening import Ambient
from pipelines.ambience_sounds import load_loop
from pipelines.phone_audio import mix

_PIECE_MS = 40
_AHEAD_MS = 60.0
"""So much lies ready at the far end while the agent is silent. More would delay its next word, less would crackle."""
_FADE_SECS = 1.5


class Ambience:
    """A loop while it is played, faded in at its beginning."""

    def __init__(self, loop: bytes, rate_hz: int) -> None:
        """Take PCM16 at `rate_hz`."""
        self._loop = loop
        self._at = 0
        faded = np.frombuffer(loop, dtype="<i2", count=min(int(_FADE_SECS * rate_hz), len(loop) // 2))
        self._fading = (faded * np.linspace(0, 1, len(faded)) ** 2).astype("<i2").tobytes()

    def take(self, size_bytes: int) -> bytes:
        """The next piece of it."""
        taken = bytearray()
        while len(taken) < size_bytes:
            source = self._fading or self._loop
            piece = source[self._at : self._at + size_bytes - len(taken)]
            taken += piece
            self._at += len(piece)
            if self._at >= len(source):
                self._at, self._fading = (len(source) if self._fading else 0), b""
                self._at %= len(self._loop)
        return bytes(taken)


class Background:
    """The room of one call. Until its sound is loaded, and when it cannot be, there is none."""

    def __init__(self, settings: Ambient, rate_hz: int) -> None:
        """Take which sound, how loud, and the line's rate."""
        self._settings = settings
        self._rate_hz = rate_hz
        self._ambience: Ambience | None = None
        self._hurry = asyncio.Event()

    def under(self, pcm: bytes) -> bytes:
        """The agent's voice (PCM16 at the line's rate) with the room behind it."""
        return pcm if self._ambience is None else mix(pcm, self._ambience.take(len(pcm)))

    def hurry(self) -> None:
        """The far end has been told to forget what it was sent: it plays nothing now."""
        self._hurry.set()

    async def run(self, send: Callable[[bytes], Awaitable[None]], ahead_ms: Callable[[], float]) -> None:
        """Send the room whenever the far end is about to run dry, until cancelled.

        Args:
            send: Sends PCM16 at the line's rate.
            ahead_ms: Tells how much audio lies ready at the far end, whoever sent it.
        """
        settings = self._settings
        try:
            loop = await asyncio.to_thread(load_loop, settings.sound, settings.volume_db, self._rate_hz)
        except (OSError, soundfile.LibsndfileError) as error:
            logger.bind(cause=str(error)).warning("the sound behind an agent's voice cannot be read: there is none")
            return
        self._ambience = Ambience(loop, self._rate_hz)
        size_bytes = self._rate_hz * _PIECE_MS // 1000 * 2
        while True:
            ready_ms = ahead_ms()
            if ready_ms < _AHEAD_MS:
                await send(self._ambience.take(size_bytes))
            await self._wait(max(0.0, min(ready_ms - _AHEAD_MS, 500.0)) / 1000)

    async def _wait(self, secs: float) -> None:
        if not secs:
            await asyncio.sleep(0)
            return
        self._hurry.clear()
        timer = asyncio.get_running_loop().call_later(secs, self._hurry.set)
        try:
            await self._hurry.wait()
        finally:
            timer.cancel()
