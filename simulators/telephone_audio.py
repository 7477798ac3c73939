"""The audio of a telephone line: mu-law coding, resampling, loudness.

PCM is 16-bit signed, mono, as `numpy.int16`. Mu-law is one byte a sample (ITU-T G.711), 8000 samples a second, so a
20 ms frame is 160 bytes. The tables here are the simulator's own: checking the server with the server's own coder
would hide a mistake in it.
"""

import io
from pathlib import Path
from typing import cast

import numpy as np
import numpy.typing as npt
import soundfile  # pyright: ignore[reportMissingTypeStubs]
import soxr  # pyright: ignore[reportMissingTypeStubs]

Pcm = npt.NDArray[np.int16]

RATE_HZ = 8000
FRAME_MS = 20
FRAME_BYTES = RATE_HZ * FRAME_MS // 1000
SILENCE = b"\xff"
"""The mu-law byte of a zero sample, which Twilio sends while nobody speaks."""

AUDIBLE_RMS = 200.0
"""RMS of a 20 ms frame above which a listener notices it: -44 dBFS, over comfort noise and under quiet speech."""

_BIAS = 0x84
_CLIP = 32635


def _build_decode_table() -> Pcm:
    code = ~np.arange(256, dtype=np.int32) & 0xFF
    magnitude = ((((code & 0x0F) << 3) + _BIAS) << ((code & 0x70) >> 4)) - _BIAS
    return np.where(code & 0x80, -magnitude, magnitude).astype(np.int16)


def _build_encode_table() -> npt.NDArray[np.uint8]:
    """Mu-law byte of every 16-bit sample, indexed by the sample seen as unsigned."""
    sample = np.arange(65536, dtype=np.uint16).view(np.int16).astype(np.int32)
    magnitude = np.minimum(np.abs(sample), _CLIP) + _BIAS
    exponent = np.floor(np.log2(magnitude)).astype(np.int32) - 7
    mantissa = (magnitude >> (exponent + 3)) & 0x0F
    sign = np.where(sample < 0, 0x80, 0)
    return (~(sign | (exponent << 4) | mantissa) & 0xFF).astype(np.uint8)


_DECODE = _build_decode_table()
_ENCODE = _build_encode_table()
_SQUARE = _DECODE.astype(np.float64) ** 2


def encode_ulaw(pcm: Pcm) -> bytes:
    """PCM16 to mu-law, one byte a sample."""
    return _ENCODE[np.ascontiguousarray(pcm).view(np.uint16)].tobytes()


def decode_ulaw(ulaw: bytes | bytearray) -> Pcm:
    """Mu-law to PCM16, one sample a byte."""
    return _DECODE[np.frombuffer(bytes(ulaw), dtype=np.uint8)]


def is_audible(ulaw: bytes | bytearray) -> bool:
    """Whether any whole 20 ms frame of this mu-law audio (or all of it, if shorter) is loud enough to be noticed."""
    squares = _SQUARE[np.frombuffer(bytes(ulaw), dtype=np.uint8)]
    if squares.size == 0:
        return False
    if squares.size < FRAME_BYTES:
        return float(squares.mean()) > AUDIBLE_RMS**2
    whole = squares[: squares.size - squares.size % FRAME_BYTES].reshape(-1, FRAME_BYTES)
    return float(whole.mean(axis=1).max()) > AUDIBLE_RMS**2


def find_audible(pcm: Pcm, *, min_gap_ms: int = 300, min_ms: int = 40) -> list[tuple[int, int]]:
    """Stretches of audible sound in 8 kHz PCM.

    Args:
        pcm: 8 kHz audio whose first sample is at 0 ms.
        min_gap_ms: Quieter stretches shorter than this do not end a stretch (the pauses between words).
        min_ms: Stretches shorter than this are clicks and are left out.

    Returns:
        Pairs (start_ms, end_ms), in order, to the nearest 20 ms frame.
    """
    frames = pcm[: pcm.size - pcm.size % FRAME_BYTES].reshape(-1, FRAME_BYTES).astype(np.float64)
    loud = np.flatnonzero((frames**2).mean(axis=1) > AUDIBLE_RMS**2) * FRAME_MS
    found: list[tuple[int, int]] = []
    for start_ms in loud.tolist():
        if found and start_ms - found[-1][1] < min_gap_ms:
            found[-1] = (found[-1][0], start_ms + FRAME_MS)
        else:
            found.append((start_ms, start_ms + FRAME_MS))
    return [(start_ms, end_ms) for start_ms, end_ms in found if end_ms - start_ms >= min_ms]


def resample_to_telephone(pcm: npt.NDArray[np.generic], rate_hz: int) -> Pcm:
    """Mono audio of any rate, int16 or float in -1..1, to PCM16 at 8 kHz."""
    samples = pcm if pcm.dtype == np.int16 else np.clip(pcm.astype(np.float64) * 32767, -32768, 32767).astype(np.int16)
    if rate_hz == RATE_HZ:
        return samples.astype(np.int16)
    return np.asarray(soxr.resample(samples, rate_hz, RATE_HZ, quality="HQ"), dtype=np.int16)


def read_clip(clip: Path | bytes) -> Pcm:
    """An audio file, or the bytes of one (WAV, FLAC, OGG), as 8 kHz PCM. Reads the disk: call it off the event loop.

    Raises:
        soundfile.LibsndfileError: The file is absent or of no known format.
    """
    source = io.BytesIO(clip) if isinstance(clip, bytes) else clip
    samples, rate_hz = cast(
        tuple[Pcm, int],
        soundfile.read(source, dtype="int16", always_2d=True),  # pyright: ignore[reportUnknownMemberType]
    )
    return resample_to_telephone(np.ascontiguousarray(samples[:, 0]), rate_hz)
