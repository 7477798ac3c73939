"""The shipped recordings: what each says, and its samples."""

from __future__ import annotations

import functools
import io
import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import numpy as np
import soundfile  # pyright: ignore[reportMissingTypeStubs]
import yaml
from numpy.typing import NDArray

AUDIO = Path(__file__).parent / "audio"
CLIP_RATE_HZ = 24_000

Samples = NDArray[np.int16]


@dataclass(frozen=True, slots=True)
class Clip:
    """One shipped recording, mono, 24 kHz. `is_recognised`: may the stand-in Gemini know it by its sound?"""

    clip_id: str
    text: str
    path: Path
    is_recognised: bool


@functools.cache
def _listed() -> dict[str, Any]:
    return cast(dict[str, Any], yaml.safe_load((AUDIO / "clips.yaml").read_text(encoding="utf-8")))


@functools.cache
def caller_clips() -> dict[str, Clip]:
    """Everything a caller can say, by clip id."""
    clips: dict[str, Clip] = {}
    for clip_id, entry in cast(dict[str, str | dict[str, Any]], _listed()["caller"]).items():
        fields = {"text": entry} if isinstance(entry, str) else entry
        path = AUDIO / "caller" / f"{clip_id}.ogg"
        clips[clip_id] = Clip(clip_id, str(fields["text"]), path, bool(fields.get("recognised", True)))
    return clips


@functools.cache
def agent_clips() -> dict[str, Clip]:
    """Whole sentences in the agent's voice, by clip id."""
    texts = cast(dict[str, str], _listed()["agent"])
    return {clip_id: Clip(clip_id, text, AUDIO / "agent" / f"{clip_id}.ogg", False) for clip_id, text in texts.items()}


@functools.cache
def read_samples(path: Path) -> Samples:
    """The recording's samples: 24 kHz mono PCM16, read-only. Decodes on first use (milliseconds: call it in a thread).

    Raises:
        ValueError: the file is not mono at 24 kHz.
    """
    # libsndfile reads through Python's file object here, so that a missing file is a FileNotFoundError.
    samples, rate_hz = cast(
        tuple[Samples, int],
        soundfile.read(io.BytesIO(path.read_bytes()), dtype="int16"),  # pyright: ignore[reportUnknownMemberType]
    )
    if rate_hz != CLIP_RATE_HZ or samples.ndim != 1:
        raise ValueError(f"{path}: must be mono at {CLIP_RATE_HZ} Hz (is {samples.ndim} channel(s) at {rate_hz} Hz)")
    samples.setflags(write=False)
    return samples


def caller_samples(clip_id: str) -> Samples:
    """The samples of a caller clip: 24 kHz mono PCM16, read-only.

    Raises:
        KeyError: no such clip.
    """
    return read_samples(caller_clips()[clip_id].path)


@functools.cache
def word_index() -> dict[str, tuple[int, int]]:
    """Word -> (first sample, number of samples) in words.ogg. Letters of the alphabet are `letter-a` and so on."""
    listed = cast(dict[str, list[int]], json.loads((AUDIO / "words.json").read_text(encoding="utf-8")))
    return {word: (start, count) for word, (start, count) in listed.items()}


def word_samples(word: str) -> Samples | None:
    """The samples of one word of the bank, or None when the bank does not have it."""
    place = word_index().get(word)
    if place is None:
        return None
    start, count = place
    return read_samples(AUDIO / "words.ogg")[start : start + count]


def plain(text: str) -> str:
    """The text as it sounds, for comparing: lower case, words only, single spaces."""
    return " ".join(re.findall(r"[a-z0-9']+", text.lower().replace("’", "'")))
