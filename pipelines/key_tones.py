"""The tones of a telephone's keys (ITU-T Q.23), as audio for lines that have no other way to press one. Pure."""

import math
from array import array

_LOW_HZ = {"123A": 697, "456B": 770, "789C": 852, "*0#D": 941}
_HIGH_HZ = (1209, 1336, 1477, 1633)
_FREQUENCIES = {key: (low, high) for row, low in _LOW_HZ.items() for key, high in zip(row, _HIGH_HZ, strict=True)}

TONE_MS, GAP_MS = 120, 100
"""Q.24 asks receivers to take 40 ms of each; menus behind compressed lines want more."""
PAUSES_MS = {"w": 500, "W": 1000}
_FADE_MS = 2
_FULL_SCALE_DBM0 = 3.17  # a full-scale sine in mu-law, by G.711
# Q.24 lets the high tone be stronger by some decibels, because lines weaken it more.
_LOW_DBM0, _HIGH_DBM0 = -10.0, -8.0


def key_tones(keys: str, rate_hz: int) -> bytes:
    """Return PCM16 mono of these keys, one after the other: `0-9`, `*`, `#`, `A-D`, and `w` or `W` for a pause.

    Raises KeyError for anything else.
    """
    samples = array("h")
    for key in keys:
        if key in PAUSES_MS:
            samples.extend([0] * (rate_hz * PAUSES_MS[key] // 1000))
            continue
        low_hz, high_hz = _FREQUENCIES[key]
        count, fade = rate_hz * TONE_MS // 1000, rate_hz * _FADE_MS // 1000
        for index in range(count):
            edge = min(1.0, index / fade, (count - 1 - index) / fade)
            at = 2 * math.pi * index / rate_hz
            samples.append(round(edge * (_LOW * math.sin(low_hz * at) + _HIGH * math.sin(high_hz * at))))
        samples.extend([0] * (rate_hz * GAP_MS // 1000))
    return samples.tobytes()


def _peak(dbm0: float) -> float:
    return 32767 * 10 ** ((dbm0 - _FULL_SCALE_DBM0) / 20)


_LOW, _HIGH = _peak(_LOW_DBM0), _peak(_HIGH_DBM0)
