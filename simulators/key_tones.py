"""Keys as the far end hears them: sent apart from the sound, or as tones in it (ITU-T Q.23), found by Goertzel."""

from __future__ import annotations

import asyncio

import numpy as np

from simulators.telephone_audio import RATE_HZ, Pcm

_ROWS = (697, 770, 852, 941)
_COLUMNS = (1209, 1336, 1477, 1633)
_KEYS = ("123A", "456B", "789C", "*0#D")
_FRAME = 160  # 20 ms: 50 Hz apart, and rows are 73 Hz and more from each other
# Q.24: a receiver takes tones of 40 ms, and at the least so long a pause between two.
_LEAST_FRAMES = 2
_LEAST_LEVEL = 500.0
_LEAST_SHARE = 0.6
_MOST_TWIST = 10**0.8  # 8 dB
_OVER_OTHERS = 4.0


class KeysHeard:
    """Keys in the order in which they came; somebody may wait for the next."""

    def __init__(self) -> None:
        self.all = ""
        self._waiting: asyncio.Queue[str] = asyncio.Queue()

    def add(self, key: str) -> None:
        """Note a key."""
        self.all += key
        self._waiting.put_nowait(key)

    async def next(self) -> str:
        """Wait for the next key that nobody has taken yet."""
        return await self._waiting.get()


class ToneEar:
    """Listens to one stream of sound (PCM16, 8 kHz) for the tones of keys. Feed it pieces of any length."""

    def __init__(self) -> None:
        self._rest: Pcm = np.zeros(0, np.int16)
        self._last, self._count = "", 0

    def hear(self, pcm: Pcm) -> str:
        """Take the next samples; returns the keys that were pressed in them, in order."""
        samples = np.concatenate((self._rest, pcm))
        whole = samples.size - samples.size % _FRAME
        self._rest = samples[whole:].copy()
        found = ""
        for key in _keys_of(samples[:whole].reshape(-1, _FRAME).astype(np.float64)):
            self._last, self._count = key, self._count + 1 if key == self._last else 1
            if key and self._count == _LEAST_FRAMES:
                found += key
        return found


def find_keys(pcm: Pcm) -> str:
    """The keys whose tones are in this sound (PCM16, 8 kHz), in order."""
    return ToneEar().hear(pcm)


def _keys_of(frames: np.ndarray) -> list[str]:
    """The key in each frame; empty: none."""
    if not len(frames):
        return []
    energy = (frames**2).mean(axis=1)
    rows, columns = (_powers(frames, tones) for tones in (_ROWS, _COLUMNS))
    low, high = rows.max(axis=1), columns.max(axis=1)
    is_tone = (energy > _LEAST_LEVEL**2) & (low + high > _LEAST_SHARE * energy)
    is_balanced = (low < high * _MOST_TWIST) & (high < low * _MOST_TWIST)
    others = np.partition(rows, -2, axis=1)[:, -2], np.partition(columns, -2, axis=1)[:, -2]
    is_alone = (low > _OVER_OTHERS * others[0]) & (high > _OVER_OTHERS * others[1])
    is_key = is_tone & is_balanced & is_alone
    places = zip(rows.argmax(axis=1), columns.argmax(axis=1), is_key, strict=True)
    return [_KEYS[row][column] if found else "" for row, column, found in places]


def _powers(frames: np.ndarray, tones: tuple[int, ...]) -> np.ndarray:
    """The mean power of each tone in each frame: what Goertzel's recursion gives, as one product."""
    at = np.arange(_FRAME) / RATE_HZ
    waves = np.exp(-2j * np.pi * np.outer(at, tones))
    return 2 * np.abs(frames @ waves / _FRAME) ** 2
