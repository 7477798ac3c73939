"""Which shipped caller clip was that? An acoustic comparison, no speech model: it knows the clips and nothing else."""

from __future__ import annotations

import functools
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from simulators.clips import CLIP_RATE_HZ, Samples, caller_clips, caller_samples

Features = NDArray[np.float32]

_WINDOW_MS = 32
_HOP_MS = 16
_BANDS = 24
# The telephone band: what mu-law at 8 kHz keeps of a clip must be all that is compared.
_LOWEST_HZ = 250.0
_HIGHEST_HZ = 3400.0
# Anything this far below the loudest moment counts as silence, so line noise does not matter.
_RANGE_DB = 30.0
# Steady noise louder than that is taken for silence too: the quiet tenth of each band, and what it varies by.
_OVER_NOISE_DB = 6.0
_LEAST_RANGE_DB = 12.0
_SHIFT_FRAMES = 480 // _HOP_MS
_PIECE_FRAMES = 480 // _HOP_MS
_DRIFT_FRAMES = 96 // _HOP_MS
# Measured on the shipped clips: the right clip scores at least 0.78 (mu-law, noise, a tenth of the loudness, lost
# frames all at once), another speaker's sentence at most 0.57; the two shortest clips reach 0.76 against each other.
LEAST_SCORE = 0.72
LEAST_LEAD = 0.1


@dataclass(frozen=True, slots=True)
class Match:
    """The best clip for a sound. `clip_id` is None when no clip is close enough; scores are cosines, 1 is identical."""

    clip_id: str | None
    score: float
    runner_up: float


@functools.cache
def _mel_filters(rate_hz: int, fft_size: int) -> Features:
    def mel(hz: float) -> float:
        return float(2595.0 * np.log10(1.0 + hz / 700.0))

    edges_mel = np.linspace(mel(_LOWEST_HZ), mel(_HIGHEST_HZ), _BANDS + 2)
    edges_hz = 700.0 * (10.0 ** (edges_mel / 2595.0) - 1.0)
    bins_hz = np.arange(fft_size // 2 + 1) * rate_hz / fft_size
    filters = np.zeros((_BANDS, len(bins_hz)), dtype=np.float32)
    for band in range(_BANDS):
        low, middle, high = edges_hz[band : band + 3]
        filters[band] = np.clip(
            np.minimum((bins_hz - low) / (middle - low), (high - bins_hz) / (high - middle)), 0, None
        )
    return filters


def _sounding(levels_db: Features) -> Features:
    """Cuts the silent frames off both ends."""
    (loud,) = np.nonzero(levels_db.max(axis=1) > 0)
    return levels_db[int(loud[0]) : int(loud[-1]) + 1] if len(loud) else levels_db[:0]


def features(samples: Samples, rate_hz: int) -> Features:
    """Contrast of a sound in time and pitch: (frames of 16 ms, 24 bands between 250 and 3400 Hz).

    Gain and any steady colouring of the line fall out: each band's mean is taken away.
    """
    window = rate_hz * _WINDOW_MS // 1000
    hop = rate_hz * _HOP_MS // 1000
    # 1024 points at 24 kHz and 8 kHz alike resolve the lowest bands at every rate.
    fft_size = 1024 if rate_hz <= 24_000 else 2048
    if len(samples) < window:
        return np.zeros((0, _BANDS), dtype=np.float32)
    frames = np.lib.stride_tricks.sliding_window_view(samples, window)[::hop].astype(np.float32)
    power = np.abs(np.fft.rfft(frames * np.hanning(window).astype(np.float32), n=fft_size)) ** 2
    bands = power.astype(np.float32) @ _mel_filters(rate_hz, fft_size).T
    decibels = 10.0 * np.log10(bands + 1e-3)
    peak = float(np.percentile(decibels, 99.5))
    noise = np.percentile(decibels, 10, axis=0, keepdims=True) + _OVER_NOISE_DB
    floor = np.clip(noise, peak - _RANGE_DB, peak - _LEAST_RANGE_DB)
    levels = _sounding(np.clip(decibels - floor, 0.0, None).astype(np.float32))
    return levels - levels.mean(axis=0, keepdims=True) if len(levels) else levels


@functools.cache
def _known() -> dict[str, Features]:
    return {
        clip_id: features(caller_samples(clip_id), CLIP_RATE_HZ)
        for clip_id, clip in caller_clips().items()
        if clip.is_recognised
    }


def warm_up() -> None:
    """Decodes every clip and computes its features: about a second of work, done once. Call it in a thread."""
    _known()


def recognise(samples: Samples, rate_hz: int) -> Match:
    """Finds the shipped caller clip in an utterance: mono PCM16, at any rate from 8 kHz up. Takes milliseconds."""
    heard = features(samples, rate_hz)
    ranked = sorted(((_similarity(heard, known), clip_id) for clip_id, known in _known().items()), reverse=True)
    (score, clip_id), (runner_up, _) = ranked[0], ranked[1]
    is_sure = score >= LEAST_SCORE and score - runner_up >= LEAST_LEAD
    return Match(clip_id if is_sure else None, score, runner_up)


def _similarity(heard: Features, known: Features) -> float:
    """Cosine of the two, pieces of half a second each finding their best place near the best common shift."""
    longer, shorter = max(len(heard), len(known)), min(len(heard), len(known))
    if shorter < 6 or longer - shorter > max(24, 0.2 * longer):
        return 0.0
    margin = _SHIFT_FRAMES + _DRIFT_FRAMES
    padded = np.zeros((len(known) + 2 * margin + max(0, len(heard) - len(known)), _BANDS), dtype=np.float32)
    padded[margin : margin + len(known)] = known
    flat = heard.ravel()
    scores = [
        float(flat @ padded[start : start + len(heard)].ravel())
        for start in range(_DRIFT_FRAMES, margin + _SHIFT_FRAMES - _DRIFT_FRAMES + 1)
    ]
    best = _DRIFT_FRAMES + int(np.argmax(scores))
    product = 0.0
    for first in range(0, len(heard), _PIECE_FRAMES):
        piece = heard[first : first + _PIECE_FRAMES].ravel()
        places = range(best + first - _DRIFT_FRAMES, best + first + _DRIFT_FRAMES + 1)
        product += max(
            float(piece @ padded[place : place + len(piece) // _BANDS].ravel())
            for place in places
            if 0 <= place and place + len(piece) // _BANDS <= len(padded)
        )
    return product / (float(np.linalg.norm(heard)) * float(np.linalg.norm(known)) + 1e-9)
