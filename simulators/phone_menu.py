"""A phone menu on the far end of a call: it plays prompts, listens for keys, and leads to an extension."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field

from simulators.caller import CallOver
from simulators.clips import CLIP_RATE_HZ, caller_samples
from simulators.key_tones import ToneEar
from simulators.simulated_call import SimulatedCall
from simulators.telephone_audio import decode_ulaw

_LISTEN_SECS = 0.05
_BETWEEN_PROMPTS_SECS = 1.5
_BETWEEN_KEYS_SECS = 3.0


@dataclass(frozen=True, slots=True)
class MenuPlace:
    """One place in a menu: what is played there again and again (a caller clip), and where keys lead to.

    A place without keys is an extension: its prompt is what the person there says, once.
    """

    name: str
    prompt: str
    keys: Mapping[str, MenuPlace] = field(default_factory=dict[str, "MenuPlace"])


class PhoneMenu:
    """Runs on one call, over all of its media streams. Keys come by `<Play digits>`, or as tones in the server's sound.

    `path` are the names of the places that were reached.
    """

    def __init__(self, call: SimulatedCall, start: MenuPlace) -> None:
        """Take an answered call and the first place."""
        self.path = [start.name]
        self.keys = ""
        self._call = call
        self._place = start
        self._pressed = asyncio.Event()
        self._ears: list[tuple[ToneEar, int]] = []

    async def run(self) -> str:
        """Play the menu until an extension was reached and has spoken; returns its name. Cancel it to leave."""
        listeners = [
            asyncio.create_task(self._hear_keys(), name="menu hears keys"),
            asyncio.create_task(self._hear_tones(), name="menu hears tones"),
        ]
        try:
            while self._place.keys:
                await self._offer(self._place)
            await self._say(self._place.prompt)
            return self._place.name
        finally:
            for task in listeners:
                task.cancel()
            await asyncio.wait(listeners)

    async def _offer(self, place: MenuPlace) -> None:
        """Play the prompt until keys lead on. As with real menus, the first key ends it."""
        while not self.keys:
            self._pressed.clear()
            speaking = asyncio.create_task(self._say(place.prompt), name="menu speaks")
            pressing = asyncio.create_task(self._pressed.wait(), name="menu waits for a key")
            try:
                await asyncio.wait({speaking, pressing}, return_when=asyncio.FIRST_COMPLETED)
                speaking.cancel()
                await asyncio.wait({pressing}, timeout=_BETWEEN_PROMPTS_SECS)
            finally:
                speaking.cancel()
                pressing.cancel()
                await asyncio.wait({speaking, pressing})
        while self.keys not in place.keys:
            self._pressed.clear()
            try:
                async with asyncio.timeout(_BETWEEN_KEYS_SECS):
                    await self._pressed.wait()
            except TimeoutError:
                self.keys = ""  # "this is no valid choice": the prompt again
                return
        self._place, self.keys = place.keys[self.keys], ""
        self.path.append(self._place.name)

    async def _say(self, clip_id: str) -> None:
        """Say it on the stream there is; it goes on speaking into the void while there is none."""
        samples = await asyncio.to_thread(caller_samples, clip_id)
        while True:
            try:
                await self._call.say(samples, CLIP_RATE_HZ)
                return
            except CallOver:
                await asyncio.sleep(_LISTEN_SECS)

    def _take(self, keys: str) -> None:
        self.keys += keys
        self._pressed.set()

    async def _hear_keys(self) -> None:
        while True:
            self._take(await self._call.keys_heard.next())

    async def _hear_tones(self) -> None:
        """Tones in what the server sends, one stream after the other."""
        while True:
            await asyncio.sleep(_LISTEN_SECS)
            while len(self._ears) < len(self._call.callers):
                self._ears.append((ToneEar(), 0))
            for index, caller in enumerate(self._call.callers):
                ear, heard_bytes = self._ears[index]
                ulaw = bytes(caller.playout.timeline[heard_bytes:])
                self._ears[index] = ear, heard_bytes + len(ulaw)
                if keys := ear.hear(decode_ulaw(ulaw)):
                    self._take(keys)
