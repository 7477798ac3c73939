"""What a telephone line sounds like behind the caller's voice."""

import numpy as np

from simulators.telephone_audio import FRAME_BYTES, RATE_HZ, Pcm


class NoiseBed:
    """Endless background hiss, the same for the same seed.

    The noise is white, low-passed towards the rumble of a room, and repeats after `_LOOP_SECS`, long enough for no
    end-of-speech detector to notice.
    """

    _LOOP_SECS = 7

    def __init__(self, level_dbfs: float = -50.0, *, seed: int = 1) -> None:
        """Make the bed.

        Args:
            level_dbfs: RMS level; -60 is a quiet room, -40 a busy street.
            seed: Chooses the noise.
        """
        white = np.random.default_rng(seed).standard_normal(self._LOOP_SECS * RATE_HZ)
        shaped = np.convolve(white, np.ones(4) / 4, mode="same")
        rms = float(np.sqrt((shaped**2).mean()))
        scale = 32768 * 10 ** (level_dbfs / 20) / rms
        self._loop: Pcm = np.clip(shaped * scale, -32768, 32767).astype(np.int16)
        self._at = 0

    def next_frame(self) -> Pcm:
        """The next 20 ms: 160 samples of PCM16 at 8 kHz."""
        frame = np.take(self._loop, np.arange(self._at, self._at + FRAME_BYTES), mode="wrap")
        self._at = (self._at + FRAME_BYTES) % self._loop.size
        return frame
