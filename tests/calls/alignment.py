"""How far one recording lies behind another, window by window: a stall on the way moves what follows, not what was."""

from dataclasses import dataclass

import numpy as np

RATE_HZ = 8000


@dataclass(frozen=True)
class Window:
    """Half a second of speech: found `offset_ms` later in the other recording; `likeness` 1 is the same."""

    at_ms: float
    offset_ms: float
    likeness: float


def align(truth: np.ndarray, other: np.ndarray, *, window_ms: int = 500, most_ms: int = 150) -> list[Window]:
    """Compare every window of `truth` that holds speech with its surroundings in `other` (both PCM16, 8 kHz)."""
    size, most = window_ms * RATE_HZ // 1000, most_ms * RATE_HZ // 1000
    found: list[Window] = []
    padded = np.pad(other.astype(np.float64), (most, most + size))
    for first in range(0, len(truth) - size, size):
        part = truth[first : first + size].astype(np.float64)
        # Speech in at least a quarter of the window: less says little about where it lies.
        if (np.abs(part) > 500).mean() < 0.25:
            continue
        around = padded[first : first + size + 2 * most]
        energy = np.convolve(around**2, np.ones(size), mode="valid")
        likeness = np.correlate(around, part, mode="valid") / (np.sqrt(energy * (part**2).sum()) + 1e-9)
        best = int(np.argmax(likeness))
        found.append(Window(first * 1000 / RATE_HZ, (best - most) * 1000 / RATE_HZ, float(likeness[best])))
    return found
