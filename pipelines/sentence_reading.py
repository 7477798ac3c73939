"""A sentence as one voice reads it, and the judgement whether sound and transcript are that sentence. Pure."""

import re
import unicodedata
from dataclasses import dataclass
from difflib import SequenceMatcher

import numpy as np

RATE_HZ = 24_000
"""What Gemini speaks at, and what every sentence is kept at: PCM16 little-endian, mono."""

_FRAME_SAMPLES = RATE_HZ // 100
_QUIET = 160.0  # RMS of PCM16, about -46 dBFS: below the softest consonant, above a synthesizer's noise
_AUDIBLE_PEAK = 1000  # about -30 dBFS; a phone line's own noise would hide a voice that never gets louder
_LEAD_MS, _TAIL_MS = 50, 200
# The fastest speech is about 20 letters a second; half of the time that takes is nobody reading all of it.
_LEAST_SECS, _LEAST_SECS_PER_LETTER = 0.1, 0.025
# Chinese and Japanese put no spaces between words: there each character counts as one.
_WORD = re.compile(r"[\u3040-\u30ff\u3400-\u9fff]|[^\W\u3040-\u30ff\u3400-\u9fff]+")


@dataclass(frozen=True, slots=True)
class Reading:
    """One text in one voice: the model, its prebuilt voice, the language (BCP 47), the text with nothing to fill in."""

    model: str
    voice: str
    language: str
    text: str


class WrongReading(Exception):
    """What was read aloud is not the sentence. The message says why, without a word of it."""


def check_words(said: str, text: str) -> None:
    """Compare a transcript with the text. Case, punctuation and spacing do not count; one word in four may be spelled
    otherwise (a name, "1" for "one"), but none may be added or left out. A number counts once, however it is written.

    Raises:
        WrongReading: something else was said.
    """
    heard, wanted = _words(said), _words(text)
    if "".join(heard) == "".join(wanted):
        return
    if not heard:
        raise WrongReading("the model gave no transcript of what it read")
    changed = 0
    for what, from_wanted, to_wanted, from_heard, to_heard in SequenceMatcher(
        None, wanted, heard, autojunk=False
    ).get_opcodes():
        if what in ("insert", "delete"):
            raise WrongReading("the model added or left out words")
        if what == "replace":
            run = [*wanted[from_wanted:to_wanted], *heard[from_heard:to_heard]]
            is_number = any(word.isdecimal() for word in run)
            changed += 1 if is_number else max(to_wanted - from_wanted, to_heard - from_heard)
    if changed > len(wanted) // 4:
        raise WrongReading(f"the model read {changed} of {len(wanted)} words differently")


def trim_reading(pcm: bytes, text: str) -> bytes:
    """Return the sound with at most 50 ms of silence before it and 200 ms after it. In and out: PCM16 at `RATE_HZ`.

    Raises:
        WrongReading: it is silent, or too short for the text.
    """
    samples = np.frombuffer(pcm[: len(pcm) // 2 * 2], dtype="<i2")
    count = len(samples) // _FRAME_SAMPLES
    frames = samples[: count * _FRAME_SAMPLES].reshape(count, _FRAME_SAMPLES).astype(np.float32)
    [loud] = np.nonzero(np.sqrt((frames**2).mean(axis=1)) > _QUIET)
    if not len(loud) or int(np.abs(frames).max()) < _AUDIBLE_PEAK:
        raise WrongReading("the reading is silent")
    voice_from, voice_to = int(loud[0]) * _FRAME_SAMPLES, (int(loud[-1]) + 1) * _FRAME_SAMPLES
    least_secs = _LEAST_SECS + _LEAST_SECS_PER_LETTER * len("".join(_words(text)))
    if (voice_to - voice_from) / RATE_HZ < least_secs:
        raise WrongReading(f"the reading is too short: {(voice_to - voice_from) / RATE_HZ:.2f} s of voice")
    start = max(0, voice_from - _LEAD_MS * RATE_HZ // 1000)
    return samples[start : voice_to + _TAIL_MS * RATE_HZ // 1000].tobytes()


def _words(text: str) -> list[str]:
    # Apostrophes belong to their word, whichever of the two characters they are.
    return _WORD.findall(re.sub(r"['\u2019]", "", unicodedata.normalize("NFKC", text).casefold()))
