"""Rooms as sound: loops of an office and a café, made here from noise, and loops read from an operator's file.

Filters work on the whole loop at once, in its spectrum, so that its end goes over into its beginning without a seam.
"""

import functools
import math
from pathlib import Path
from typing import cast

import numpy as np
import numpy.typing as npt
import soundfile  # pyright: ignore[reportMissingTypeStubs]
import soxr  # pyright: ignore[reportMissingTypeStubs]

Floats = npt.NDArray[np.float64]

_LOOP_SECS = 24
_LONGEST_SECS = 120
"""Of a file, so much is used."""
_SEAM_SECS = 0.25
_CREST = 6.0
"""Peaks over this many times the root mean square are bent down: a click in a quiet room is loud enough."""


def _band(noise: Floats, rate_hz: int, low_hz: float, high_hz: float) -> Floats:
    """Keep a band, with soft edges of a third of an octave."""
    spectrum = np.fft.rfft(noise)
    hz = np.maximum(np.fft.rfftfreq(len(noise), 1 / rate_hz), 1e-3)
    edge = 1 / 3
    rise = 1 / (1 + np.exp(-8 / edge * np.log2(hz / low_hz)))
    fall = 1 / (1 + np.exp(8 / edge * np.log2(hz / high_hz)))
    return np.fft.irfft(spectrum * rise * fall, len(noise))


def _swell(rng: np.random.Generator, size: int, rate_hz: int, slowest_hz: float, fastest_hz: float) -> Floats:
    """A random slow curve between 0 and about 2, mean 1, that joins its own beginning."""
    curve = _band(rng.standard_normal(size), rate_hz, slowest_hz, fastest_hz)
    return np.clip(1 + curve / (2.0 * curve.std()), 0, None)


def _even(sound: Floats) -> Floats:
    return sound / math.sqrt(float((sound**2).mean()))


def _babble(rng: np.random.Generator, size: int, rate_hz: int, voices: int) -> Floats:
    """Voices too far away to be understood: bands of noise where vowels are, in the rhythm of syllables."""
    mixed = np.zeros(size)
    for _ in range(voices):
        noise, pitch = rng.standard_normal(size), rng.uniform(0.85, 1.2)
        vowels = [_band(noise, rate_hz, hz * pitch * 0.85, hz * pitch * 1.15) for hz in (480, 1150, 2300)]
        syllables = _swell(rng, size, rate_hz, 1.5, 5.0) ** 2
        sentences = np.clip(_swell(rng, size, rate_hz, 0.08, 0.4) - 0.5, 0, None)
        mixed += (vowels[0] + 0.5 * vowels[1] + 0.22 * vowels[2]) * syllables * sentences * rng.uniform(0.5, 1.0)
    return _even(mixed)


def _strike(into: Floats, at: int, sound: Floats) -> None:
    """Add a short sound, round the end of the loop if need be."""
    into[np.arange(at, at + len(sound)) % len(into)] += sound


def _typing(rng: np.random.Generator, size: int, rate_hz: int) -> Floats:
    keys, at = np.zeros(size), 0.0
    while at < size:
        at += rng.uniform(2.0, 6.0) * rate_hz
        for _ in range(int(rng.integers(4, 14))):
            length = rate_hz // 90
            click = rng.standard_normal(length) * np.exp(-np.linspace(0, 6, length)) * rng.uniform(0.4, 1.0)
            _strike(keys, int(at), np.diff(click, prepend=0.0))
            at += rng.uniform(0.09, 0.24) * rate_hz
    return keys / np.abs(keys).max()


def _cups(rng: np.random.Generator, size: int, rate_hz: int) -> Floats:
    clinks = np.zeros(size)
    for _ in range(9):
        time = np.arange(rate_hz // 4) / rate_hz
        ring = sum(np.sin(2 * np.pi * hz * time) for hz in rng.uniform(1900, 3300, 3)) * np.exp(-time * 28)
        _strike(clinks, int(rng.integers(size)), np.asarray(ring) * rng.uniform(0.3, 1.0))
    return clinks / np.abs(clinks).max()


def _office(rng: np.random.Generator, size: int, rate_hz: int) -> Floats:
    air = _even(_band(rng.standard_normal(size), rate_hz, 90, 380))
    hiss = _even(_band(rng.standard_normal(size), rate_hz, 500, 3000))
    drift = _swell(rng, size, rate_hz, 0.05, 0.2) * 0.2 + 0.8
    return (air + 0.25 * hiss) * drift + 0.55 * _babble(rng, size, rate_hz, 3) + 2.2 * _typing(rng, size, rate_hz)


def _cafe(rng: np.random.Generator, size: int, rate_hz: int) -> Floats:
    room = _even(_band(rng.standard_normal(size), rate_hz, 120, 900))
    return 0.45 * room + _babble(rng, size, rate_hz, 9) + 2.0 * _cups(rng, size, rate_hz)


_MADE = {"office": _office, "cafe": _cafe}


def load_loop(sound: str, volume_db: float, rate_hz: int) -> bytes:
    """Return a loop as PCM16 at `rate_hz`. Makes or reads it the first time: not to be called on the event loop.

    Args:
        sound: A name of a shipped one, or the path of an audio file.
        volume_db: Root mean square in dB of full scale.
        rate_hz: Of the line.

    Raises:
        OSError, soundfile.LibsndfileError: the file is not there any more, or is none.
    """
    changed_ns = 0 if sound in _MADE else Path(sound).stat().st_mtime_ns
    return _loop(sound, volume_db, rate_hz, changed_ns)


@functools.lru_cache(maxsize=32)
def _loop(sound: str, volume_db: float, rate_hz: int, _changed_ns: int) -> bytes:
    made = _MADE.get(sound)
    if made is not None:
        samples = made(np.random.default_rng(7), _LOOP_SECS * rate_hz, rate_hz)
    else:
        samples = _read(Path(sound), rate_hz)
    samples = _even(samples - samples.mean())
    samples = _CREST * np.tanh(samples / _CREST)
    samples = _even(samples) * 32768 * 10 ** (volume_db / 20)
    return np.clip(np.rint(samples), -32768, 32767).astype("<i2").tobytes()


def _read(path: Path, rate_hz: int) -> Floats:
    """A file's sound, mono, at the line's rate, its last quarter of a second faded into its first."""
    with path.open("rb") as file:
        samples, file_hz = cast(
            tuple[Floats, int],
            soundfile.read(file, dtype="float64", always_2d=True),  # pyright: ignore[reportUnknownMemberType]
        )
    mono = samples[: _LONGEST_SECS * file_hz].mean(axis=1)
    mono = np.asarray(soxr.resample(mono, file_hz, rate_hz, quality="HQ"), dtype=np.float64)
    seam = min(int(_SEAM_SECS * rate_hz), len(mono) // 4)
    rise = np.sin(np.linspace(0, np.pi / 2, seam))
    mono[:seam] = mono[:seam] * rise + mono[-seam:] * rise[::-1]
    return mono[: len(mono) - seam]
