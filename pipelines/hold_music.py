"""What a caller on hold hears: a short piece made by the code below, or a file of the operator's."""

import functools
import wave
from pathlib import Path

import numpy as np
import numpy.typing as npt

from config.transfers import HOLD_RATES_HZ
from pipelines.sentences import Spoken

_RATE_HZ = 24_000
_BAR_SECS = 2.0
_LEVEL = 5200.0
"""Peak, of 32767: well below a voice."""
_CHORDS_HZ = (
    (220.00, 261.63, 329.63, 440.00),  # A minor
    (174.61, 220.00, 261.63, 349.23),  # F
    (196.00, 261.63, 329.63, 392.00),  # C over G
    (196.00, 246.94, 293.66, 392.00),  # G
)
_PATTERN = (0, 1, 2, 3, 2, 1, 2, 1)
_RING_SECS = 1.6


class BadHoldFile(ValueError):
    """The file cannot be played to callers on hold: it must be a WAV file, mono, 16 bit, 8 or 24 kHz."""

    def __str__(self) -> str:
        """Return the sentence above, and what is wrong where that is known."""
        said = type(self).__doc__ or ""
        return f"{said} ({self.args[0]})" if self.args else said


@functools.cache
def hold_music() -> Spoken:
    """Return 8 s of plucked chords to be played over and over (PCM16, 24 kHz). Takes some 20 ms the first time."""
    total = int(_BAR_SECS * len(_CHORDS_HZ) * _RATE_HZ)
    sound = np.zeros(total)
    step = int(_BAR_SECS * _RATE_HZ) // len(_PATTERN)
    for bar, chord in enumerate(_CHORDS_HZ):
        for beat, note in enumerate(_PATTERN):
            _add(sound, _pluck(chord[note]), (bar * len(_PATTERN) + beat) * step)
        _add(sound, 1.4 * _pluck(chord[0] / 2), bar * len(_PATTERN) * step)
    scaled: npt.NDArray[np.int16] = (sound * (_LEVEL / np.abs(sound).max())).astype(np.int16)
    return Spoken("", scaled.tobytes(), _RATE_HZ)


@functools.lru_cache(maxsize=16)
def read_hold_file(path: Path) -> Spoken:
    """Return a file's sound. Raises `BadHoldFile`. Blocks; call it in a thread."""
    try:
        with wave.open(str(path), "rb") as file:
            shape = (file.getnchannels(), file.getsampwidth())
            rate_hz, pcm = file.getframerate(), file.readframes(file.getnframes())
    except (OSError, EOFError, wave.Error) as error:
        raise BadHoldFile(str(error)) from error
    if shape != (1, 2) or rate_hz not in HOLD_RATES_HZ or len(pcm) < 2 * rate_hz:
        raise BadHoldFile
    return Spoken("", pcm, rate_hz)


def _pluck(hz: float) -> npt.NDArray[np.float64]:
    """A string that is plucked and fades: a few harmonics, the higher the shorter."""
    at = np.arange(int(_RING_SECS * _RATE_HZ)) / _RATE_HZ
    tone = sum(np.sin(2 * np.pi * hz * n * at) * np.exp(-at * (2.2 + 1.3 * n)) / n**1.5 for n in range(1, 6))
    return np.minimum(1.0, at / 0.006) * np.minimum(1.0, (_RING_SECS - at) / 0.1) * tone


def _add(sound: npt.NDArray[np.float64], note: npt.NDArray[np.float64], start: int) -> None:
    """Mix a note in; what rings on past the end goes on at the beginning, so that the loop has no seam."""
    places = (start + np.arange(len(note))) % len(sound)
    sound[places] += note
