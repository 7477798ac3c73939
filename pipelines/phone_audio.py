"""Telephone audio: G.711 mu-law <-> PCM16, and the short filter that takes a model's 24 kHz down to 8 kHz. Pure."""

from typing import cast

import numpy as np
from numpy.typing import NDArray

_BIAS = 0x84
_CLIP = 32635


def _decode_table() -> NDArray[np.int16]:
    """Expand each of the 256 mu-law codes (ITU-T G.711, table 2a) to PCM16."""
    code = ~np.arange(256, dtype=np.uint8)
    magnitude = (((code & 0x0F).astype(np.int32) << 3) + _BIAS) << ((code & 0x70) >> 4)
    return np.where(code & 0x80, _BIAS - magnitude, magnitude - _BIAS).astype(np.int16)


def _encode_table() -> NDArray[np.uint8]:
    """Compress every PCM16 value, indexed by its unsigned bit pattern: one look-up a sample beats arithmetic."""
    pcm = np.arange(65536, dtype=np.uint16).view(np.int16).astype(np.int32)
    sign = np.where(pcm < 0, 0x80, 0)
    magnitude = np.minimum(np.abs(pcm), _CLIP) + _BIAS
    exponent = np.floor(np.log2(magnitude)).astype(np.int32) - 7
    mantissa = (magnitude >> (exponent + 3)) & 0x0F
    return (~(sign | (exponent << 4) | mantissa) & 0xFF).astype(np.uint8)


_DECODE = _decode_table()
_ENCODE = _encode_table()


def decode_mulaw(mulaw: bytes | bytearray) -> bytes:
    """Mu-law bytes (one a sample) -> PCM16 little-endian, same rate."""
    return _DECODE[np.frombuffer(mulaw, dtype=np.uint8)].tobytes()


def encode_mulaw(pcm: bytes) -> bytes:
    """PCM16 little-endian -> mu-law bytes, same rate. An odd last byte is left out."""
    samples = np.frombuffer(pcm, dtype="<u2", count=len(pcm) // 2)
    return _ENCODE[samples].tobytes()


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
        self._kernel = (kernel / kernel.sum()).astype(np.float32)
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
        filtered = cast(NDArray[np.float32], np.convolve(joined, self._kernel, mode="valid"))
        kept = filtered[self._phase :: self.factor]
        self._phase = (self._phase - len(filtered)) % self.factor
        self._history = joined[-len(self._history) :]
        return np.clip(np.rint(kept), -32768, 32767).astype("<i2").tobytes()

    def flush(self) -> bytes:
        """The tail still inside the filter; then as after `reset`."""
        tail = self.process(bytes(len(self._history) // 2 * 2))
        self.reset()
        return tail
