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
_MOST_TWIST_DB = 8.0
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


def find_keys(pcm: Pcm) -> str:
    """The keys whose tones are in this sound (PCM16, 8 kHz), in order."""
    frames = pcm[: pcm.size - pcm.size % _FRAME].reshape(-1, _FRAME).astype(np.float64)
    found, last, count, is_told = "", "", 0, False
    for key in _keys_of(frames):
        if key != last:
            last, count, is_told = key, 0, False
        count += 1
        if key and count >= _LEAST_FRAMES and not is_told:
            found, is_told = found + key, True
    return found


def _keys_of(frames: np.ndarray) -> list[str]:
    """The key in each frame; empty: none."""
    if not len(frames):
        return []
    energy = (frames**2).mean(axis=1)
    rows, columns = (_powers(frames, tones) for tones in (_ROWS, _COLUMNS))
    keys: list[str] = []
    for row, column, whole in zip(rows, columns, energy, strict=True):
        low, high = row.max(), column.max()
        is_tone = whole > _LEAST_LEVEL**2 and (low + high) / whole > _LEAST_SHARE
        is_balanced = low > 0 and high > 0 and abs(10 * np.log10(high / low)) < _MOST_TWIST_DB
        is_alone = low > _OVER_OTHERS * np.partition(row, -2)[-2] and high > _OVER_OTHERS * np.partition(column, -2)[-2]
        keys.append(_KEYS[int(row.argmax())][int(column.argmax())] if is_tone and is_balanced and is_alone else "")
    return keys


def _powers(frames: np.ndarray, tones: tuple[int, ...]) -> np.ndarray:
    """The mean power of each tone in each frame: what Goertzel's recursion gives, as one product."""
    at = np.arange(_FRAME) / RATE_HZ
    waves = np.exp(-2j * np.pi * np.outer(at, tones))
    return 2 * np.abs(frames @ waves / _FRAME) ** 2
