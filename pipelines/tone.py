"""Hears the tone after which an answering machine records. Only listened for while a machine greets."""

import numpy as np

_WINDOW = 256
"""Samples; 32 ms at 8 kHz."""
_LOWEST_HZ, _HIGHEST_HZ = 350.0, 2800.0
_QUIETEST = 300.0
"""Root mean square, PCM16."""
_PURITY = 0.85
"""How much of the sound has to be in one place of the spectrum. A vowel has overtones, a tone has none."""
_SHORTEST_MS = 130.0
_SAME_HZ = 40.0


class ToneEar:
    """A `LineListener` for one call's caller side."""

    def __init__(self, rate_hz: int) -> None:
        """Take the rate of the line."""
        self._rate_hz = rate_hz
        self._rest = np.empty(0, np.int16)
        self._shape = np.hanning(_WINDOW)
        self._pitch_hz = 0.0
        self._tone_ms = 0.0
        self.over_ms: float | None = None
        """When the latest tone was over, in ms of call time."""

    def caller_audio(self, at_ms: float, pcm: bytes) -> None:
        """Hear what came."""
        lead_ms = self._rest.size * 1000 / self._rate_hz
        samples = np.concatenate((self._rest, np.frombuffer(pcm, np.int16)))
        whole = samples.size // _WINDOW * _WINDOW
        for start in range(0, whole, _WINDOW):
            self._hear(samples[start : start + _WINDOW], at_ms - lead_ms + start * 1000 / self._rate_hz)
        self._rest = samples[whole:]

    def _hear(self, window: np.ndarray, at_ms: float) -> None:
        pitch_hz = self._pitch_of(window)
        if pitch_hz is not None and (not self._tone_ms or abs(pitch_hz - self._pitch_hz) <= _SAME_HZ):
            self._pitch_hz = pitch_hz
            self._tone_ms += _WINDOW * 1000 / self._rate_hz
            return
        if self._tone_ms >= _SHORTEST_MS:
            self.over_ms = at_ms
        self._tone_ms, self._pitch_hz = (0.0, 0.0) if pitch_hz is None else (_WINDOW * 1000 / self._rate_hz, pitch_hz)

    def _pitch_of(self, window: np.ndarray) -> float | None:
        """The pitch of a pure tone, in Hz; None for anything else."""
        sound = window.astype(np.float64)
        if float(np.sqrt(np.mean(sound**2))) < _QUIETEST:
            return None
        power = np.abs(np.fft.rfft(sound * self._shape)) ** 2
        peak = int(np.argmax(power))
        # A window of this shape spreads a pure tone over its place and two on each side.
        near = float(power[max(0, peak - 2) : peak + 3].sum())
        pitch_hz = peak * self._rate_hz / _WINDOW
        is_pure = near >= _PURITY * float(power.sum())
        return pitch_hz if is_pure and _LOWEST_HZ <= pitch_hz <= _HIGHEST_HZ else None

    # ---- the rest of a listener ----

    def agent_audio(self, at_ms: float, pcm: bytes) -> None:
        """Not listened to."""

    def agent_text(self, text: str, *, is_announced: bool) -> None:
        """Not listened to."""

    def agent_finished(self) -> None:
        """Not listened to."""

    def agent_cut(self, at_ms: float) -> None:
        """Not listened to."""

    def digit(self, at_ms: float, digit: str) -> None:
        """Not listened to."""
