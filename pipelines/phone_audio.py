"""Telephone audio: G.711 mu-law <-> PCM16, and the short filter that takes a model's 24 kHz down to 8 kHz. Pure."""

import warnings

import numpy as np
from numpy.lib.stride_tricks import as_strided

with warnings.catch_warnings():
    # Gone from the standard library with Python 3.13, for which it is a package; we run on what comes before.
    warnings.simplefilter("ignore", DeprecationWarning)
    import audioop


_BLOCK = 32
"""So many results are worked out as one row: longer rows hold more zeros, shorter ones repeat more samples."""


def decode_mulaw(mulaw: bytes | bytearray) -> bytes:
    """Mu-law bytes (one a sample) -> PCM16 little-endian, same rate."""
    return audioop.ulaw2lin(mulaw, 2)


def encode_mulaw(pcm: bytes) -> bytes:
    """PCM16 little-endian -> mu-law bytes, same rate. An odd last byte is left out."""
    return audioop.lin2ulaw(pcm if len(pcm) % 2 == 0 else pcm[:-1], 2)


def mix(pcm: bytes, other: bytes) -> bytes:
    """Two pieces of PCM16 of the same length, heard at once; what is too loud is clipped."""
    return audioop.add(pcm, other, 2)


def power(pcm: bytes) -> float:
    """Mean square of PCM16, as a part of full scale's: 1 is a square wave at full scale."""
    return (audioop.rms(pcm, 2) / 32768) ** 2


def is_louder(pcm: bytes, rms: int) -> bool:
    """Whether PCM16 has at least this root mean square (of 32768)."""
    return audioop.rms(pcm, 2) >= rms


class Decimator:
    """Takes PCM16 mono down by a whole factor through a linear-phase low-pass, with nothing held back but the filter.

    A windowed-sinc of `taps` taps (at 24 kHz -> 8 kHz: 48 taps, 1 ms of delay, flat to 3.2 kHz, 60 dB down above
    4.8 kHz). Block resamplers hold audio back in lumps of over 100 ms and drop what is still inside at the end of an
    utterance; this one answers each chunk at once and `flush` gives the last millisecond.
    """

    def __init__(self, factor: int, taps: int = 48) -> None:
        """Take the factor (3 for 24 kHz -> 8 kHz) and the filter's length."""
        self.factor = factor
        centre = (taps - 1) / 2
        ideal = np.sinc((np.arange(taps) - centre) / factor) / factor
        kernel = ideal * np.kaiser(taps, 5.0)
        kernel = (kernel / kernel.sum()).astype(np.float32)
        # Only every `factor`th result is kept, so only those are worked out, `_BLOCK` at a time: a row of samples times
        # this matrix, each of whose columns has the filter one result further on.
        self._matrix = np.zeros((_BLOCK * factor + taps - factor, _BLOCK), dtype=np.float32)
        for column in range(_BLOCK):
            self._matrix[column * factor : column * factor + taps, column] = kernel  # symmetrical: no need to turn it
        self._history = np.zeros(taps - 1, dtype=np.float32)
        self._phase = 0

    def reset(self) -> None:
        """Forget what is inside: the next chunk begins a new utterance."""
        self._history[:] = 0
        self._phase = 0

    def process(self, pcm: bytes) -> bytes:
        """PCM16 in -> PCM16 out at the lower rate."""
        samples = np.frombuffer(pcm, dtype="<i2", count=len(pcm) // 2).astype(np.float32)
        if not len(samples):
            return b""
        joined = np.concatenate((self._history, samples))
        count = max(-(-(len(samples) - self._phase) // self.factor), 0)
        rows, width = -(-count // _BLOCK), len(self._matrix)
        step = _BLOCK * self.factor
        padded = np.zeros(max(rows * step + width - step, 0), dtype=np.float32)
        used = joined[self._phase : self._phase + len(padded)]
        padded[: len(used)] = used
        kept = (as_strided(padded, (rows, width), (step * 4, 4)) @ self._matrix).ravel()[:count]
        self._phase = (self._phase - len(samples)) % self.factor
        self._history = joined[-len(self._history) :]
        return np.clip(np.rint(kept), -32768, 32767).astype("<i2").tobytes()

    def flush(self) -> bytes:
        """The tail still inside the filter; then as after `reset`."""
        tail = self.process(bytes(len(self._history) // 2 * 2))
        self.reset()
        return tail
