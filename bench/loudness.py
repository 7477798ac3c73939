"""Loud or not: the one question that the callers, the stand-in model and the measurements ask of a piece of sound.

A peak decides and not a mean, so that the answer is the same for a frame of 20 ms and for several joined to one.
Callers hiss at a tenth of it and speak at ten times as much, and every clip begins and ends in the middle of a loud
frame.
"""

import audioop  # part of Python until 3.12, which is the newest that Trunkline supports

import numpy as np

from simulators.clips import Samples
from simulators.telephone_audio import decode_ulaw

LOUD_PEAK = 1500
"""A 16-bit sample beyond this, on either side of zero, makes its piece loud."""

_SURELY = 2
_LEAD_FRAMES = 2
_QUIET_BYTES = bytes(code for code, peak in enumerate(decode_ulaw(bytes(range(256)))) if abs(int(peak)) <= LOUD_PEAK)


def is_loud_pcm(pcm: bytes) -> bool:
    """Whether PCM16 of any rate has a loud sample.

    Raises:
        audioop.error: it is half a sample too long.
    """
    return audioop.max(pcm, 2) > LOUD_PEAK


def is_loud_ulaw(ulaw: bytes) -> bool:
    """The same of mu-law."""
    return bool(ulaw.translate(None, _QUIET_BYTES))


def trim(pcm: Samples, frame_samples: int, *, lead_frames: int = _LEAD_FRAMES) -> Samples:
    """Whole frames of a clip, from `lead_frames` before its first surely loud sample to the frame of its last.

    Args:
        pcm: PCM16 mono of any rate.
        frame_samples: samples of one frame.
        lead_frames: how much of a soft beginning is kept; 0 begins with the loud sample itself.

    Raises:
        ValueError: nothing in it is loud.
    """
    loud = np.flatnonzero(np.abs(pcm.astype(np.int32)) > _SURELY * LOUD_PEAK)
    if not len(loud):
        raise ValueError("the clip is silent")
    start = max(0, int(loud[0]) - lead_frames * frame_samples)
    count = (int(loud[-1]) - start) // frame_samples + 1
    piece = pcm[start : start + count * frame_samples]
    return np.pad(piece, (0, count * frame_samples - len(piece)))
