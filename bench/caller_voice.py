"""What callers say, ready to be sent: recorded sentences over noise, as base64 of 20 ms mu-law frames."""

import base64
from dataclasses import dataclass

import numpy as np

from bench.loudness import trim
from simulators.clips import CLIP_RATE_HZ, caller_samples
from simulators.noise import NoiseBed
from simulators.telephone_audio import FRAME_BYTES, Pcm, encode_ulaw, resample_to_telephone

SENTENCES = (
    "ask-opening-hours",
    "book-tuesday",
    "ask-sunday",
    "wait-book",
    "book-wednesday",
    "cancel-appointment",
    "reason-waiting",
    "name-alex",
)
"""Clips of 1.5 to 3 s, without a pause that a detector of voice could take for the end."""

NOISE_DBFS = -48.0
_BEDS = 6
_NOISE_FRAMES = 350


@dataclass(frozen=True)
class CallerVoice:
    """One caller's sounds.

    Attributes:
        noise: frames of the line's hiss, to be sent round and round while he is silent.
        sentences: frames of each of SENTENCES over the same hiss; the last frame of each is loud.
    """

    noise: tuple[bytes, ...]
    sentences: tuple[tuple[bytes, ...], ...]


def load_voices() -> list[CallerVoice]:
    """The same sentences over different hisses, so that callers do not march in step. Blocks for a second."""
    clips = [
        trim(resample_to_telephone(caller_samples(clip_id), CLIP_RATE_HZ), FRAME_BYTES).reshape(-1, FRAME_BYTES)
        for clip_id in SENTENCES
    ]
    return [_over(NoiseBed(NOISE_DBFS, seed=seed), clips) for seed in range(1, _BEDS + 1)]


def _over(bed: NoiseBed, clips: list[Pcm]) -> CallerVoice:
    noise = tuple(_encode(bed.next_frame()) for _ in range(_NOISE_FRAMES))
    sentences = tuple(tuple(_encode(frame + bed.next_frame().astype(np.int32)) for frame in clip) for clip in clips)
    return CallerVoice(noise, sentences)


def _encode(frame: np.ndarray[tuple[int, ...], np.dtype[np.signedinteger]]) -> bytes:
    pcm = np.clip(frame, -32768, 32767).astype(np.int16)
    return base64.b64encode(encode_ulaw(pcm))
