"""The model's voice on the wire: paces a reply ahead of its assumed playback, and knows when that playback ends."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from simulators import gemini_wire as wire
from simulators.gemini_pacing import due_ms, duration_ms, heard_fragments, reply_messages, word_fragments
from simulators.speech import SPEECH_RATE_HZ, speak

_SENTENCE_PAUSE = bytes(SPEECH_RATE_HZ * 2 * 300 // 1000)


class Voice:
    """Speaks texts one after the other. Times are those of the running loop's clock.

    `on_speech` is told the length of each text, in ms of sound, before it is sent.
    """

    def __init__(self, send: Callable[[wire.Json], Awaitable[None]], playback_speed: float) -> None:
        self.is_text = False
        self.with_transcript = False
        self.on_speech: Callable[[float], None] | None = None
        self._send = send
        self._speed = playback_speed
        # When the sound that is being played now began, and how much of it has been sent.
        self._began = 0.0
        self._sent_ms = 0.0

    async def send_heard(self, text: str) -> None:
        """Sends the caller's words in fragments."""
        for fragment in heard_fragments(text):
            await self._send(wire.server_content(inputTranscription={"text": fragment}))

    async def say(self, text: str) -> float:
        """Sends one text as sound and transcript (or as text parts); returns its length in seconds once all is sent."""
        if self.is_text:
            for fragment in word_fragments(text):
                await self._send(wire.server_content(modelTurn={"role": "model", "parts": [{"text": fragment}]}))
            return 0.0
        pcm = await asyncio.to_thread(speak, text)
        now = asyncio.get_running_loop().time()
        if now >= self._playback_end():
            self._began, self._sent_ms = now, 0.0
        else:
            pcm = _SENTENCE_PAUSE + pcm
        if self.on_speech is not None:
            self.on_speech(duration_ms(pcm))
        for outgoing in reply_messages(text, pcm, with_transcript=self.with_transcript):
            await self._sleep_until(self._began + due_ms(self._sent_ms) / 1000 / self._speed)
            await self._send(outgoing.message)
            self._sent_ms += outgoing.audio_ms
        return duration_ms(pcm) / 1000

    async def finish(self) -> None:
        """All is generated: says so, and waits until the client must have played it."""
        await self._send(wire.server_content(generationComplete=True))
        await self._sleep_until(self._playback_end())

    def rest(self) -> None:
        """The turn is over: what was not played never will be."""
        self._sent_ms = 0.0

    def _playback_end(self) -> float:
        return self._began + self._sent_ms / 1000 / self._speed

    async def _sleep_until(self, moment: float) -> None:
        wait_secs = moment - asyncio.get_running_loop().time()
        if wait_secs > 0:
            await asyncio.sleep(wait_secs)
